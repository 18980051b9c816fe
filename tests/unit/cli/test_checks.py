from __future__ import annotations

from pathlib import Path

import pytest

from ksl.cli.checks.folder import _clock, _space, folder_findings  # pyright: ignore[reportPrivateUsage]
from ksl.cli.checks.machine import _sqlite, machine_findings  # pyright: ignore[reportPrivateUsage]

NOW_S = 1_795_262_400.0


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / ".ksl"
    folder.mkdir(mode=0o700)
    for name in ("ksl.db", "token"):
        (folder / name).touch(mode=0o600)
    return folder


def test_this_machine_can_run_ksl():
    assert {finding.level for finding in machine_findings()} == {"ok"}


def test_an_sqlite_without_strict_tables_fails_with_what_to_do():
    finding = _sqlite((3, 34, 1))
    assert (finding.level, finding.found) == ("fail", "3.34.1")
    assert "3.37.0" in finding.advice


def test_a_closed_folder_is_fine(data: Path):
    assert [f.level for f in folder_findings(data, now_s=NOW_S) if f.check == "modes"] == ["ok"]


def test_a_folder_others_may_enter_is_a_warning_and_an_open_token_fails(data: Path):
    data.chmod(0o755)
    (data / "token").chmod(0o644)
    found = {f.found: f for f in folder_findings(data, now_s=NOW_S) if f.check == "modes"}
    assert [f.level for f in found.values()] == ["warn", "fail"]
    assert found[f"{data} is open to other users (mode 755)"].advice == f"chmod 700 {data}"


def test_a_folder_that_is_not_there_yet_is_no_mistake(tmp_path: Path):
    found = [f for f in folder_findings(tmp_path / "none", now_s=NOW_S) if f.check == "folder"]
    assert [f.level for f in found] == ["ok"]


@pytest.mark.parametrize(("free", "level"), [(1 << 20, "fail"), (512 << 20, "warn"), (8 << 30, "ok")])
def test_space_is_told_by_what_is_left(
    free: int, level: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    class Usage:
        def __init__(self) -> None:
            self.free = free

    def usage(_folder: Path) -> Usage:
        return Usage()

    monkeypatch.setattr("ksl.cli.checks.folder.shutil.disk_usage", usage)
    assert _space(tmp_path).level == level


def test_a_clock_behind_the_database_s_last_write_is_a_warning(data: Path):
    written_s = (data / "ksl.db").stat().st_mtime
    assert _clock(data, written_s - 3600).level == "warn"
    assert _clock(data, written_s + 1).level == "ok"
    assert _clock(data, 0).level == "fail"

"""Backups, their restoration and deleting, with a server and without one."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ksl.cli.app import cli
from ksl.cli.invocation import Invocation

from tests.integration.cli.test_serve import Served

FLOWS = """\
from ksl import Context, action, workflow


@action
async def echo(value: str) -> str:
    return value


@workflow
async def short(input: str) -> str:
    return await echo.run(value=input)


@workflow
async def approval(ctx: Context) -> str:
    answer = await ctx.hook(title="Go on?")
    return str(answer)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "workflows").mkdir(parents=True)
    (folder / "ksl.toml").write_text('[store]\ndurability = "process"\n[server]\nport = 0\n')
    (folder / "workflows" / "flows.py").write_text(FLOWS)
    return folder


def ksl(folder: Path, *args: str) -> Result:
    return CliRunner().invoke(cli, ["-C", str(folder), *args], catch_exceptions=False)


def told(folder: Path, *args: str) -> Any:
    done = ksl(folder, *args)
    assert done.exit_code in (0, 3), done.output
    return json.loads(done.stdout)


@contextmanager
def serving(folder: Path) -> Generator[Served]:
    process = subprocess.Popen(
        [sys.executable, "-m", "ksl", "-C", str(folder), "serve"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ,
    )
    try:
        server = Served(process)
        server.until("ready in")
        yield server
    finally:
        process.kill()
        process.communicate()


def test_a_backup_is_a_whole_database_for_its_owner_alone(project: Path, tmp_path: Path):
    told(project, "workflows", "run", "short", "--input", '"a"')
    file = tmp_path / "b.backup"

    made = told(project, "backup", str(file))

    assert (made["file"], made["runs"], made["damaged_events"]) == (str(file), 1, 0)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["b.backup"]
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("SELECT data FROM history WHERE type = 'run_completed'").fetchone() == (
            '"a"',
        )
        keys = connection.execute("SELECT value FROM backup WHERE key = 'hook_keys'").fetchone()[0]
    assert keys == (project / ".ksl" / "hook-keys").read_bytes()


def test_at_a_terminal_a_backup_and_a_restore_are_a_sentence(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    told(project, "workflows", "run", "short", "--input", '"a"')
    monkeypatch.setattr(Invocation, "prints_json", property(lambda invocation: invocation.as_json))
    file = tmp_path / "b.backup"

    made = ksl(project, "backup", str(file)).stdout
    done = ksl(project, "restore", str(file)).stdout

    moment = r"\d{4}-\d\d-\d\dT[\d:.]+Z"
    assert re.fullmatch(
        rf"{re.escape(str(file))} has 1 run with \d events of {moment}, [\d.]+KiB\.\n", made
    ), made
    database = re.escape(str(project / ".ksl" / "ksl.db"))
    assert re.fullmatch(rf"{database} is the backup of {moment} now: 1 run with \d events\.\n", done), done
    assert told(project, "backup", str(file), "--force", "--json")["runs"] == 1


def test_a_backup_replaces_no_file_unless_forced(project: Path, tmp_path: Path):
    told(project, "workflows", "run", "short", "--input", '"a"')
    file = tmp_path / "b.backup"
    file.write_text("mine")

    refused = ksl(project, "backup", str(file))
    assert (refused.exit_code, file.read_text()) == (2, "mine")
    told(project, "backup", str(file), "--force")
    assert file.stat().st_size > 10_000


def test_a_restored_database_has_its_runs_and_its_links_and_the_old_one_is_kept(
    project: Path, tmp_path: Path
):
    run_id = told(project, "workflows", "run", "approval")["run_id"]
    link = told(project, "hooks", "list")["hooks"][0]["url"]
    file = str(tmp_path / "b.backup")
    told(project, "backup", file)
    told(project, "hooks", "resume", run_id, "--data", '"later"')
    assert told(project, "runs", "show", run_id)["status"] == "succeeded"
    (project / ".ksl" / "hook-keys").unlink()  # as on another machine
    told(project, "workflows", "run", "approval")

    done = told(project, "restore", file)

    assert done["runs"] == 1
    assert Path(done["kept"]).exists()
    assert stat.S_IMODE((project / ".ksl" / "ksl.db").stat().st_mode) == 0o600
    assert [run["status"] for run in told(project, "runs", "list")["runs"]] == ["waiting"]
    assert told(project, "hooks", "list")["hooks"][0]["url"] == link
    resumed = told(project, "hooks", "resume", link, "--data", '"now"')
    assert resumed["run_id"] == run_id
    with closing(sqlite3.connect(project / ".ksl" / "ksl.db")) as connection:
        assert connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'backup'").fetchone() is None
    with closing(sqlite3.connect(done["kept"])) as connection:
        assert connection.execute("SELECT count(*) FROM run").fetchone() == (2,)


@pytest.mark.parametrize("how", ["cut short", "one byte", "not a database", "of another program", "missing"])
def test_a_damaged_backup_is_refused_and_nothing_is_changed(project: Path, tmp_path: Path, how: str):
    told(project, "workflows", "run", "short", "--input", '"of the run"')
    file = tmp_path / "b.backup"
    told(project, "backup", str(file))
    content = file.read_bytes()
    match how:
        case "cut short":
            file.write_bytes(content[: len(content) // 2])
        case "one byte":
            place = content.index(b'"of the run"')
            file.write_bytes(content[:place] + b"'" + content[place + 1 :])
        case "not a database":
            file.write_bytes(b"x" * 8192)
        case "of another program":
            file.unlink()
            with closing(sqlite3.connect(file)) as connection:
                connection.execute("CREATE TABLE mine (a)")
        case _:
            file.unlink()
    before = (project / ".ksl" / "ksl.db").read_bytes()

    done = ksl(project, "restore", str(file))

    assert (done.exit_code, done.stdout, "KSL508" in done.stderr) == (1, "", True)
    assert "Nothing was changed" in done.stderr
    assert (project / ".ksl" / "ksl.db").read_bytes() == before
    assert not list((project / ".ksl").glob("*.part"))


def test_prune_counts_first_and_deletes_only_what_is_over(project: Path):
    told(project, "workflows", "run", "short", "--input", '"a"')
    waiting = told(project, "workflows", "run", "approval")["run_id"]

    assert told(project, "prune")["runs"] == 0
    assert told(project, "prune", "--older-than", "0s", "--dry-run")["runs"] == 1
    assert told(project, "prune", "--older-than", "0s")["runs"] == 1

    assert [run["run_id"] for run in told(project, "runs", "list")["runs"]] == [waiting]
    assert told(project, "db", "size")["rows"]["run"] == 1


def test_prune_asks_how_old_where_runs_are_kept_for_ever(project: Path):
    told(project, "workflows", "run", "short", "--input", '"a"')
    (project / "ksl.toml").write_text("[retention]\nfinished_runs = 0\n")
    done = ksl(project, "prune")
    assert (done.exit_code, "--older-than" in done.stderr) == (2, True)


def test_with_nothing_run_yet_there_is_nothing_to_back_up(project: Path, tmp_path: Path):
    done = ksl(project, "backup", str(tmp_path / "b"))
    assert (done.exit_code, "nothing has been run" in done.stderr) == (4, True)
    assert not (tmp_path / "b").exists()


@pytest.mark.process
def test_a_running_server_is_backed_up_pruned_and_measured(project: Path, tmp_path: Path):
    file = tmp_path / "b.backup"
    with serving(project):
        told(project, "workflows", "run", "short", "--input", '"a"')
        waiting = told(project, "workflows", "run", "approval")["run_id"]
        assert told(project, "db", "size")["rows"]["run"] == 2
        made = told(project, "backup", str(file))
        assert (made["runs"], stat.S_IMODE(file.stat().st_mode)) == (2, 0o600)
        assert not list((project / ".ksl").glob("*.tmp"))
        assert told(project, "prune", "--older-than", "0s")["runs"] == 1
        refused = ksl(project, "restore", str(file))
        assert (refused.exit_code, "KSL504" in refused.stderr) == (4, True)
        told(project, "hooks", "resume", waiting, "--data", '"yes"')
    assert told(project, "restore", str(file))["runs"] == 2
    assert told(project, "runs", "show", waiting)["status"] == "waiting"

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from ksl.cli.app import cli


def test_help_imports_nothing_that_is_slow():
    """Told by what is loaded, since a clock on a busy machine tells nothing."""
    slow = (
        "pydantic",
        "fastapi",
        "httpx",
        "uvicorn",
        "aiosqlite",
        "sqlite3",
        "ksl.log",
        "ksl.views",
        "ksl.build",
    )
    code = (
        "import sys\n"
        "from ksl.cli.app import cli\n"
        "try: cli.main(['--help'])\n"
        f"except SystemExit: print([name for name in {slow!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    assert "List the project's workflows; run one." in done.stdout


def test_the_list_of_commands_has_every_line_of_help_in_full():
    done = subprocess.run([sys.executable, "-m", "ksl", "--help"], capture_output=True, text=True, check=True)
    assert "..." not in done.stdout.partition("Commands:")[2]
    assert "Look at runs; stop them, mend them, let them go on." in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    "command",
    [["serve"], ["dev"], ["init"], ["build"], ["doctor"], ["explain", "KSL400"], ["restore", "x.backup"]],
)
def test_what_asks_no_server_refuses_to_be_told_of_one(command: list[str], tmp_path: Path):
    url = ["--url", "http://127.0.0.1:9"]
    for args in ([*command, *url], [*url, *command]):
        done = CliRunner().invoke(cli, ["-C", str(tmp_path), *args])
        assert (done.exit_code, done.stdout) == (2, ""), args
        assert "--url" in done.stderr
        assert list(tmp_path.iterdir()) == []
    assert "--url" not in CliRunner().invoke(cli, [command[0], "--help"]).stdout

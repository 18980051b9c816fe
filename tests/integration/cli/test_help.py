from __future__ import annotations

import subprocess
import sys


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

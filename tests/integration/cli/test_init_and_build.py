from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner, Result

from ksl.cli.app import cli


def ksl(folder: Path, *args: str) -> Result:
    return CliRunner().invoke(cli, ["-C", str(folder), *args], catch_exceptions=False)


def write(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_init_writes_a_project_that_builds_and_passes_its_test(tmp_path: Path):
    # A folder's name may hold what TOML would not take bare.
    done = ksl(tmp_path, "init", 'my "first" one')
    folder = tmp_path / 'my "first" one'
    assert done.exit_code == 0
    assert sorted(json.loads(done.stdout)["files"]) == sorted(
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()
    )
    assert "ksl workflows run hello" in done.stderr
    built = ksl(folder, "build")
    assert json.loads(built.stdout) == {
        "ok": True,
        "workflows": ["hello"],
        "actions": ["greet"],
        "triggers": [],
        "errors": [],
        "warnings": [],
    }
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly"]
    tested = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert tested.returncode == 0, tested.stdout
    assert "1 passed" in tested.stdout


def test_init_overwrites_nothing_and_then_writes_nothing(tmp_path: Path):
    write(tmp_path, "workflows/hello.py", "mine")
    done = ksl(tmp_path, "init")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "KSL208" in done.stderr
    assert "workflows/hello.py" in done.stderr
    assert not (tmp_path / "ksl.toml").exists()
    assert (tmp_path / "workflows/hello.py").read_text() == "mine"


def test_init_into_a_file_is_refused(tmp_path: Path):
    write(tmp_path, "taken", "")
    assert ksl(tmp_path, "init", "taken").exit_code == 1


def test_build_shows_every_error_with_its_line_and_exits_1(tmp_path: Path):
    write(tmp_path, "ksl.toml", "")
    write(tmp_path, "workflows/broken.py", "def f(:\n")
    write(tmp_path, "workflows/raises.py", "\n\n1 / 0\n")
    for name in ("one", "two"):
        write(
            tmp_path,
            f"workflows/{name}.py",
            "from ksl import workflow\n\n@workflow(slug='same')\nasync def flow(input: int) -> int: ...\n",
        )
    done = ksl(tmp_path, "build")
    answer = json.loads(done.stdout)
    assert (done.exit_code, answer["ok"], answer["workflows"]) == (1, False, ["same"])
    places = {(each["file"], each["line"], each["code"]) for each in answer["errors"]}
    assert {("workflows/broken.py", 1, "KSL204"), ("workflows/raises.py", 3, "KSL204")} < places
    duplicate = next(each for each in answer["errors"] if each["code"] == "KSL205")
    assert "workflows/one.py" in duplicate["message"]
    assert "workflows/two.py" in duplicate["message"]


def test_build_outside_a_project_is_a_usage_error(tmp_path: Path):
    done = ksl(tmp_path, "build")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "KSL203" in done.stderr
    assert "ksl init" in done.stderr


def test_malformed_settings_are_one_paragraph_that_names_the_line(tmp_path: Path):
    write(tmp_path, "ksl.toml", "[server]\nport = = 1\n")
    done = ksl(tmp_path, "build")
    assert done.exit_code == 2
    assert "ksl.toml:2" in done.stderr
    assert "Traceback" not in done.stderr


def test_workflows_are_listed_without_a_server_or_a_database(tmp_path: Path):
    ksl(tmp_path, "init")
    done = ksl(tmp_path, "workflows", "list")
    assert [each["slug"] for each in json.loads(done.stdout)["workflows"]] == ["hello"]
    assert not (tmp_path / ".ksl").exists()


def test_a_list_of_what_loaded_says_that_some_did_not(tmp_path: Path):
    ksl(tmp_path, "init")
    write(tmp_path, "workflows/typo.py", "def f(:\n")
    for group in ("workflows", "triggers", "credentials"):
        done = ksl(tmp_path, group, "list")
        assert done.exit_code == 0
        assert "1 error in the project's code (see `ksl build`): going on with the rest." in done.stderr


def test_a_project_without_runs_lists_none_and_makes_no_database(tmp_path: Path):
    ksl(tmp_path, "init")
    assert ksl(tmp_path, "runs", "list").stdout == '{"runs": [], "next_cursor": null}\n'
    assert ksl(tmp_path, "hooks", "list").stdout == '{"hooks": []}\n'
    done = ksl(tmp_path, "runs", "show", "run_1")
    assert (done.exit_code, "KSL414" in done.stderr) == (1, True)
    assert not (tmp_path / ".ksl").exists()

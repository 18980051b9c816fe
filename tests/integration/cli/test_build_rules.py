from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ksl.cli.app import cli

BROKEN = """from ksl import action, workflow


@action
async def grüße(name: str) -> str:
    return name


@workflow
async def greet(name: str) -> str:
    é = "ü"; print(await grüße.run(name=name))
    return é
"""


WARNED = BROKEN.replace("print(await grüße.run(name=name))", 'await grüße.run(**{"name": "a"})')


def build(folder: Path, text: str, *args: str) -> Result:
    (folder / "ksl.toml").touch()
    (folder / "workflows").mkdir(exist_ok=True)
    (folder / "workflows" / "greet.py").write_text(text, encoding="utf-8")
    return CliRunner().invoke(cli, ["-C", str(folder), "build", *args], catch_exceptions=False)


def test_an_error_is_printed_with_its_line_carets_and_the_fix(tmp_path: Path) -> None:
    done = build(tmp_path, BROKEN, "--format", "text")
    assert done.exit_code == 1
    assert done.stdout.splitlines() == [
        "workflows/greet.py:11:20 KSL002 step gr-e is nested in the arguments of print()",
        '    é = "ü"; print(await grüße.run(name=name))',
        "                   ^^^^^^^^^^^^^^^^^^^^^^^^^^",
        "    fix: assign it first:  result = await grüße.run(name=name)",
        "1 workflow, 1 action, 1 error",
    ]


def test_json_tells_errors_and_warnings_apart(tmp_path: Path) -> None:
    answer = json.loads(build(tmp_path, BROKEN).stdout)
    assert (answer["ok"], answer["warnings"]) == (False, [])
    [error] = answer["errors"]
    assert (error["file"], error["line"], error["col"], error["end_line"], error["end_col"]) == (
        "workflows/greet.py",
        11,
        20,
        11,
        46,
    )
    assert error["source"] == '    é = "ü"; print(await grüße.run(name=name))'


def test_github_gets_a_command_for_the_line(tmp_path: Path) -> None:
    done = build(tmp_path, BROKEN, "--format", "github")
    assert done.stdout.startswith(
        "::error file=workflows/greet.py,line=11,endLine=11,col=20,endColumn=45,title=KSL002::step gr-e is"
    )


def test_sarif_names_the_rule_and_the_place(tmp_path: Path) -> None:
    done = build(tmp_path, BROKEN, "--format", "sarif")
    [run] = json.loads(done.stdout)["runs"]
    [result] = run["results"]
    assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"] == "KSL002"
    assert result["locations"][0]["physicalLocation"]["region"] == {
        "startLine": 11,
        "startColumn": 20,
        "endLine": 11,
        "endColumn": 46,
    }


@pytest.mark.parametrize("shape", ["text", "json", "github", "sarif"])
def test_what_does_not_load_is_told_in_every_format(tmp_path: Path, shape: str) -> None:
    done = build(tmp_path, "def f(:\n", "--format", shape)
    assert done.exit_code == 1
    assert "KSL204" in done.stdout
    assert "workflows/greet.py" in done.stdout


def test_runs_are_not_told_of_in_formats_for_code(tmp_path: Path) -> None:
    assert build(tmp_path, BROKEN, "--format", "sarif", "--runs").exit_code == 2


def test_a_warning_alone_fails_only_where_that_is_asked_for(tmp_path: Path) -> None:
    done = build(tmp_path, WARNED, "--format", "text")
    assert done.exit_code == 0
    assert "KSL104 warning: the inputs of step gr-e are not shown" in done.stdout
    assert done.stdout.endswith("1 workflow, 1 action, 0 errors, 1 warning\n")
    assert build(tmp_path, WARNED, "--strict").exit_code == 1
    assert json.loads(build(tmp_path, WARNED).stdout)["ok"] is True


def test_a_clean_project_passes_the_strict_build(tmp_path: Path) -> None:
    assert build(tmp_path, BROKEN.replace("print(await", "(await"), "--strict").exit_code == 0


def test_a_malformed_definition_is_told_once_with_place_and_traceback(tmp_path: Path) -> None:
    text = "from ksl import workflow\n\n\n@workflow\ndef flow() -> None: ...\n"
    [error] = json.loads(build(tmp_path, text).stdout)["errors"]
    assert (error["code"], error["line"], error["col"], error["module"]) == (
        "KSL010",
        4,
        2,
        "workflows.greet",
    )
    assert "@workflow" in error["traceback"]
    assert error["message"].startswith("workflow flow is not `async def`")
    done = build(tmp_path, text, "--format", "text")
    assert done.stdout.endswith("0 workflows, 0 actions, 1 error\n")
    assert done.stdout.count("KSL010") == 1

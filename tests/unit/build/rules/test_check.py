from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ksl.build.discover import discover, unload
from ksl.build.rules.check import check

from tests.unit.build.rules.project import checked, project_of, write

ROOT = Path(__file__).parents[4]
FLOW = """
from actions.desk import audit, charge, notify

from ksl import workflow


@workflow
async def flow(amount: int) -> None:
"""


def codes(folder: Path, text: str) -> list[tuple[str, int, int]]:
    return [(each.code, each.line, each.col) for each in checked(folder, text)]


def test_the_projects_own_workflows_break_no_rule() -> None:
    # In a process of its own: the project's folder is also the one that these tests run from.
    command = [sys.executable, "-m", "ksl", "-C", str(ROOT), "build", "--format", "text", "--strict"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_a_comment_silences_a_warning_on_its_line(tmp_path: Path) -> None:
    body = "    await charge.run(**{})  # ksl: ignore[KSL104] the desk decides\n    await charge.run(**{})\n"
    assert codes(tmp_path, FLOW + body) == [("KSL104", 9, 24)]


def test_a_comment_for_another_rule_silences_nothing(tmp_path: Path) -> None:
    assert codes(tmp_path, FLOW + "    await charge.run(**{})  # ksl: ignore[KSL102]\n") == [
        ("KSL104", 8, 24)
    ]


def test_the_same_words_in_a_string_silence_nothing(tmp_path: Path) -> None:
    body = "    await charge.run(**{'# ksl: ignore[KSL104]': 1})\n"
    assert codes(tmp_path, FLOW + body) == [("KSL104", 8, 24)]


def test_an_error_cannot_be_silenced(tmp_path: Path) -> None:
    assert codes(tmp_path, FLOW + "    audit.run()  # ksl: ignore[KSL003] later\n") == [("KSL003", 8, 5)]


def test_columns_count_characters_and_names_may_have_any_letters(tmp_path: Path) -> None:
    body = "    größe = 'żółć'; charge.run(amount=1)\n    漢 = '𝒳'; notify.run(text=漢)\n"
    assert codes(tmp_path, FLOW + body) == [("KSL003", 8, 21), ("KSL003", 9, 14)]


def test_an_action_that_runs_another_is_told_to_call_the_function(tmp_path: Path) -> None:
    write(
        tmp_path,
        "actions/outer.py",
        "from actions.desk import audit\nfrom ksl import action\n\n\n"
        "@action\nasync def outer() -> None:\n    await audit.run()\n",
    )
    [found] = checked(tmp_path, FLOW + "    await audit.run()\n")
    assert (found.file, found.line, found.col, found.code) == ("actions/outer.py", 7, 11, "KSL001")
    assert "audit(...)" in found.fix


def test_a_module_beside_the_folders_is_read_too_but_tests_are_not(tmp_path: Path) -> None:
    text = "from actions.desk import audit\n\n\nasync def tell() -> None:\n    await audit.run()\n"
    write(tmp_path, "lib_beside/tests/tell.py", text)
    write(tmp_path, "lib_beside/tell.py", text)
    imports = "from lib_beside.tell import tell\nfrom lib_beside.tests.tell import tell as other\n"
    found = checked(tmp_path, imports + FLOW + "    await audit.run()\n")
    assert [(each.file, each.code) for each in found] == [("lib_beside/tell.py", "KSL001")]


def test_a_method_and_a_module_level_call_are_where_the_canvas_does_not_look(tmp_path: Path) -> None:
    text = (
        FLOW
        + "    await audit.run()\n\n\nclass Desk:\n    async def ask(self) -> None:\n        await audit.run()\n"
    )
    assert codes(tmp_path, text) == [("KSL004", 13, 15)]


def test_a_helper_that_no_workflow_calls_is_left_alone(tmp_path: Path) -> None:
    assert (
        codes(tmp_path, FLOW + "    await audit.run()\n\n\nasync def later() -> None:\n    audit.run()\n")
        == []
    )


def test_an_object_with_a_method_called_run_is_no_step(tmp_path: Path) -> None:
    text = (
        "import subprocess\n"
        + FLOW
        + "    await audit.run()\n\n\ndef other() -> None:\n    subprocess.run(['true'])\n"
    )
    assert codes(tmp_path, text) == []


def test_files_that_do_not_load_leave_the_rest_checked(tmp_path: Path) -> None:
    write(tmp_path, "workflows/broken.py", "async def flow(:\n")
    write(tmp_path, "workflows/exits.py", "raise SystemExit(3)\n")
    with project_of(tmp_path, FLOW + "    audit.run()\n") as project:
        assert len(project.failures) == 2
        assert [each.code for each in check(project)] == ["KSL003"]


def test_code_made_by_exec_is_told_of_and_no_reason_to_fail(tmp_path: Path) -> None:
    made = "exec('async def made(n):\\n    await audit.run()')\n"
    assert codes(tmp_path, FLOW + "    exec('x = 1')\n    await audit.run()\n\n\n" + made) == [
        ("KSL107", 8, 5)
    ]


@pytest.mark.parametrize(
    "body", [" + ".join(["amount"] * 3000), "amount" + ".real" * 900, "[" * 90 + "]" * 90]
)
def test_a_deep_expression_is_no_reason_to_fail(tmp_path: Path, body: str) -> None:
    with project_of(tmp_path, FLOW + f"    x = {body}\n    audit.run()\n") as project:
        check(project)


def test_a_deep_expression_outside_a_workflow_is_read(tmp_path: Path) -> None:
    text = (
        FLOW
        + f"    audit.run()\n\n\ndef long(amount: int) -> int:\n    return {' + '.join(['amount'] * 1500)}\n"
    )
    assert codes(tmp_path, text) == [("KSL003", 8, 5)]


def test_three_thousand_lines_are_read(tmp_path: Path) -> None:
    text = FLOW + "    if amount:\n        await charge.run(amount=amount)\n" * 1500 + "    audit.run()\n"
    assert codes(tmp_path, text) == [("KSL003", 3008, 5)]


@pytest.mark.slow
def test_two_hundred_workflow_files_are_checked(tmp_path: Path) -> None:
    body = "    if amount:\n        await charge.run(amount=amount)\n    await audit.run()\n" * 20
    for number in range(200):
        write(
            tmp_path, f"workflows/flow_{number}.py", (FLOW + body).replace("def flow", f"def flow_{number}")
        )
    with project_of(tmp_path, FLOW + body) as project:
        began = time.perf_counter()
        assert check(project) == []
        print(f"201 workflow files were checked in {time.perf_counter() - began:.2f} s")


def test_nothing_is_left_of_a_project_that_was_checked(tmp_path: Path) -> None:
    before = set(sys.modules)
    write(
        tmp_path,
        "workflows/flow.py",
        "from ksl import workflow\n\n\n@workflow\nasync def alone() -> None: ...\n",
    )
    project = discover(tmp_path)
    assert check(project) == []
    unload(project)
    assert not {name for name in set(sys.modules) - before if name.startswith(("workflows", "lib_beside"))}


def test_a_file_run_by_itself_may_call_its_steps(tmp_path: Path) -> None:
    text = (
        FLOW
        + "    await audit.run()\n\n\nif __name__ == '__main__':\n    import asyncio\n\n    asyncio.run(audit.run())\n"
    )
    assert codes(tmp_path, text) == []


@pytest.mark.parametrize(
    ("definition", "place"),
    [
        ("@workflow(slug='Not So')\nasync def made() -> None: ...\n", (4, 2)),
        ("@workflow\nasync def made(a: int, b: int) -> None: ...\n", (4, 2)),
        ("def outer():\n    @workflow\n    async def made() -> None:\n        yield\n\n\nouter()\n", (5, 6)),
    ],
)
def test_a_malformed_definition_is_told_at_its_decorator(
    tmp_path: Path, definition: str, place: tuple[int, int]
) -> None:
    text = "from ksl import workflow\n\n\n" + definition
    assert codes(tmp_path, text) == [("KSL010", *place)]


POLL = """
# triggers/inbox.py
from actions.desk import archive, notify

from ksl import PollSource


async def look() -> list[str]:
    found = await archive.run(text="inbox")
    return await told(found)


async def told(found: list[str]) -> list[str]:
    await notify.run(text="looked")
    return found


PollSource("inbox", "@hourly", look, each=True)
"""


def test_a_poll_and_its_helpers_may_run_actions(tmp_path: Path) -> None:
    assert [each.code for each in checked(tmp_path, POLL)] == []


def test_the_same_without_a_poll_is_outside_of_any_workflow(tmp_path: Path) -> None:
    text = POLL.replace("PollSource(", "print(")
    assert [each.code for each in checked(tmp_path, text.replace(", each=True", ""))] == ["KSL001", "KSL001"]


def test_many_tasks_are_read_in_about_as_much_work_as_few(tmp_path: Path) -> None:
    def reads(tasks: int) -> int:
        body = "    async with asyncio.TaskGroup() as tg:\n" + "        tg.create_task(audit.run())\n" * tasks
        with project_of(tmp_path / f"{tasks}", f"import asyncio\n{FLOW}{body}") as project:
            return walked(lambda: check(project))

    def walked(work: Callable[[], object]) -> int:
        """How many nodes are gone through."""
        count = 0

        def counting(_frame: object, event: str, _arg: object) -> None:
            nonlocal count
            count += event == "call"

        sys.setprofile(counting)
        try:
            work()
        finally:
            sys.setprofile(None)
        return count

    assert reads(200) < 6 * reads(50)

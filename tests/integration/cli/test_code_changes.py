"""Every row of the table in docs/guide/code-changes.md, by making that edit while a run waits."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ksl.build.rules.code_changed import CodeChanged
from ksl.cli.app import cli

from tests.unit.build.rules.project import DESK, write

PAGE = Path(__file__).parents[3] / "docs" / "guide" / "code-changes.md"
Json = dict[str, Any]

CODE = """\
import asyncio
from pathlib import Path

from ksl import Context, action, workflow


def did(what: str) -> None:
    with Path(__file__).with_name("ledger").open("a") as file:
        file.write(what + "\\n")


@action
async def fetch(n: int) -> int:
    did("fetch")
    return n


@action
async def save(n: int) -> int:
    did("save")
    return n


@action
async def ship(n: int) -> int:
    did("ship")
    return n


@action
async def other(n: int) -> int:
    did("other")
    return n


@workflow
async def order(ctx: Context) -> int:
    fetched = await fetch.run(n=1)
    await save.run(n=2)
    await ctx.hook(int)
    return await ship.run(n=fetched)


@workflow
async def nap(ctx: Context) -> None:
    await ctx.sleep("1d")
    await other.run(n=1)
"""
FETCH, SAVE = "    fetched = await fetch.run(n=1)\n", "    await save.run(n=2)\n"


@dataclass(frozen=True)
class Edit:
    old: str
    new: str
    rule: str = ""  # "": fits
    code: str = "KSL401"
    line: str = ""  # text of the line that is named
    does: tuple[str, ...] = ("ship",)  # after the answer, where it fits
    answer: str = "7"
    of: str = "order"  # the workflow that it changes


EDITS: dict[str, Edit] = {
    "Lines move, comments change, variables are renamed": Edit(
        CODE, CODE.replace("fetched", "pages").replace("    await save", "\n    # and then\n    await save")
    ),
    "The code inside an action changes": Edit('did("ship")', 'did("ship-2")', does=("ship-2",)),
    "A step is added after the point that was reached": Edit(
        "    return await ship", "    await other.run(n=3)\n    return await ship", does=("other", "ship")
    ),
    "A step that was not reached yet is removed or replaced": Edit(
        "await ship.run(n=fetched)", "await other.run(n=fetched)", does=("other",)
    ),
    "The schema of a hook that waits changes": Edit("ctx.hook(int)", "ctx.hook(str)", answer='"yes"'),
    "The duration of a sleep that has begun changes": Edit(
        'sleep("1d")', 'sleep("2d")', "drift", "KSL402", 'await ctx.sleep("2d")', of="nap"
    ),
    "A recorded step gets another input": Edit(
        "save.run(n=2)", "save.run(n=5)", "drift", "KSL402", "await save.run(n=5)"
    ),
    "A call of the same action is put before a recorded one": Edit(
        FETCH, "    await fetch.run(n=0)\n" + FETCH, "drift", "KSL402", "await fetch.run(n=0)"
    ),
    "A recorded step is removed": Edit(SAVE, "", "step-removed", line="await ctx.hook(int)"),
    "A recorded step calls another action": Edit(
        SAVE, "    await other.run(n=2)\n", "step-removed", line="await other.run(n=2)"
    ),
    "A sleep takes the place of a recorded step": Edit(
        SAVE, '    await ctx.sleep("1s")\n', "step-removed", line='await ctx.sleep("1s")'
    ),
    "A step of another action is put before a recorded one": Edit(
        SAVE, "    await other.run(n=0)\n" + SAVE, "step-added", line="await other.run(n=0)"
    ),
    "Two recorded steps change places": Edit(FETCH + SAVE, SAVE + FETCH, "moved", line="await save.run(n=2)"),
    "Recorded steps in sequence become a `gather`": Edit(
        FETCH + SAVE,
        "    fetched, _ = await asyncio.gather(fetch.run(n=1), save.run(n=2))\n",
        "moved",
        line="gather",
    ),
    "The body returns before a recorded step": Edit(
        SAVE, "    if fetched:\n        return 0\n" + SAVE, "ended-early", line="@workflow"
    ),
    "An action's return annotation refuses a recorded output": Edit(
        "async def save(n: int) -> int", "async def save(n: int) -> str", "other-output", line="await save"
    ),
    "A workflow is renamed or removed": Edit(
        "async def order", "async def orders", "workflow-removed", "KSL417"
    ),
}
UNFIT = [name for name, edit in EDITS.items() if edit.rule and edit.of == "order"]


class Desk:
    """A project, and somebody who edits it and types commands."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "workflows" / "flows.py"
        (folder / "workflows").mkdir()
        (folder / "ksl.toml").write_text('[store]\ndurability = "process"\n')
        self.file.write_text(CODE)

    def ksl(self, *args: str, code: int) -> Json:
        done: Result = CliRunner().invoke(cli, ["-C", str(self.folder), *args], catch_exceptions=False)
        assert done.exit_code == code, done.stderr
        answer: Json = json.loads(done.stdout)
        return answer

    def edit(self, edit: Edit) -> None:
        assert CODE.count(edit.old) == 1
        self.file.write_text(CODE.replace(edit.old, edit.new))

    def rehearsed(self, run_id: str, *, code: int) -> Json:
        [run] = [each for each in self.ksl("build", "--runs", code=code)["runs"] if each["run_id"] == run_id]
        return run

    @property
    def ledger(self) -> list[str]:
        return (self.folder / "workflows" / "ledger").read_text().split()


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.delenv("KSL_URL", raising=False)
    monkeypatch.delenv("KSL_TOKEN", raising=False)
    return Desk(tmp_path)


def test_every_row_of_the_table_is_an_edit_below_with_its_rule() -> None:
    rows = re.findall(r"^\| ([^|]+?) \| [^|]+ \| (?:`([\w-]+)` )?\|$", PAGE.read_text("utf-8"), re.MULTILINE)
    assert rows[1:] == [(name, edit.rule) for name, edit in EDITS.items()]


@pytest.mark.parametrize("name", [name for name, edit in EDITS.items() if not edit.rule])
def test_a_run_that_fits_the_edited_code_goes_on_with_it(name: str, desk: Desk) -> None:
    edit = EDITS[name]
    run_id = desk.ksl("workflows", "run", "order", code=3)["run_id"]
    sleeping = desk.ksl("workflows", "run", "nap", code=3)
    desk.edit(edit)
    for each in (run_id, sleeping["run_id"]):
        told = desk.rehearsed(each, code=0)
        assert (told["fits"], told["rule"], told["message"]) == (True, None, None)
    desk.ksl("hooks", "resume", run_id, "--data", edit.answer, code=0)
    assert desk.ledger == ["fetch", "save", *edit.does]
    [moment] = sleeping["waiting_on"]
    assert desk.ksl("runs", "show", sleeping["run_id"], code=0)["waiting_on"] == [moment]


@pytest.mark.parametrize("name", UNFIT)
def test_a_run_that_does_not_fit_is_held_and_ends_with_the_old_code(name: str, desk: Desk) -> None:
    edit = EDITS[name]
    run_id = desk.ksl("workflows", "run", "order", code=3)["run_id"]
    sleeping = desk.ksl("workflows", "run", "nap", code=3)["run_id"]
    desk.edit(edit)
    told = desk.rehearsed(run_id, code=1)
    assert (told["fits"], told["rule"], told["code"]) == (False, edit.rule, edit.code)
    if edit.line:
        file, _, number = told["line"].rpartition(":")
        assert edit.line in (desk.folder / file).read_text().splitlines()[int(number) - 1]
    assert desk.rehearsed(sleeping, code=1)["fits"]
    # Rehearsing changed nothing, so now it is an answer that finds the code unfit.
    assert desk.ksl("runs", "show", run_id, code=0)["status"] == "waiting"
    CliRunner().invoke(cli, ["-C", str(desk.folder), "hooks", "resume", run_id, "--data", "7"])
    held = desk.ksl("runs", "show", run_id, code=0)
    assert (held["status"], held["error"]["code"]) == ("held", edit.code)
    assert desk.ledger == ["fetch", "save"]
    desk.file.write_text(CODE)
    assert desk.rehearsed(run_id, code=0)["fits"]
    assert desk.ksl("runs", "retry", run_id, code=3)["status"] == "waiting"
    assert desk.ksl("hooks", "resume", run_id, "--data", "7", code=0)["output"] == 1
    assert desk.ledger == ["fetch", "save", "ship"]


def test_a_sleep_of_another_duration_is_told_of_and_fits_again_with_the_old_one(desk: Desk) -> None:
    edit = EDITS["The duration of a sleep that has begun changes"]
    run_id = desk.ksl("workflows", "run", "nap", code=3)["run_id"]
    desk.edit(edit)
    told = desk.rehearsed(run_id, code=1)
    assert (told["fits"], told["rule"], told["code"]) == (False, edit.rule, edit.code)
    file, _, number = told["line"].rpartition(":")
    assert edit.line in (desk.folder / file).read_text().splitlines()[int(number) - 1]
    desk.file.write_text(CODE)
    assert desk.rehearsed(run_id, code=0)["fits"]


def test_drift_is_accepted_by_release(desk: Desk) -> None:
    run_id = desk.ksl("workflows", "run", "order", code=3)["run_id"]
    desk.edit(EDITS["A recorded step gets another input"])
    CliRunner().invoke(cli, ["-C", str(desk.folder), "hooks", "resume", run_id, "--data", "7"])
    assert desk.ksl("runs", "release", run_id, code=3)["status"] == "held"
    assert desk.ksl("runs", "release", run_id, "--accept-drift", code=3)["status"] == "waiting"
    assert desk.rehearsed(run_id, code=0)["fits"]
    assert desk.ksl("hooks", "resume", run_id, "--data", "7", code=0)["output"] == 1
    assert desk.ledger == ["fetch", "save", "ship"]


def test_a_fork_goes_on_with_the_new_code(desk: Desk) -> None:
    run_id = desk.ksl("workflows", "run", "order", code=3)["run_id"]
    desk.edit(EDITS["A recorded step calls another action"])
    fork = desk.ksl("runs", "fork", run_id, "--at", "save#0", code=3)["run_id"]
    assert desk.ledger == ["fetch", "save", "other"]
    assert desk.ksl("hooks", "resume", fork, "--data", "7", code=0)["output"] == 1
    assert desk.ksl("runs", "show", fork, "--field", "forked_from", "--json", code=0) == run_id


def test_people_read_which_runs_do_not_fit(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = desk.ksl("workflows", "run", "order", code=3)["run_id"]
    desk.edit(EDITS["A recorded step is removed"])
    monkeypatch.setattr("ksl.cli.invocation.Invocation.prints_json", False)
    done = CliRunner().invoke(cli, ["-C", str(desk.folder), "build", "--runs"])
    assert done.exit_code == 1
    assert f"{run_id}  order  waiting  does not fit  step-removed  workflows/flows.py:" in done.stdout
    assert "1 unfinished run, 1 does not fit" in done.stdout


def test_without_a_database_there_is_no_run_to_fit(desk: Desk) -> None:
    assert desk.ksl("build", "--runs", code=0)["runs"] == []
    assert not (desk.folder / ".ksl").exists()


@pytest.mark.parametrize(
    ("name", "said", "text"),
    [
        ("A recorded step is removed", "2 runs wait after `save`; its site is gone", ""),
        ("A recorded step calls another action", "2 runs wait after `save`; its site is gone", ""),
        ("A recorded step gets another input", "2 runs wait after `save`; the code gives a recorded step another input",
         "await save"),
        ("Two recorded steps change places",
         "2 runs wait after `save`; the code asks for recorded steps in another order", ""),
        ("A workflow is renamed or removed", "2 runs wait after `save`; the workflow is gone", ""),
    ],
)  # fmt: skip
def test_a_build_says_which_edit_broke_how_many_runs(name: str, said: str, text: str, desk: Desk) -> None:
    for _ in range(2):
        desk.ksl("workflows", "run", "order", code=3)
    desk.edit(EDITS[name])
    built = desk.ksl("build", "--runs", code=1)
    [told] = [each for each in built["warnings"] if each["code"] == "KSL117"]
    assert told["message"] == said
    assert (told["file"], told["severity"]) == ("workflows/flows.py", "warning")
    assert text in told["source"]


def test_the_example_of_the_rule_is_one_that_breaks_it(desk: Desk) -> None:
    rule = CodeChanged()
    write(desk.folder, "actions/desk.py", DESK)
    desk.file.write_text(rule.good)
    desk.ksl("workflows", "run", "order", "--input", "3", code=3)
    assert desk.ksl("build", "--runs", code=0)["warnings"] == []
    desk.file.write_text(rule.bad)
    [told] = desk.ksl("build", "--runs", code=1)["warnings"]
    assert (told["code"], told["message"]) == ("KSL117", "1 run waits after `notify`; its site is gone")

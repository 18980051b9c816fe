"""A project that is read, not run, is told of as one that is imported, as far as names go."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ksl.build.canvas import canvas_of
from ksl.build.canvas.outline import outline
from ksl.build.discover import Project, discover, unload
from ksl.build.rules.check import check

from tests.big_project import write_big_project
from tests.unit.build.rules.project import DESK, write
from tests.unit.build.rules.test_snippets import BODIES, HEAD

ACTIONS = """\
nothing_here_is_run()

import ksl
import ksl as k
from ksl import Agent, action as act


@act
async def plain(n: int) -> int: ...


@ksl.action(slug="other-name")
async def renamed(n: int) -> int: ...


def bare(n: int) -> int: ...


made = k.action(bare, slug="made-here")
also = plain
helper = Agent(slug="help-desk", model="test/echo")
"""
FLOW = """\
import os
os._exit(3)

import actions.desk as desk
from actions import desk as same
from actions.desk import *
from lib.more import farther
from nowhere import unknown

from ksl import Context, workflow

if os.name == "posix":
    from actions.desk import plain as chosen
else:
    chosen = None


@workflow(slug="named")
async def flow(n: int, ctx: Context) -> int:
    from actions.desk import renamed as late

    await desk.plain.run(n=n)
    await same.renamed.run(n=n)
    await made.run(n=n)
    await also.run(n=n)
    await farther.run(n=n)
    await chosen.run(n=n)
    await late.run(n=n)
    await helper.prompt(message="hello")
    await unknown.run(n=n)
    await ctx.sleep("1s")
    return await tell(n)


async def tell(n: int) -> int:
    return await plain.run(n=n)
"""


def read(folder: Path) -> Project:
    return discover(folder, importing=False)


def test_definitions_are_told_by_their_decorators_and_imports_by_their_paths(tmp_path: Path) -> None:
    write(tmp_path, "actions/desk.py", ACTIONS)
    write(tmp_path, "lib/more.py", "from ksl import action\n\n\n@action\ndef farther(n: int) -> int: ...\n")
    write(tmp_path, "workflows/flow.py", FLOW)
    project = read(tmp_path)
    try:
        assert project.failures == []
        assert sorted(project.workflows) == ["named"]
        assert sorted(project.actions) == ["farther", "made-here", "other-name", "plain"]
        assert sorted(project.agents) == ["help-desk"]
        assert [site.key or site.key_for("*") for site in project.tables["named"].sites] == [
            "plain", "other-name", "made-here", "plain~2", "farther", "plain~3", "other-name~2", "help-desk", "*~d1",
            "sleep", "plain~4",
        ]  # fmt: skip
        assert "other-name" in outline(canvas_of(project, "named"))
        assert {each.code for each in check(project)} == {"KSL107", "KSL111"}
    finally:
        unload(project)
    assert not [name for name in sys.modules if name.startswith(("actions.", "workflows.", "lib."))]


@pytest.mark.parametrize("body", [body for body in BODIES if "getattr" not in body])
def test_the_rules_say_the_same_as_when_it_is_imported(body: str, tmp_path: Path) -> None:
    write(tmp_path, "actions/desk.py", DESK)
    write(tmp_path, "workflows/example.py", f"{HEAD}    {body}\n")
    project = read(tmp_path)
    try:
        assert project.failures == []
        assert [each.code for each in check(project)] == BODIES[body].split()
    finally:
        unload(project)


def test_a_file_that_does_not_parse_is_told_of_and_the_rest_is_read(tmp_path: Path) -> None:
    write_big_project(tmp_path, 3)
    write(tmp_path, "workflows/broken.py", "def flow(:\n")
    project = read(tmp_path)
    try:
        assert [(each.file, each.line) for each in project.failures] == [("workflows/broken.py", 1)]
        assert len(project.workflows) == 3
    finally:
        unload(project)

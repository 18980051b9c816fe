"""The same call is the same step: on the canvas, in the table, in a run, in its replay, however long things take.

Over two thousand random programs. A program is named by its seed alone: see `programs`.
"""

from __future__ import annotations

import ast
import asyncio
import warnings
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from random import Random

import pytest

from ksl.build.canvas import canvas_of, extract
from ksl.build.canvas.blocks import Opaque, Range, Step, Wait, walk
from ksl.build.discover import Project
from ksl.build.rules.check import check, check_file
from ksl.build.rules.diagnostic import Diagnostic
from ksl.build.rules.reading import Reading
from ksl.engine.host import Limits
from ksl.engine.rehearsal import Stage, rehearse
from ksl.engine.tokens import TokenKeys
from ksl.errors import KslError
from ksl.records import FINISHED

from tests.property.machine import Ended, Machine, programs
from tests.property.test_canvas import program as wild_program
from tests.unit.build.stand_in import Ctx, is_context, kind_of, load, table_of

COUNT = 2_000
CHUNK = 100  # programs to a project
FIRST = 300_000


@pytest.mark.parametrize("first", range(FIRST, FIRST + COUNT, CHUNK))
async def test_a_call_is_one_step_wherever_it_shows(tmp_path: Path, first: int) -> None:
    seeds = [(f"p{seed}", seed, seed % 2 == 0) for seed in range(first, first + CHUNK)]
    executed = 0
    with programs(tmp_path, seeds) as project:
        told = check(project)
        assert not [each for each in told if each.severity == "error"], "people may write these programs"
        for slug in project.tables:
            _drawn_or_told(project, slug, told)
        for slug, seed, steady in seeds:
            live = await _run(Machine(project, slug, seed=seed))
            assert live.row.status in FINISHED, f"{slug}: {live.row.status} {live.events[-1]}"
            ids = list(_ids(live))
            executed += len(ids)
            # A call whose position is not in the table ends the run with KSL403, which names it.
            assert "UnknownSite" not in str(live.events[-1].data), slug
            keys = _keys(project)
            assert all(_key(each) in keys for each in ids), f"{slug}: {ids}"
            error = await _replayed(project, live)
            assert error is None, f"{slug}: {error}"
            if steady:
                shuffled = await _run(Machine(project, slug, seed=seed + 1))
                assert set(_ids(shuffled)) == set(ids), slug
                assert shuffled.outcomes() == live.outcomes(), slug
    assert executed > 4 * CHUNK


def _drawn_or_told(project: Project, slug: str, told: list[Diagnostic]) -> None:
    """Every step call that stands in the source is a node, or in a block that a diagnostic speaks of."""
    table, canvas = project.tables[slug], canvas_of(project, slug)
    blocks = list(walk(canvas.blocks))
    drawn = [block.at for block in blocks if isinstance(block, Step | Wait)]
    hidden = {step.at: block for block in blocks if isinstance(block, Opaque) for step in block.steps}
    here = [each for each in told if table.file.endswith(each.file) and each.severity != "information"]
    lines = {line for each in here for line in range(each.line, each.end_line + 1)}
    sites = {Range.of(site) for site in table.sites}
    for call in _step_calls(table.source.tree):
        at = Range.of(call)
        if at not in sites:
            continue  # of another workflow of the file
        if at in hidden:
            block = hidden[at].at
            spoken = (
                set(range(block.line, block.end_line + 1)) | {at.line} | _used(table.source.tree, at.line)
            )
            assert spoken & lines or "as_completed" in hidden[at].label, f"{slug}: {ast.unparse(call)}"
        else:
            assert drawn.count(at) == 1, f"{slug}: {ast.unparse(call)}"
    assert canvas.unplaced == ()


def _used(tree: ast.AST, line: int) -> set[int]:
    """Where the variable is used that this line assigns to."""
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], lineno=at) if at == line:
                return {
                    each.lineno for each in ast.walk(tree) if isinstance(each, ast.Name) and each.id == name
                }
            case _:
                pass
    return set()


def _step_calls(tree: ast.AST) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr == "run" or ast.unparse(node.func) in ("ctx.sleep", "ctx.hook"):
                yield node


def _keys(project: Project) -> set[str]:
    sites = chain.from_iterable(table.sites for table in project.tables.values())
    return {site.key for site in sites if site.key is not None} | {"timer"}


def _ids(ended: Ended) -> Iterator[str]:
    for event in ended.events:
        if event.step is not None and event.type in ("step_completed", "sleep_started", "hook_created"):
            yield event.step.removeprefix("step:")


def _key(step_id: str) -> str:
    return step_id.rsplit("/", 1)[-1].partition("#")[0].partition("[")[0]


async def _run(machine: Machine) -> Ended:
    try:
        return await machine.finish()
    finally:
        await machine.close()


async def _replayed(project: Project, live: Ended) -> KslError | None:
    """Why its history, but for its end, is not what the code asks for when nothing takes any time."""
    stage = Stage(
        clock=_Clock(),
        tokens=TokenKeys.for_tests(),
        limits=Limits(payload=1 << 20, steps=100_000),
        workspaces_root=project.folder,
    )
    loop = asyncio.get_running_loop()
    done: asyncio.Future[KslError | None] = loop.create_future()
    loop.call_soon(lambda: done.set_result(rehearse(project, live.row, live.events[:-1], stage=stage)))
    return await done


class _Clock:
    def now_ms(self) -> int:
        return 0

    def steady_s(self) -> float:
        return 0.0


def test_of_any_program_what_the_canvas_does_not_draw_is_told(tmp_path: Path) -> None:
    """Programs that parse, sensible or not, and their steps in every place where an expression may stand."""
    hidden = 0
    for seed in range(100):
        text = wild_program(Random(seed), leaves=seed % 2 == 0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            space = load(tmp_path / f"flow{seed}.py", text)
        table = table_of(space["body"])
        canvas = extract(space["body"], table, kind_of=kind_of, is_context=is_context)
        file = Reading(
            table.source, space, file="flow.py", sites=table.sites, bodies=[space["body"]], actions=[],
            kind_of=kind_of, is_context=Ctx, canvases=[canvas],
        )  # fmt: skip
        told = {each.line for each in check_file(file)}
        blocks = list(walk(canvas.blocks))
        drawn = {block.at for block in blocks if isinstance(block, Step | Wait)}
        opaque = [block for block in blocks if isinstance(block, Opaque)]
        for step in file.steps:
            if (
                step.where in ("drawn", "hidden")
                and step.kind != "dynamic"
                and Range.of(step.call) not in drawn
            ):
                around = [step.call, *file.above(step.call)]
                lines = {line for node in around if isinstance(node, ast.expr) for line in _lines(node)}
                helper = file.drawn_function(step.call)
                lines |= {name.lineno for name in file.helpers.get(helper, [])} if helper else set()
                lines |= _used(table.source.tree, step.call.lineno)
                at = Range.of(step.call)
                lines |= {block.at.line for block in opaque if any(each.at == at for each in block.steps)}
                assert lines & told, f"{seed}: {ast.unparse(step.call)} at line {step.call.lineno}"
                hidden += 1
    assert hidden > 500


def _lines(node: ast.expr) -> range:
    return range(node.lineno, (node.end_lineno or node.lineno) + 1)

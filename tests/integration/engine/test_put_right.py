"""Runs that are held for a broken rule, and a death in the middle of letting them go."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ksl.build.config import load_settings
from ksl.build.discover import discover, unload
from ksl.build.rules.enforce import enforce
from ksl.engine.put_right import let_go
from ksl.records import RunStatus
from ksl.runtime import Runtime

FLOWS = """
from ksl import Context, action, workflow


@action
async def note(text: str) -> str:
    return text


@workflow
async def asking(ctx: Context) -> str:
    {call}note.run(text="going")
    answer = await ctx.hook(title="Go on?")
    return str(answer)


@workflow
async def other(ctx: Context) -> str:
    answer = await ctx.hook(title="Other?")
    return str(answer)
"""
RIGHT, WRONG = FLOWS.format(call="await "), FLOWS.format(call="")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "ksl.toml").write_text('[store]\ndurability = "process"\n')
    (tmp_path / "workflows").mkdir()
    return tmp_path


@asynccontextmanager
async def opened(folder: Path, text: str, *, serve: bool = True) -> AsyncGenerator[Runtime]:
    (folder / "workflows" / "flows.py").write_text(text)
    project = discover(folder)
    enforce(project)
    runtime = await Runtime.open(folder, load_settings(folder), project=project, serve=serve)
    try:
        yield runtime
    finally:
        await runtime.close(drain_s=0)
        unload(project)


async def held_for_a_rule(folder: Path, number: int) -> list[str]:
    async with opened(folder, RIGHT) as runtime:
        runs = [(await runtime.start("asking", b"null")).run.run_id for _ in range(number)]
        for run_id in runs:
            await runtime.settled(run_id, timeout_s=20, waits=True)
    async with opened(folder, WRONG) as runtime:
        rows = [await runtime.engine_row(run_id) for run_id in runs]
        assert {row.status for row in rows} == {RunStatus.HELD}
        assert runtime.let_go == 0
    return runs


async def test_a_death_after_letting_go_and_before_taking_up_loses_nothing(folder: Path) -> None:
    runs = await held_for_a_rule(folder, 3)
    async with opened(folder, RIGHT, serve=False) as runtime:
        assert await let_go(runtime.engine) == 3
        assert await let_go(runtime.engine) == 0
        # And here the process dies: nobody takes them up.
    async with opened(folder, RIGHT) as runtime:
        assert runtime.let_go == 0
        for run_id in runs:
            # No event tells that it waits again, and whoever follows it hears of it all the same.
            assert (await runtime.settled(run_id, timeout_s=None, waits=True)).status is RunStatus.WAITING
            await runtime.resume_hook(run_id, None, b"1")
            assert (await runtime.settled(run_id, timeout_s=20)).status is RunStatus.SUCCEEDED
            types = [event.type for event in await runtime.store.events(run_id)]
            assert types.count("run_released") == 1
            assert types.count("step_completed") == 1


async def test_runs_that_had_not_begun_go_in_line(folder: Path) -> None:
    async with opened(folder, RIGHT, serve=False) as runtime:
        started = await runtime.start("asking", b"null", admit=False)
    async with opened(folder, WRONG) as runtime:
        assert (await runtime.engine_row(started.run.run_id)).status is RunStatus.HELD
    async with opened(folder, RIGHT) as runtime:
        assert runtime.let_go == 1
        row = await runtime.settled(started.run.run_id, timeout_s=20, waits=True)
        assert row.status is RunStatus.WAITING


async def test_runs_held_for_anything_else_stay_as_they_are(folder: Path) -> None:
    async with opened(folder, RIGHT) as runtime:
        paused = (await runtime.start("asking", b"null")).run.run_id
        gone = (await runtime.start("other", b"null")).run.run_id
        for run_id in (paused, gone):
            await runtime.settled(run_id, timeout_s=20, waits=True)
        await runtime.pause(paused, reason="RuleBroken", by="ada")
    async with opened(folder, RIGHT.partition("@workflow\nasync def other")[0]) as runtime:
        assert (await runtime.settled(gone, timeout_s=20, waits=True)).status is RunStatus.HELD
    async with opened(folder, RIGHT) as runtime:
        assert runtime.let_go == 0
        for run_id in (paused, gone):
            assert (await runtime.engine_row(run_id)).status is RunStatus.HELD

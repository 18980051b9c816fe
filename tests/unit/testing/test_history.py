from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ksl import Context, Retry, Workflow, action, workflow
from ksl.errors import InputDrift, ReplayMismatch
from ksl.testing import History, environment, replay

performed: list[int] = []


@action
async def act(n: float) -> dict[str, float]:
    performed.append(1)
    return {"n": n * 1e16, "small": 1e-7}


@action
async def other(n: float) -> None: ...


async def _recorded(flow: Workflow[Any, Any], *, until: str | None = None, answer: object = True) -> History:
    async with environment() as env:
        run = await env.start(flow, 3)
        if until is not None:
            await env.advance(until)
        else:
            await env.advance("1d")
            await env.resume(run, answer)
            await run.end()
        return env.history(run)


@workflow(slug="flow", retry=Retry(attempts=1))
async def flow(input: int, ctx: Context) -> list[Any]:
    first = await act.run(input / 3)
    await ctx.sleep("1h")
    if await ctx.hook(bool):
        return [first, (await act.run(1e-9))["n"], str(ctx.now()), ctx.random().random()]
    raise ValueError("refused")


async def test_a_recorded_run_replays_without_performing_anything(tmp_path: Path) -> None:
    history = await _recorded(flow)
    history.save(tmp_path / "run.json")
    performed.clear()
    loaded = History.load(tmp_path / "run.json")
    loaded.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_text() == (tmp_path / "run.json").read_text()
    replayed = await replay(flow, loaded)
    assert (replayed.status, replayed.wanted) == ("succeeded", [])
    assert replayed.output[0] == {"n": 1e16, "small": 1e-7}
    assert performed == []


async def test_text_and_plain_json_will_do(tmp_path: Path) -> None:
    history = await _recorded(flow)
    history.save(tmp_path / "run.json")
    text = (tmp_path / "run.json").read_text()
    for form in (text, text.encode(), json.loads(text), tmp_path / "run.json"):
        assert (await replay(flow, form)).status == "succeeded"


async def test_a_failed_run_replays_to_its_failure() -> None:
    history = await _recorded(flow, answer=False)
    assert (await replay(flow, history)).status == "failed"


async def test_an_unfinished_run_replays_to_where_it_waits() -> None:
    history = await _recorded(flow, until="0s")
    assert (await replay(flow, history)).status == "sleeping"


async def test_another_step_than_the_recorded_one_is_a_mismatch() -> None:
    @workflow(slug="flow")
    async def changed(input: int, ctx: Context) -> None:
        await other.run(input / 3)

    with pytest.raises(ReplayMismatch, match=r"step_completed of step:act#0 at event 3"):
        await replay(changed, await _recorded(flow))


async def test_another_input_is_drift() -> None:
    @workflow(slug="flow")
    async def changed(input: int, ctx: Context) -> None:
        await act.run(input / 2)

    with pytest.raises(InputDrift, match=r"\{\"n\":1\.5\}"):
        await replay(changed, await _recorded(flow))


async def test_another_end_is_a_mismatch() -> None:
    @workflow(slug="flow")
    async def longer(input: int, ctx: Context) -> None:
        await act.run(input / 3)
        await ctx.sleep("1h")
        await ctx.hook(bool)
        await act.run(1e-9)
        await other.run(1)

    @workflow(slug="flow", retry=Retry(attempts=1))
    async def different(input: int, ctx: Context) -> str:
        await act.run(input / 3)
        await ctx.sleep("1h")
        await ctx.hook(bool)
        await act.run(1e-9)
        return "different"

    @workflow(slug="flow", retry=Retry(attempts=1))
    async def fails(input: int, ctx: Context) -> str:
        await act.run(input / 3)
        await ctx.sleep("1h")
        await ctx.hook(bool)
        await act.run(1e-9)
        raise ValueError("another")

    history = await _recorded(flow)
    with pytest.raises(ReplayMismatch, match="goes on and waits for other#0"):
        await replay(longer, history)
    with pytest.raises(ReplayMismatch, match='returns "different"'):
        await replay(different, history)
    with pytest.raises(ReplayMismatch, match="fails there: ValueError: another"):
        await replay(fails, history)


async def test_a_history_of_another_workflow_is_refused() -> None:
    @workflow
    async def elsewhere() -> None: ...

    with pytest.raises(ReplayMismatch, match="of workflow flow, not of elsewhere"):
        await replay(elsewhere, await _recorded(flow))


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"run_id": "r", "events": []}', '{"run_id": "r", "events": [{"type": "x"}]}']
)
async def test_what_is_no_history_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"events"):
        await replay(flow, text)


def test_a_history_with_a_gap_is_refused() -> None:
    event = {"seq": 2, "type": "run_created", "step": None, "at": "2026-01-05T09:00:00.000Z", "data": None}
    with pytest.raises(ValueError, match="without a gap"):
        History.parse({"run_id": "r", "events": [event]})

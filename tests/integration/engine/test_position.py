"""Where a body stood: the lines and variables at every event, from a replay that changes nothing."""

from __future__ import annotations

from textwrap import dedent
from typing import Any

import pytest

from ksl.errors import BadRequest, UnknownRun
from ksl.runtime.positions import position_json, stage_of

from tests.engine_fixture import World

ORDER = """
@dataclasses.dataclass
class Receipt:
    id: str
    paid: int

@action
async def charge(amount: int) -> Receipt:
    return Receipt("r1", amount)

@workflow
async def w(input: int, ctx: Context) -> str:
    total = input * 2
    receipt = await charge.run(amount=total)
    await ctx.sleep("1h")
    note = f"paid {receipt.paid}"
    answer = await ctx.hook(name="ok")
    return note
"""


async def at(world: World, run_id: str, seq: int | None = None) -> dict[str, Any]:
    return await world.runtime.position(run_id, seq)


def where(shown: dict[str, Any]) -> list[tuple[str, str]]:
    """(place, text of the innermost line) of each branch."""
    found: list[tuple[str, str]] = []
    for branch in shown["branches"]:
        frame = branch["frames"][-1]
        line = next(each for each in frame["source"] if each["line"] == frame["line"])
        found.append((branch["place"], line["text"].strip()))
    return found


def variables(shown: dict[str, Any]) -> dict[str, str]:
    return shown["branches"][0]["frames"][0]["variables"]


async def test_each_event_has_its_line_and_the_variables_as_they_were(world: World) -> None:
    await world.load(ORDER)
    run_id = await world.start("w", 21)
    await world.rest()
    await world.advance(3601)
    await world.answer(run_id, {"by": "Ada"})
    done = await world.finish(run_id)
    assert done.flow == [
        "run_created", "run_started", "step_completed charge#0", "sleep_started sleep#0", "sleep_completed sleep#0",
        "hook_created hook#0", "hook_resumed hook#0", "run_completed",
    ]  # fmt: skip

    created, started, charged, slept, woken, made, resumed, completed = [
        await at(world, run_id, seq) for seq in range(1, 9)
    ]

    assert (created["state"], created["branches"]) == ("queued", [])
    assert where(started) == [("", "receipt = await charge.run(amount=total)")]
    assert started["awaited"] == [{"step": "charge#0", "kind": "action"}]
    assert variables(started)["total"] == "42"
    assert "receipt" not in variables(started)
    for shown in (charged, slept):
        assert where(shown) == [("", 'await ctx.sleep("1h")')]
        assert variables(shown)["receipt"] == "Receipt(id='r1', paid=42)"
        assert shown["awaited"] == [{"step": "sleep#0", "kind": "sleep"}]
    for shown in (woken, made):
        assert where(shown) == [("", 'answer = await ctx.hook(name="ok")')]
        assert variables(shown)["note"] == "'paid 42'"
        assert shown["awaited"] == [{"step": "hook#0", "kind": "hook"}]
    for shown in (resumed, completed):
        assert (shown["state"], shown["branches"], shown["error"]) == ("returned", [], None)
    assert [shown["seq"] for shown in (created, completed)] == [1, 8]
    assert (completed["first_seq"], completed["last_seq"]) == (1, 8)
    assert await at(world, run_id) == completed


async def test_looking_stores_nothing_and_runs_no_step(world: World) -> None:
    await world.load(
        ORDER.replace('return Receipt("r1", amount)', 'stage.notes.append(1); return Receipt("r1", amount)')
    )
    run_id = await world.start("w", 1)
    await world.rest()
    before = (await world.seen(run_id), list(world.stage.notes), await world.store.feed_end())

    for seq in range(1, 5):
        await at(world, run_id, seq)
    await world.store.flush()

    after = (await world.seen(run_id), list(world.stage.notes), await world.store.feed_end())
    assert before[1:] == after[1:]
    assert before[0].types == after[0].types
    assert world.live(run_id) is not None


async def test_every_branch_and_sub_workflow_stands_somewhere(world: World) -> None:
    await world.load(
        dedent("""
    @workflow
    async def inner(input: str) -> str:
        doubled = input * 2
        return await slow.run(value=doubled, rank=2)

    async def side(name: str) -> str:
        return await slow.run(value=name, rank=1)

    @workflow
    async def w(input: None) -> list[str]:
        return list(await asyncio.gather(side("left"), inner.run("in")))
    """)
    )
    run_id = await world.start()
    await world.rest()

    shown = await at(world, run_id)

    assert where(shown) == [
        ("", 'return list(await asyncio.gather(side("left"), inner.run("in")))'),
        ("0", "return await slow.run(value=name, rank=1)"),
        ("", "return await slow.run(value=doubled, rank=2)"),
    ]
    assert [branch["workflow"] for branch in shown["branches"]] == ["w", "w", "inner"]
    assert shown["branches"][2]["frames"][-1]["variables"] == {"input": "'in'", "doubled": "'inin'"}
    assert {each["step"] for each in shown["awaited"]} == {"slow[0]#0", "inner#0", "inner#0/slow#0"}


async def test_a_body_that_raised_is_shown_where_it_did(world: World) -> None:
    await world.load(
        dedent("""
    async def check(total: int) -> None:
        limit = 10
        if total > limit:
            raise FatalError(f"{total} is too much")

    @workflow(retry=Retry(attempts=1))
    async def w(input: int) -> None:
        total = await echo.run(value=input)
        await check(total)
    """)
    )
    failed = await world.run("w", 12)
    assert failed.status == "failed"

    shown = await at(world, failed.run_id)

    assert shown["state"] == "raised"
    assert shown["error"] == {"type": "FatalError", "message": "12 is too much"}
    frames = shown["branches"][0]["frames"]
    assert [frame["function"] for frame in frames] == ["w", "check"]
    assert frames[1]["variables"] == {"total": "12", "limit": "10"}


async def test_an_earlier_attempt_of_the_run_can_be_looked_at(world: World) -> None:
    await world.load(
        dedent("""
    @workflow(retry=Retry(attempts=2, initial="1s"))
    async def w(input: None, ctx: Context) -> str:
        kept = await echo.run(value="kept")
        return await fail.run(times=1)
    """)
    )
    done = await world.run()
    first, second = [seq for seq, type in enumerate(done.types, start=1) if type == "run_started"]

    assert (await at(world, done.run_id, first))["attempt"] == 1
    assert (await at(world, done.run_id, first + 1))["attempt"] == 1
    later = await at(world, done.run_id, second)
    assert later["attempt"] == 2
    assert where(later) == [("", "return await fail.run(times=1)")]
    assert variables(later)["kept"] == "'kept'"


async def test_a_step_that_must_not_run_twice_is_still_under_way_while_looking(world: World) -> None:
    await world.load(
        dedent("""
    @action(effect="at_most_once")
    async def once() -> str:
        return "done"

    @workflow
    async def w(input: None) -> str:
        return await once.run()
    """)
    )
    done = await world.run()
    started = done.types.index("step_started") + 1

    shown = await at(world, done.run_id, started)

    assert (shown["state"], shown["awaited"]) == ("standing", [{"step": "once#0", "kind": "action"}])


async def test_code_that_does_not_fit_is_shown_up_to_where_they_part(world: World) -> None:
    await world.load(ORDER)
    run_id = await world.start("w", 1)
    await world.rest()
    await world.restart(ORDER.replace('await ctx.sleep("1h")', "await echo.run(value=receipt.paid)"))

    shown = await at(world, run_id)

    assert shown["misfit"]["code"] == "KSL401"
    assert where(shown) == [("", "await echo.run(value=receipt.paid)")]


async def test_an_event_that_the_run_has_not_got_is_refused(world: World) -> None:
    await world.load(ORDER)
    run_id = await world.start("w", 1)
    await world.rest()

    with pytest.raises(BadRequest, match="has events 1 to 4; there is no 5"):
        await at(world, run_id, 5)
    with pytest.raises(UnknownRun):
        await at(world, "run_nobody")


async def test_the_newest_position_is_told_without_a_server_too(disk: World) -> None:
    await disk.load(ORDER)
    run_id = await disk.start("w", 1)
    await disk.rest()
    engine = disk.runtime.engine
    stage = stage_of(disk.runtime.settings, engine.tokens)

    shown = await position_json(engine.project, disk.store, run_id, None, stage=stage)

    assert shown == await at(disk, run_id)

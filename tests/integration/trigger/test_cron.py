"""Cron sources on a clock that is moved by hand: each tick fires once, or is counted as left out, by policy."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from ksl.records import FiringRow
from ksl.views.events import event_json
from ksl.views.times import rfc3339
from ksl.views.triggers import trigger_whole_json

from tests.engine_fixture import START_MS, World

MINUTE = 60_000
# The clock begins at 15:06:40 UTC, on 15 June 2025.
FIRST_MS = START_MS + 20_000 + 3 * MINUTE  # 15:10

W = """
@workflow
async def w(input: Any, ctx: Context) -> Any:
    return [ctx.trigger, ctx.triggered_at.isoformat()]
"""
SLOW = """
@workflow
async def w(input: Any, ctx: Context) -> Any:
    return await slow.run(value=ctx.triggered_at.minute)
"""


def tens(options: str = "", workflow: str = W, schedule: str = "*/10 * * * *") -> str:
    return f'{workflow}\nCronSource("tens", "{schedule}", {options}).attach(w)\n'


async def look(world: World) -> int:
    fired = await world.runtime.cron.once(world.clock.now_ms())
    await world.rest()
    return fired


async def pass_minutes(world: World, minutes: int) -> None:
    """With a look at each full minute, and some seconds later."""
    for _ in range(minutes):
        world.clock.pass_ms(MINUTE - (world.clock.ms - FIRST_MS) % MINUTE)
        await look(world)
        world.clock.pass_ms(5_000)
        await look(world)


async def firings(world: World, source: str = "tens") -> list[FiringRow]:
    """Oldest first."""
    page = await world.store.triggers.firings(source, limit=1000)
    return page.rows[::-1]


async def nominal(world: World) -> list[str]:
    """The moments that runs were started for, in order, as they see them."""
    runs = [await world.seen(run.run_id) for row in await firings(world) for run in row.runs]
    assert all(run.status == "succeeded" for run in runs)
    assert all(run.output[0] == "cron" for run in runs)
    return [run.output[1][11:16] for run in runs]


async def skips(world: World) -> list[int]:
    return [row.skipped for row in await firings(world)]


async def down(world: World, minutes: int, seconds: int = 0, text: str | None = None) -> None:
    """The process dies, time passes, another begins."""
    world.clock.pass_ms(minutes * MINUTE + seconds * 1_000)
    await world.restart(text)
    await look(world)


async def test_a_source_begins_with_the_next_tick_after_it_was_first_seen(world: World) -> None:
    await world.load(tens())
    assert await look(world) == 0
    await pass_minutes(world, 25)
    assert await nominal(world) == ["15:10", "15:20", "15:30"]
    assert await skips(world) == [0, 0, 0]


async def test_five_ticks_missed_are_one_run_for_the_newest_by_default(world: World) -> None:
    await world.load(tens())
    await look(world)
    await pass_minutes(world, 4)  # 15:10 fires
    await down(world, 53)  # 15:20 to 16:00 pass by
    assert await nominal(world) == ["15:10", "16:00"]
    assert await skips(world) == [0, 4]
    run = await world.seen((await firings(world))[1].runs[0].run_id)
    assert run.events[0].meta is not None
    assert run.events[0].meta.skipped == 4
    assert event_json(run.events[0])["meta"]["skipped"] == 4


async def test_five_ticks_missed_are_a_run_each_with_all(world: World) -> None:
    await world.load(tens('misfire="all"'))
    await look(world)
    await pass_minutes(world, 4)
    await down(world, 53)
    assert await nominal(world) == ["15:10", "15:20", "15:30", "15:40", "15:50", "16:00"]
    assert await skips(world) == [0] * 6


async def test_five_ticks_missed_are_recorded_and_start_nothing_with_skip(world: World) -> None:
    await world.load(tens('misfire="skip"'))
    await look(world)
    await pass_minutes(world, 4)
    await down(world, 53)
    assert await nominal(world) == ["15:10"]
    rows = await firings(world)
    assert (rows[1].verdict, rows[1].skipped, rows[1].runs) == ("skipped", 5, ())
    assert "missed" in rows[1].reason
    await pass_minutes(world, 10)
    assert await nominal(world) == ["15:10", "16:10"]


async def test_a_restart_within_the_grace_of_a_tick_fires_it_even_with_skip(world: World) -> None:
    await world.load(tens('misfire="skip"'))
    await look(world)
    await pass_minutes(world, 2)  # it is 15:08:05
    await down(world, 1, 59)  # 15:10:04
    assert await nominal(world) == ["15:10"]


async def test_two_restarts_within_a_minute_do_not_fire_a_tick_twice(world: World) -> None:
    await world.load(tens())
    await look(world)
    await pass_minutes(world, 4)
    for _ in range(3):
        await down(world, 0, 10)
    assert await nominal(world) == ["15:10"]


async def test_a_clock_set_back_fires_no_tick_a_second_time(world: World) -> None:
    await world.load(tens())
    await look(world)
    await pass_minutes(world, 16)  # 15:10, 15:20
    world.clock.ms -= 20 * MINUTE
    await pass_minutes(world, 30)
    assert await nominal(world) == ["15:10", "15:20", "15:30"]


async def test_a_clock_set_forward_and_back_fires_what_never_fired_and_is_not_silent(world: World) -> None:
    await world.load(tens())
    await look(world)
    await pass_minutes(world, 4)
    world.clock.ms += 24 * 60 * MINUTE
    await look(world)
    assert await nominal(world) == ["15:10", "15:10"]  # the same time, a day apart
    world.clock.ms -= 24 * 60 * MINUTE
    await look(world)
    await down(world, 0)  # also over a restart
    await pass_minutes(world, 20)
    assert await nominal(world) == ["15:10", "15:10", "15:20", "15:30"]


async def test_a_clock_set_forward_while_it_serves_is_like_downtime(world: World) -> None:
    await world.load(tens())
    await look(world)
    world.clock.ms += 60 * MINUTE
    await look(world)
    await pass_minutes(world, 10)
    assert await nominal(world) == ["16:00", "16:10"]
    assert await skips(world) == [5, 0]


async def test_another_schedule_or_zone_counts_from_when_it_is_first_seen(world: World) -> None:
    await world.load(tens())
    await look(world)
    await pass_minutes(world, 4)
    await down(world, 20, text=tens(schedule="*/15 * * * *"))  # 15:20 and 15:15, 15:30 have passed by
    assert await nominal(world) == ["15:10"]
    await pass_minutes(world, 20)
    assert await nominal(world) == ["15:10", "15:45"]


async def test_a_disabled_source_misses_nothing_and_goes_on_when_it_is_enabled(world: World) -> None:
    await world.load(tens('misfire="all"'))
    await look(world)
    standing = world.runtime.triggers.standing
    await standing.switch(world.runtime.triggers.source("tens"), "", enabled=False, by="ada")
    await pass_minutes(world, 15)
    await down(world, 15)
    await pass_minutes(world, 1)
    standing = world.runtime.triggers.standing
    await standing.switch(world.runtime.triggers.source("tens"), "", enabled=True, by="ada")
    await pass_minutes(world, 10)
    assert await nominal(world) == ["15:40"]


async def test_jitter_delays_the_run_and_keeps_the_nominal_time_over_a_restart(world: World) -> None:
    await world.load(tens('jitter="9m"'))
    await look(world)
    source: Any = world.runtime.triggers.source("tens")
    moment_ms = FIRST_MS + source.delay_ms(FIRST_MS)
    world.clock.ms = moment_ms - 1
    assert await look(world) == 0
    await world.restart()
    assert await look(world) == 0
    assert world.runtime.cron.next_ms() == moment_ms
    world.clock.ms = moment_ms
    assert await look(world) == 1
    assert await nominal(world) == ["15:10"]


async def test_overlap_allow_starts_beside_an_unfinished_run(world: World) -> None:
    await world.load(tens(workflow=SLOW))
    await look(world)
    await pass_minutes(world, 25)
    assert world.stage.waiting == [10, 20, 30]


async def test_overlap_skip_starts_nothing_while_a_run_is_unfinished(world: World) -> None:
    await world.load(tens('overlap="skip"', SLOW))
    await look(world)
    await pass_minutes(world, 15)
    assert world.stage.waiting == [10]
    second = (await firings(world))[1]
    assert (second.verdict, second.errors[0].type) == ("skipped", "overlap")
    world.stage.go()
    await world.rest()
    await pass_minutes(world, 10)
    assert world.stage.waiting == [30]


async def test_overlap_buffer_one_keeps_the_first_tick_that_waits_also_over_a_restart(world: World) -> None:
    await world.load(tens('overlap="buffer_one"', SLOW))
    await look(world)
    await pass_minutes(world, 25)  # 15:10 runs, 15:20 waits, 15:30 is left out
    assert world.stage.waiting == [10]
    types = [error.type for row in await firings(world) for error in row.errors]
    assert types == ["buffered", "overlap"]
    triggers = world.runtime.triggers
    shown: Any = await trigger_whole_json(
        world.store, triggers.source("tens"), triggers.standing, public_url=""
    )
    assert shown["buffered"] == [
        {"workflow": "w", "subscriber": None, "triggered_at": rfc3339(FIRST_MS + 10 * MINUTE)}
    ]
    await world.restart()
    await look(world)
    assert world.stage.waiting == [10]
    world.stage.go()
    await world.rest()
    await look(world)
    assert world.stage.waiting == [20]
    world.stage.go()
    await world.rest()
    await look(world)
    assert world.stage.waiting == []
    await pass_minutes(world, 10)
    assert world.stage.waiting == [40]


async def test_overlap_cancel_other_cancels_the_run_before_and_starts_its_own(world: World) -> None:
    await world.load(tens('overlap="cancel_other"', SLOW))
    await look(world)
    await pass_minutes(world, 15)
    first, second = [run.run_id for row in await firings(world) for run in row.runs]
    assert (await world.seen(first)).status == "cancelled"
    cancelled = (await world.seen(first)).data("run_cancel_requested")
    assert "a later tick" in str(cancelled)
    assert (await world.seen(second)).status == "running"
    assert world.stage.waiting == [20]


async def test_a_run_that_gave_way_and_was_started_again_is_left_alone_by_a_restart(world: World) -> None:
    await world.load(tens('overlap="cancel_other"', SLOW))
    await look(world)
    await pass_minutes(world, 15)
    state = world.runtime.triggers.state("tens")
    assert state is not None
    assert state.note is not None
    assert "cancel" not in msgspec.json.decode(state.note)


async def test_runs_to_be_cancelled_are_cancelled_after_a_crash_in_between(world: World) -> None:
    await world.load(tens('overlap="cancel_other"', SLOW))
    await look(world)
    await pass_minutes(world, 5)

    async def crash(run_id: str, reason: str) -> None:
        raise RuntimeError("the process dies here")

    world.runtime.cron._cancel = crash  # pyright: ignore[reportPrivateUsage]
    world.clock.pass_ms(10 * MINUTE)
    await look(world)
    first, second = [run.run_id for row in await firings(world) for run in row.runs]
    assert (await world.seen(first)).status == "running"
    await world.restart()
    await look(world)
    assert (await world.seen(first)).status == "cancelled"
    assert (await world.seen(second)).status == "running"


async def test_overlap_looks_at_each_attachment_and_subscriber_by_itself(world: World) -> None:
    await world.load("""
@workflow(subscription="subscribable")
async def w(input: Any, ctx: Context) -> Any:
    if ctx.subscriber == "ada":
        return await slow.run(value=ctx.triggered_at.minute)

@workflow
async def v(input: Any, ctx: Context) -> Any:
    return None

CronSource("tens", "*/10 * * * *", overlap="skip").attach(w).attach(v)
""")
    for subscriber in ("ada", "bob"):
        await world.runtime.triggers.standing.subscribe("w", subscriber, by="test")
    await look(world)
    await pass_minutes(world, 15)
    rows = await firings(world)
    assert [sorted((r.workflow, r.subscriber or "") for r in row.runs) for row in rows] == [
        [("v", ""), ("w", "ada"), ("w", "bob")],
        [("v", ""), ("w", "bob")],
    ]
    assert [(e.type, e.subscriber) for e in rows[1].errors] == [("overlap", "ada")]


async def test_a_fixed_time_in_the_hour_that_is_repeated_starts_one_run(world: World) -> None:
    text = tens('"Europe/Berlin", misfire="all"', schedule="30 2 * * *")
    await world.load(text)
    world.clock.ms = 1_761_343_200_000  # 2025-10-25 00:00 in Berlin, a day before clocks go back
    await look(world)
    await down(world, 72 * 60, text=text)
    assert [row.nominal_ms for row in await firings(world)] == [
        1_761_352_200_000,  # 02:30+02:00
        1_761_438_600_000,  # 02:30+02:00, the first of two
        1_761_528_600_000,  # 02:30+01:00, 25 hours later
    ]


async def test_a_slug_that_was_a_polls_begins_as_a_cron_source_and_back_again(world: World) -> None:
    poll = f'{W}\nPollSource("tens", "*/10 * * * *", lambda: None).attach(w)\n'
    await world.load(poll)
    await world.runtime.polls.once(world.clock.now_ms())
    await asyncio.gather(*world.runtime.polls.polling)

    await world.restart(tens())
    await look(world)
    await pass_minutes(world, 12)
    assert await nominal(world) == ["15:10"]

    await world.restart(poll)
    assert await world.runtime.polls.once(world.clock.now_ms()) == 1  # first seen
    await asyncio.gather(*world.runtime.polls.polling)

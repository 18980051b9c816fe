"""The timer loop over a log in memory, with a clock that goes on only when told."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio

import pytest

from ksl.log.memory import MemoryStore
from ksl.log.store import Change
from ksl.queue import timers as module
from ksl.queue.timers import WINDOW_MS, TimerLoop
from ksl.records import TimerRow

from tests.engine_fixture import StillClock


class Watched:
    def __init__(self) -> None:
        self.store = MemoryStore()
        self.clock = StillClock()
        self.fired: list[TimerRow] = []
        self.loop = TimerLoop(store=self.store, clock=self.clock, due=self.fired.append)

    def arm(self, in_ms: int, name: str = "r", *, boot: str = "") -> TimerRow:
        timer = TimerRow(self.clock.ms + in_ms, name, "sleep#0", "sleep", boot=boot)
        self.store.append(Change(run_id=name, timers_set=[timer]))
        self.loop.set([timer])
        return timer

    def drop(self, timer: TimerRow) -> None:
        self.store.append(Change(run_id=timer.run_id, timers_cleared=[timer]))
        self.loop.clear([timer])

    async def look(self) -> list[str]:
        await self.loop.once(self.clock.now_ms())
        await asyncio.sleep(0)
        fired, self.fired[:] = [timer.run_id for timer in self.fired], []
        return fired


@pytest.fixture
async def watched() -> Watched:
    return Watched()


async def test_a_timer_fires_at_its_moment_and_once(watched: Watched) -> None:
    watched.arm(100)
    watched.clock.pass_ms(99)
    assert await watched.look() == []
    watched.clock.pass_ms(1)
    assert await watched.look() == ["r"]
    assert await watched.look() == []


async def test_one_beyond_the_window_is_read_from_the_log_when_its_time_nears(watched: Watched) -> None:
    await watched.look()
    watched.arm(3 * WINDOW_MS)
    assert watched.loop.armed == 0
    for _ in range(5):
        watched.clock.pass_ms(WINDOW_MS // 2)
        assert await watched.look() == []
    assert watched.loop.armed == 1
    watched.clock.pass_ms(WINDOW_MS // 2)
    assert await watched.look() == ["r"]


async def test_timers_of_the_log_that_are_overdue_at_the_start_fire_at_the_first_look(
    watched: Watched,
) -> None:
    for name, in_ms in (("late", -5), ("later", -1), ("not yet", 5)):
        timer = TimerRow(watched.clock.ms + in_ms, name, "sleep#0", "sleep", boot="of the process before")
        watched.store.append(Change(run_id=name, timers_set=[timer]))
    assert await watched.look() == ["late", "later"]


async def test_more_timers_at_one_moment_than_a_page_holds_all_fire(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PAGE", 4)
    due = watched.clock.ms + 50
    timers = [TimerRow(due, f"r{n:02}", "sleep#0", "sleep") for n in range(11)]
    watched.store.append(Change(run_id="many", timers_set=timers))
    fired: set[str] = set()
    await watched.look()
    watched.clock.pass_ms(50)
    for _ in range(6):
        names = await watched.look()
        fired |= set(names)
        for timer in timers:
            if timer.run_id in names:
                watched.drop(timer)
    assert fired == {f"r{n:02}" for n in range(11)}


async def test_a_cleared_timer_does_not_fire(watched: Watched) -> None:
    await watched.look()
    watched.drop(watched.arm(10, boot="here"))
    watched.clock.pass_ms(10)
    assert await watched.look() == []


async def test_a_duration_armed_here_is_over_when_it_was_measured_though_the_clock_went_back(
    watched: Watched,
) -> None:
    await watched.look()
    watched.arm(60_000, "duration", boot="here")
    watched.arm(60_000, "moment")
    watched.arm(5 * WINDOW_MS, "far", boot="here")
    watched.clock.ms -= 3_600_000
    watched.clock.steady_ms += 59_999
    assert await watched.look() == []
    watched.clock.steady_ms += 1
    assert await watched.look() == ["duration"]
    watched.clock.steady_ms += 5 * WINDOW_MS
    assert await watched.look() == ["far"]
    watched.clock.ms += 3_660_000
    assert await watched.look() == ["moment"]


async def test_a_duration_set_again_after_the_clock_went_back_is_measured_from_the_first_time(
    watched: Watched,
) -> None:
    await watched.look()
    timer = watched.arm(60_000, boot="here")
    watched.clock.ms -= 3_600_000
    watched.loop.set([timer])
    watched.clock.steady_ms += 60_000
    assert await watched.look() == ["r"]


async def test_a_clock_put_forward_wakes_what_is_due_then(watched: Watched) -> None:
    await watched.look()
    watched.arm(60_000, boot="here")
    watched.clock.ms += 60_000
    assert await watched.look() == ["r"]
    watched.clock.steady_ms += 60_000
    assert await watched.look() == []


async def test_what_is_armed_while_the_table_is_read_is_not_lost(watched: Watched) -> None:
    looking = asyncio.create_task(watched.loop.once(watched.clock.now_ms()))
    await asyncio.sleep(0)
    watched.arm(10)
    await looking
    watched.clock.pass_ms(10)
    assert await watched.look() == ["r"]


async def test_reload_hands_out_again_what_nobody_took(watched: Watched) -> None:
    watched.arm(0)
    assert await watched.look() == ["r"]
    assert await watched.look() == []
    watched.loop.reload()
    assert await watched.look() == ["r"]


async def test_the_running_loop_wakes_for_a_timer_that_is_sooner_than_all_others(watched: Watched) -> None:
    fired = asyncio.Event()

    def due(_timer: TimerRow) -> None:
        fired.set()

    watched.loop._due = due
    running = asyncio.create_task(watched.loop.run())
    for _ in range(5):
        await asyncio.sleep(0)
    watched.arm(0)
    async with asyncio.timeout(60):
        await fired.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

"""Moments that many wait for, and a log that cannot be read for a while: no timer is forgotten."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio

import pytest

from ksl.errors import StoreBusy
from ksl.log.memory import MemoryStore
from ksl.log.store import Change
from ksl.queue import timers as timers_module
from ksl.queue.timers import TimerLoop
from ksl.records import TimerRow

from tests.engine_fixture import StillClock


class CountingStore(MemoryStore):
    """A log in memory that counts how often its timers are read, and may refuse."""

    reads = 0
    refusal: Exception | None = None

    async def timers(self, *, until_ms: int, limit: int, after: TimerRow | None = None) -> list[TimerRow]:
        self.reads += 1
        if self.refusal is not None:
            raise self.refusal
        return await super().timers(until_ms=until_ms, limit=limit, after=after)


def timer(due_ms: int, run: str = "r", *, boot: str = "", step: str = "s") -> TimerRow:
    return TimerRow(due_ms, run, step, "sleep", boot)


async def test_timers_that_fill_a_page_are_all_handed_out_though_nothing_clears_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(timers_module, "_PAGE", 10)
    store, clock = CountingStore(), StillClock()
    handed: list[TimerRow] = []
    loop = TimerLoop(store=store, clock=clock, due=handed.append)
    rows = [timer(clock.ms + 5, f"r{n:02}") for n in range(35)]  # many at one moment
    store.append(Change(run_id="r", timers_set=rows))
    for _ in range(3):
        await loop.once(clock.now_ms())
    assert store.reads == 1  # the page is not read over and over while it waits
    late = timer(clock.ms + 5, "r03a")  # armed now, in the midst of what was read
    store.append(Change(run_id="r", timers_set=[late]))
    loop.set([late])
    clock.pass_ms(5)
    for _ in range(6):
        await loop.once(clock.now_ms())
    await asyncio.sleep(0)
    assert set(handed) == {*rows, late}
    assert len(handed) == 36


async def test_a_timer_is_cleared_whichever_process_had_armed_it() -> None:
    store, clock = CountingStore(), StillClock()
    handed: list[TimerRow] = []
    loop = TimerLoop(store=store, clock=clock, due=handed.append)
    store.append(Change(run_id="r", timers_set=[timer(clock.ms + 5, boot="old")]))
    await loop.once(clock.now_ms())
    loop.set([timer(clock.ms + 5, boot="new")])
    assert loop.armed == 1
    loop.clear([timer(clock.ms + 5, boot="new")])
    clock.pass_ms(10)
    assert await loop.once(clock.now_ms()) == 0


async def test_a_log_that_cannot_be_read_for_a_while_delays_timers_and_loses_none() -> None:
    store, clock = CountingStore(), StillClock()
    handed: list[TimerRow] = []
    loop = TimerLoop(store=store, clock=clock, due=handed.append)
    store.append(Change(run_id="r", timers_set=[timer(clock.ms)]))
    store.refusal = StoreBusy("locked")
    running = asyncio.create_task(loop.run())
    while store.reads == 0:
        await asyncio.sleep(0)
    store.refusal = None
    loop.reload()  # as a look a second later does
    while not handed:
        await asyncio.sleep(0)
    assert not running.done()
    running.cancel()


async def test_after_a_failed_look_the_window_still_counts_as_not_loaded() -> None:
    store, clock = CountingStore(), StillClock()
    loop = TimerLoop(store=store, clock=clock, due=lambda _: None)
    store.append(Change(run_id="r", timers_set=[timer(clock.ms)]))
    store.refusal = StoreBusy("locked")
    try:
        await loop.once(clock.now_ms())
    except StoreBusy:
        pass
    store.refusal = None
    assert await loop.once(clock.now_ms()) == 1

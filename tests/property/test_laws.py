"""Laws of replay, over random programs. `LAWS=2000` tries so many of each kind; CI tries a few.

A program is named by its seed alone: `program(seed, "p17", steady=True)` writes it again.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from random import Random

import pytest
from msgspec.structs import replace

from ksl.log.store import Change
from ksl.records import FINISHED, Event, RunRow, RunStatus

from tests.property.fold import possible_statuses
from tests.property.machine import Ended, Machine, MortalStore, programs

COUNT = int(os.environ.get("LAWS", "100"))
CHUNK = 25  # programs to a project
STEADY = [(first, True) for first in range(0, COUNT, CHUNK)]
RACY = [(100_000 + first, False) for first in range(0, COUNT, CHUNK)]
CUTS = 4  # of each history, beside those at its ends

all_programs = pytest.mark.parametrize(("first", "steady"), STEADY + RACY)


@all_programs
async def test_whatever_kills_it_a_run_ends_and_a_steady_one_ends_the_same(
    tmp_path: Path, first: int, steady: bool
) -> None:
    crashes = effects = 0
    seeds = [(f"p{seed}", seed, steady) for seed in range(first, first + CHUNK)]
    with programs(tmp_path, seeds) as project:
        for slug, seed, _ in seeds:
            calm = await _run(Machine(project, slug, seed=seed))
            assert calm.row.status in FINISHED, slug
            _well_recorded(calm, slug)
            for plan in (cycle([(1, True)]), cycle([(2, False), (3, True), (2, True), (4, False)])):
                machine = Machine(project, slug, seed=seed + 1)  # other durations, too
                killed = await _run(machine, plan)
                where = f"{slug} (seed {seed}) after {machine.crashes} crashes"
                assert killed.row.status in FINISHED, f"{where}: {killed.row.status} {killed.events[-1]}"
                _well_recorded(killed, where)
                if steady:
                    assert killed.outcome == calm.outcome, where
                    assert killed.outcomes() == calm.outcomes(), where
                    assert {step for step, _ in killed.effects} == {step for step, _ in calm.effects}, where
                extra = len(killed.effects) - len(set(killed.effects))
                assert max(Counter(killed.effects).values(), default=0) <= machine.crashes + 1, where
                crashes += machine.crashes
                effects += extra
    assert crashes > 10 * CHUNK
    assert effects > CHUNK  # or nothing was ever cut off in a step


@all_programs
async def test_a_replay_without_new_events_writes_nothing(tmp_path: Path, first: int, steady: bool) -> None:
    reloads = 0
    seeds = [(f"p{seed}", seed, steady) for seed in range(first, first + CHUNK)]
    with programs(tmp_path, seeds) as project:
        for slug, seed, _ in seeds:
            calm = await _run(Machine(project, slug, seed=seed))
            machine = Machine(project, slug, seed=seed)
            try:
                again = await machine.finish(reload=True)
            except AssertionError as error:
                raise AssertionError(f"{slug} (seed {seed}): {error}") from None
            finally:
                await machine.close()
            assert again.row.status in FINISHED, f"{slug}: {again.row.status} {again.events[-1]}"
            if steady:
                assert again.outcome == calm.outcome, slug
                assert again.outcomes() == calm.outcomes(), slug
            reloads += machine.reloads
    assert reloads > CHUNK


@all_programs
async def test_a_history_cut_anywhere_goes_on_to_an_end(tmp_path: Path, first: int, steady: bool) -> None:
    """Cut between the events of one turn, too: a reader of half a turn must not be led astray."""
    cuts = 0
    seeds = [(f"p{seed}", seed, steady) for seed in range(first, first + CHUNK)]
    with programs(tmp_path, seeds) as project:
        for slug, seed, _ in seeds:
            machine = Machine(project, slug, seed=seed)
            whole = await machine.finish()
            changes = machine.store.changes
            await machine.close()
            length = len(whole.events)
            places = sorted({2, length - 1, *Random(seed).choices(range(2, length), k=CUTS)})
            for place in places:
                machine = Machine(project, slug, seed=seed, store=_cut(changes, place))
                machine.clock.ms = whole.events[place - 1].at_ms
                machine.stage.effects.clear()
                await machine.recover()
                again = await _run(machine)
                where = f"{slug} (seed {seed}) cut after event {place}: {again.events[-1]}"
                assert again.events[:place] == whole.events[:place], where
                assert again.row.status in FINISHED, where
                _well_recorded(again, where)
                if steady:
                    assert again.outcome == whole.outcome, where
                if place == length - 1 and whole.events[-1].type == "run_completed":
                    # The end follows from the history alone, races and all, with nothing acting.
                    assert again.events[-1].data == whole.events[-1].data, where
                    assert not machine.stage.effects, where
                cuts += 1
    assert cuts > 2 * CHUNK


async def test_the_status_of_a_run_is_one_that_its_events_allow(tmp_path: Path) -> None:
    """After every commit, of every program. Which of the possible ones it is only a replay can say, and that
    a replay says what the row says is a law of its own above."""
    seen: Counter[RunStatus] = Counter()
    seeds = [(f"p{seed}", seed, seed % 2 == 0) for seed in range(200_000, 200_000 + 2 * CHUNK)]
    with programs(tmp_path, seeds) as project:
        for slug, seed, _ in seeds:
            machine = Machine(project, slug, seed=seed)
            await _run(machine)
            events: list[Event] = []
            row: RunRow | None = None
            for change in machine.store.changes:
                events += change.events
                row = change.run or row
                assert row is not None
                possible = possible_statuses(events)
                assert row.status in possible, f"{slug}: {row.status} is not in {possible}"
                seen[row.status] += 1
    assert {RunStatus.QUEUED, RunStatus.RUNNING, RunStatus.SLEEPING, RunStatus.WAITING} < set(seen)


async def _run(machine: Machine, plan: Iterator[tuple[int, bool]] | None = None) -> Ended:
    try:
        return await machine.finish(crash_every=plan)
    finally:
        await machine.close()


def _well_recorded(ended: Ended, where: str) -> None:
    """seq without gaps; one outcome to a step, but for those that a retry of the run reopens."""
    assert [event.seq for event in ended.events] == list(range(1, len(ended.events) + 1)), where
    recorded: Counter[str] = Counter()
    for event in ended.events:
        if event.type in ("step_completed", "sleep_completed", "hook_resumed", "hook_expired"):
            recorded[f"{event.type} {event.step}"] += 1
    assert max(recorded.values(), default=1) == 1, f"{where}: {recorded.most_common(3)}"


def _cut(changes: list[Change], place: int) -> MortalStore:
    """A log that holds the first events of a run and what follows from them."""
    store = MortalStore()
    row: RunRow | None = None
    begun = False
    for change in changes:
        kept = [event for event in change.events if event.seq <= place]
        begun = begun or any(event.type == "run_started" for event in kept)
        if len(kept) == len(change.events):
            row = change.run or row
            store.append(replace(change, stored=None, lost=None))
        elif kept:
            # Half a turn. Whether the run acts or waits then is not known: it counts as being under way.
            steps = {event.step for event in kept}
            base = row or change.run
            assert base is not None
            status = RunStatus.RUNNING if begun else RunStatus.QUEUED
            half = replace(base, status=status, seq=kept[-1].seq, waiting_on=None, due_ms=None)
            timers = [timer for timer in change.timers_set if timer.step in steps]
            hooks = [hook for hook in change.hooks if hook.step in steps]
            store.append(Change(change.run_id, kept, half, timers, [], hooks))
        if change.events and change.events[-1].seq >= place:
            break
    return store

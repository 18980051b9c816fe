"""Engines over one log in memory, with a clock that jumps and actions that take as long as a seed says.

A process that dies is simulated exactly: at a chosen commit the log takes the batch or does not, nobody is told,
and from then on nothing that the dead engine does reaches the log. The next engine finds what was committed.
"""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from ksl.build.config import load_settings
from ksl.build.discover import Project, discover, unload
from ksl.engine.tokens import TokenKeys
from ksl.errors import HookAnswered, HookClosed, TryAgain, WrongState
from ksl.log.memory import MemoryStore
from ksl.log.store import Change
from ksl.records import FINISHED, Event, HookRow, RunRow, RunStatus
from ksl.runtime import Runtime

from tests.property.programs import KIT, program

START_MS = 1_750_000_000_000
TURNS_MAX = 3_000
INPUT = b"4"


class JumpClock:
    def __init__(self, ms: int = START_MS) -> None:
        self.ms = ms

    def now_ms(self) -> int:
        return self.ms

    def steady_s(self) -> float:
        return self.ms / 1000


class MortalStore(MemoryStore):
    """`die_at`: the commit (counted from 1) at which the process dies; `keep`: whether it still counts."""

    def __init__(self) -> None:
        super().__init__()
        self.changes: list[Change] = []  # every change that was committed
        self.appended = 0
        self.commits = 0
        self.die_at = 0
        self.keep = True
        self.dead = False

    def append(self, change: Change) -> None:
        if not self.dead:
            self.appended += 1
            super().append(change)

    def _commit(self) -> None:
        if self.dead:
            return
        # One that only sets timers is none: a replay may do so again each time, and no life would get further.
        counts = any(change.events or change.run for change in self._pending)
        self.commits += counts
        if self.commits != self.die_at or not counts:
            self.changes += self._pending
            super()._commit()
            return
        self.dead = True
        pending, self._pending = self._pending, []
        if self.keep:
            self.changes += pending
            for change in pending:
                self._tables.store(change)

    def next_life(self) -> None:
        self._pending = []
        self.dead = False
        self.commits = 0
        self.die_at = 0


class Stage:
    """What actions did, and how long each takes: by run, step and attempt, so that order does not matter."""

    def __init__(self, clock: JumpClock, seed: int) -> None:
        self.effects: list[tuple[str, int]] = []
        self._clock = clock
        self._seed = seed
        self._waiting: dict[asyncio.Future[None], int] = {}

    async def perform(self, context: Any) -> None:
        self.effects.append((context.step_id, context.attempt))
        chance = Random(f"{self._seed} {context.step_id} {context.attempt}")
        wait_ms = chance.choice((0, 1, 7, 50, 120, 300, 650))
        if wait_ms:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting[future] = self._clock.ms + wait_ms
            try:
                await future
            finally:
                del self._waiting[future]

    @property
    def next_ms(self) -> int | None:
        return min((due for future, due in self._waiting.items() if not future.done()), default=None)

    def release(self) -> None:
        """Everything whose time has come, one turn of the host loop."""
        for future, due in self._waiting.items():
            if due <= self._clock.ms and not future.done():
                future.set_result(None)


@dataclass
class Ended:
    row: RunRow
    events: list[Event]
    effects: list[tuple[str, int]]

    @property
    def outcome(self) -> tuple[str, Any]:
        data: Any = json.loads(self.events[-1].data or b"null")
        return self.events[-1].type, data["message"] if self.events[-1].type == "run_failed" else data

    def outcomes(self) -> set[tuple[str, str | None, bytes | None, bytes | None]]:
        """Every recorded outcome, whatever its place: id, what happened, value, input."""
        return {
            (event.type, event.step, _value(event), event.input)
            for event in self.events
            if event.type
            in ("step_completed", "step_failed", "sleep_completed", "hook_resumed", "hook_created")
        }


class Machine:
    """One run of one program, over as many engines as it takes."""

    def __init__(self, project: Project, slug: str, *, seed: int, store: MortalStore | None = None) -> None:
        self.project = project
        self.slug = slug
        self.run_id = "run_1"
        self.clock = JumpClock()
        self.stage = Stage(self.clock, seed)
        self.store = store or MortalStore()
        self.crashes = 0
        self.reloads = 0
        self.boots = 0
        self._refused: dict[str, int] = {}
        self._crashes: Iterator[tuple[int, bool]] = iter(())
        self.runtime = self._open()

    async def start(self) -> None:
        """Acknowledged or not: a process that dies during it is succeeded by one that is asked again."""
        starting = asyncio.ensure_future(self.runtime.start(self.slug, INPUT, idempotency_key="once"))
        while not starting.done() and not self.store.dead:
            await asyncio.sleep(0)
        if starting.done():
            starting.result()
            return
        starting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await starting
        await self.next_life()
        await self.start()

    async def finish(
        self, *, crash_every: Iterator[tuple[int, bool]] | None = None, reload: bool = False
    ) -> Ended:
        """`crash_every` says, life by life, at which commit it ends and whether that commit counts."""
        self._crashes = iter(()) if crash_every is None else crash_every
        self.store.die_at, self.store.keep = next(self._crashes, (0, True))
        if await self.store.run(self.run_id) is None:
            await self.start()
        seen = 0
        for _ in range(TURNS_MAX):
            await self.rest()
            if self.store.dead:
                await self.next_life()
                continue
            row = await self.row()
            if row.status in FINISHED or row.status is RunStatus.HELD:
                break
            if reload and row.seq > seen:
                # Once after each event: more often, and steps that start over each time would never end.
                seen = row.seq
                await self.reload_and_compare()
            if not await self._move_on(row):
                break
        return await self.ended()

    async def reload_and_compare(self) -> None:
        """Out of memory and back: nothing is written, and the row says what a replay says."""
        row = await self.row()
        engine = self.runtime.engine
        run = engine.live.get(self.run_id)
        if run is None or run.main is None:
            return
        appended = len(self.store.changes)
        engine.discard(run)
        again = await engine.load(self.run_id)
        await self.rest()
        if again.halted is not None:
            raise AssertionError(f"{again.halted}\n{await self.shown()}")
        self.reloads += 1
        # What came after the replay is not its doing: an action that takes no time is through by now.
        wrote = [change for change in self.store.changes[appended:] if change.events or change.run]
        if wrote and not wrote[0].events:
            raise AssertionError(f"a replay without new events wrote {wrote[0]}; before: {row}")

    async def rest(self) -> None:
        """Until nothing is left to do but waiting, or the process is dead."""
        loop: Any = asyncio.get_running_loop()
        quiet = 0
        while quiet < 2 and not self.store.dead:
            before = self.store.appended
            await self.store.flush()
            await asyncio.sleep(0)
            engine = self.runtime.engine
            busy = (
                loop._ready
                or engine.loading.under_way
                or self.runtime._advancing.tasks
                or self.store.appended != before
            )
            quiet = 0 if busy else quiet + 1

    async def next_life(self) -> None:
        """The process is dead; the next one opens the same log."""
        self.crashes += 1
        await self.close()
        self.store.next_life()
        self.store.die_at, self.store.keep = next(self._crashes, (0, True))
        self.runtime = self._open()
        await self.runtime._advancing.recover()

    async def recover(self) -> None:
        """What a process does that finds this log."""
        await self.store.flush()
        await self.runtime._advancing.recover()

    async def close(self) -> None:
        engine = self.runtime.engine
        engine.stopping = True
        self.store.dead = True
        for run in list(engine.live.values()):
            engine.discard(run)
        for task in [*self.runtime._advancing.tasks, *engine.loading.under_way.values()]:
            task.cancel()
        await engine.attempts.drain(0)
        for _ in range(4):
            await asyncio.sleep(0)

    async def row(self) -> RunRow:
        row = await self.store.run(self.run_id)
        assert row is not None
        return row

    async def ended(self) -> Ended:
        return Ended(await self.row(), await self.store.events(self.run_id), self.stage.effects)

    async def shown(self) -> str:
        return "\n".join(
            f"{e.seq} {e.type} {e.step or ''} {(e.data or b'')[:80]!r} after={e.meta.after if e.meta else 0}"
            for e in await self.store.events(self.run_id)
        )

    async def _move_on(self, row: RunRow) -> bool:
        """To the next moment at which anything happens; False when nothing ever will."""
        timers = self.runtime._timers
        if await timers.once(self.clock.ms):
            return True
        hooks = [
            (max(self._answer_ms(hook), self._refused.get(hook.step, 0)), hook.step)
            for hook in await self.store.hooks(run_id=self.run_id)
            if row.status is not RunStatus.QUEUED
        ]
        moments = [self.stage.next_ms, timers._wheel.next_ms(), min(hooks, default=(None, ""))[0]]
        known = [moment for moment in moments if moment is not None]
        if not known:
            return False
        self.clock.ms = max(self.clock.ms, min(known))
        self.stage.release()
        await timers.once(self.clock.ms)
        if hooks and min(hooks)[0] <= self.clock.ms:
            await self.rest()
            await self._answer(min(hooks)[1])
        return True

    def _answer_ms(self, hook: HookRow) -> int:
        return hook.created_at_ms + Random(f"{self.run_id} {hook.step}").choice((0, 40, 250, 700))

    async def _answer(self, step: str) -> None:
        payload = str(Random(step).randint(0, 96)).encode()
        answering = asyncio.ensure_future(self.runtime.resume_hook(self.run_id, step, payload))
        while not answering.done() and not self.store.dead:
            await asyncio.sleep(0)
        if not answering.done():
            answering.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await answering
        elif isinstance(answering.exception(), TryAgain):
            self._refused[step] = self.clock.ms + 50  # a later attempt of the run has not come to it yet
        elif not isinstance(answering.exception(), HookAnswered | HookClosed | WrongState):
            answering.result()

    def _open(self) -> Runtime:
        self.boots += 1
        sys.modules["actions.kit"].stage = self.stage  # type: ignore[attr-defined]
        return Runtime(
            folder=self.project.folder,
            settings=load_settings(self.project.folder, {}),
            project=self.project,
            store=self.store,
            lock=None,
            clock=self.clock,
            rng=Random(7),
            new_id=lambda: self.run_id,
            tokens=TokenKeys.for_tests(),
            token="t",
            boot=f"boot{self.boots}",
            serve=True,
        )


@contextlib.contextmanager
def programs(folder: Path, seeds: list[tuple[str, int, bool]]) -> Generator[Project]:
    """A project of many programs: slug, seed, steady."""
    (folder / "actions").mkdir()
    (folder / "workflows").mkdir()
    (folder / "ksl.toml").write_text("")
    (folder / "actions" / "kit.py").write_text(KIT)
    for slug, seed, steady in seeds:
        (folder / "workflows" / f"{slug}.py").write_text(program(seed, slug, steady=steady))
    project = discover(folder)
    try:
        project.raise_if_broken()
        yield project
    finally:
        unload(project)


def _value(event: Event) -> bytes | None:
    """What an event says, without what differs from one life to the next."""
    if event.type == "hook_created":
        return None
    if event.type == "step_failed":
        data: Any = json.loads(event.data or b"{}")
        return json.dumps({"message": data["message"], "type": data["type"]}).encode()
    return event.data

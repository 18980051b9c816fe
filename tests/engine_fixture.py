"""A project written as source text, an engine over a real log, and time that stands still until it is moved.

Nothing waits by the clock of the machine. `World.rest` returns when nothing is left to do but waiting, `finish`
then moves on what is waited for: first steps that stand on the stage, lowest rank first, then the next timer.
"""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from ksl.build.config import load_settings
from ksl.build.discover import Project, discover, unload
from ksl.engine.run import Run
from ksl.engine.tokens import TokenKeys
from ksl.log.memory import MemoryStore
from ksl.log.sqlite import SqliteStore
from ksl.log.store import Change
from ksl.records import FINISHED, Event, RunRow, RunStatus, TimerRow
from ksl.runtime import Runtime

Json = dict[str, Any]
START_MS = 1_750_000_000_000  # 15 June 2025, 15:06:40 UTC

KIT = '''
import asyncio, contextvars, dataclasses, datetime, decimal, enum, threading, time, typing, uuid
from typing import Any
from ksl import *
from ksl.errors import *

current: Any = None

class _Stage:
    """The test's stage, whichever it is by now."""
    def __getattr__(self, name: str) -> Any:
        return getattr(current, name)

stage = _Stage()

@action
async def echo(value: Any = None, ctx: ActionContext = None) -> Any:
    """Gives back what it gets, at once."""
    stage.did(ctx, value)
    return value

@action
async def other(value: Any = None, ctx: ActionContext = None) -> Any:
    stage.did(ctx, value)
    return value

@action
async def slow(value: Any = None, rank: int = 0, ctx: ActionContext = None) -> Any:
    """Waits on the stage for its turn; ranks go lowest first."""
    stage.did(ctx, value)
    await stage.turn(value, rank)
    return value

@action
async def fail(message: str = "no", times: int = 1_000_000, ctx: ActionContext = None) -> str:
    """Fails so many times, then gives the number of attempts made."""
    stage.did(ctx, message)
    if ctx.attempt <= times:
        raise ValueError(message)
    return f"attempt {ctx.attempt}"
'''
HEAD = "from __future__ import annotations\nimport asyncio\nfrom actions.kit import *\n\n"


class StillClock:
    """`engine.host.Clock` that goes on only when told."""

    def __init__(self) -> None:
        self.ms = START_MS
        self.steady_ms = 0

    def now_ms(self) -> int:
        return self.ms

    def steady_s(self) -> float:
        return self.steady_ms / 1000

    def pass_ms(self, ms: int) -> None:
        self.ms += ms
        self.steady_ms += ms


class Stage:
    """What actions did, and those that wait for their turn."""

    def __init__(self) -> None:
        self.ledger: list[tuple[str, Any]] = []  # (step id, value) of every attempt that began
        self.contexts: list[Any] = []
        self.notes: list[Any] = []  # whatever a test's code wants to leave
        self._order = 0
        self._waiting: list[tuple[int, int, Any, asyncio.Future[None]]] = []

    def did(self, context: Any, value: Any) -> None:
        self.ledger.append((context.step_id, value))
        self.contexts.append(context)

    @property
    def steps(self) -> list[str]:
        return [step for step, _ in self.ledger]

    @property
    def waiting(self) -> list[Any]:
        """Values of the steps that wait, in the order in which they would go."""
        return [value for _, _, value, future in sorted(self._waiting, key=_turn) if not future.done()]

    async def turn(self, value: Any, rank: int) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._order += 1
        entry = (rank, self._order, value, future)
        self._waiting.append(entry)
        try:
            await future
        finally:
            self._waiting.remove(entry)

    def go(self, value: Any = None) -> None:
        """Lets one step go on: the next, or the one with this value."""
        for _, _, each, future in sorted(self._waiting, key=_turn):
            if not future.done() and value in (None, each):
                future.set_result(None)
                return
        raise AssertionError(f"no step waits with {value!r}; waiting: {self.waiting}")


class Seen(msgspec.Struct):
    """A run as the log has it."""

    row: RunRow
    events: list[Event]

    @property
    def run_id(self) -> str:
        return self.row.run_id

    @property
    def status(self) -> str:
        return self.row.status.value

    @property
    def output(self) -> Any:
        last = self.events[-1]
        assert last.type == "run_completed", (last.type, last.data)
        return json.loads(last.data or b"null")

    @property
    def error(self) -> Json:
        """Of a run that failed or is held."""
        last = self.events[-1]
        assert last.type in ("run_failed", "run_held"), (last.type, last.data)
        return json.loads(last.data or b"null")

    @property
    def types(self) -> list[str]:
        return [event.type for event in self.events]

    @property
    def flow(self) -> list[str]:
        """The history without its frame: "step_completed echo#0" ..."""
        return [f"{event.type} {event.step}" if event.step else event.type for event in self.events]

    @property
    def waiting_on(self) -> list[Json]:
        return json.loads(self.row.waiting_on or b"[]")

    def steps(self, type: str = "step_completed") -> list[str]:
        return [event.step or "" for event in self.events if event.type == type]

    def data(self, type: str, step: str | None = None) -> Any:
        """Of the only such event."""
        (event,) = [each for each in self.events if each.type == type and step in (None, each.step)]
        return json.loads(event.data or b"null")


class World:
    def __init__(self, folder: Path, *, sqlite: bool) -> None:
        self.folder = folder
        self.clock = StillClock()
        self.stage = Stage()
        self._runtime: Runtime | None = None
        self.project: Project | None = None
        self.changes: list[Change] = []  # as they were appended
        self.resident_max = 1_000
        self._sqlite = sqlite
        self._store: Any = None
        self._ids = 0
        self._boots = 0
        (folder / "ksl.toml").write_text("")
        (folder / "actions").mkdir()
        (folder / "workflows").mkdir()
        (folder / "actions" / "kit.py").write_text(KIT)

    @property
    def runtime(self) -> Runtime:
        assert self._runtime is not None, "nothing was loaded"
        return self._runtime

    @property
    def store(self) -> Any:
        return self._store

    async def load(self, text: str, *, settings: str = "") -> None:
        """Writes the project's only workflow file and opens an engine on it, on the log there is."""
        (self.folder / "workflows" / "main.py").write_text(HEAD + text)
        if settings:
            (self.folder / "ksl.toml").write_text(settings)
        await self.restart()

    async def restart(self, text: str | None = None, *, clean: bool = False) -> None:
        """A process dies and another begins, perhaps with other code. `clean`: the first ended in order."""
        if self._runtime is not None:
            await (self._runtime.close() if clean else self._die())
        if text is not None:
            (self.folder / "workflows" / "main.py").write_text(HEAD + text)
        if self.project is not None:
            unload(self.project)
        self.project = discover(self.folder)
        self.project.raise_if_broken()
        sys.modules["actions.kit"].current = self.stage  # type: ignore[attr-defined]
        self._boots += 1
        boot = f"boot{self._boots}"
        if self._sqlite:
            self._store = await SqliteStore.open(
                self.folder / ".ksl" / "ksl.db", durability="process", boot=boot
            )
        elif self._store is None:
            self._store = MemoryStore()
        else:
            self._store = _copy(self._store, self.changes)
        self._watch_appends()
        self._open(boot)
        await self._store.flush()
        await self.runtime.triggers.standing.load()
        await self.runtime._advancing.recover()
        await self.rest()

    async def start(self, slug: str = "w", input: Any = None, **options: Any) -> str:
        return (await self.runtime.start(slug, json.dumps(input).encode(), **options)).run.run_id

    async def run(self, slug: str = "w", input: Any = None) -> Seen:
        return await self.finish(await self.start(slug, input))

    async def rest(self) -> None:
        """Returns when nothing is left to do but waiting: for the stage, a moment or an answer."""
        loop: Any = asyncio.get_running_loop()
        engine = self.runtime.engine
        quiet = 0
        while quiet < 2:
            appended = len(self.changes)
            await self._store.flush()
            await asyncio.sleep(0)
            busy = (
                loop._ready
                or engine.loading.under_way
                or self.runtime._advancing.tasks
                or len(self.changes) != appended
            )
            if not busy and self._acting() > 0:
                await asyncio.sleep(0.0005)  # a thread, or an action with a timeout of real milliseconds
                busy = True
            quiet = 0 if busy else quiet + 1

    async def finish(self, run_id: str) -> Seen:
        """The run when it ended, is held, or waits for an answer only."""
        for _ in range(10_000):
            await self.rest()
            row = await self._row(run_id)
            if row.status in FINISHED or row.status is RunStatus.HELD:
                break
            if self.stage.waiting:
                self.stage.go()
                continue
            due_ms = await self._store.next_timer_ms()
            hooks = row.status is RunStatus.WAITING
            if due_ms is None or hooks:
                break
            if due_ms > self.clock.ms:
                self.clock.pass_ms(due_ms - self.clock.ms)
            if await self.tick() == 0:
                break
        return await self.seen(run_id)

    async def advance(self, seconds: float) -> None:
        """Moves the clock on, stopping at each timer on the way."""
        end_ms = self.clock.ms + round(seconds * 1000)
        while True:
            await self.rest()
            due_ms = await self._store.next_timer_ms()
            if due_ms is None or due_ms > end_ms:
                break
            if due_ms > self.clock.ms:
                self.clock.pass_ms(due_ms - self.clock.ms)
            if await self.tick() == 0:
                break  # it belongs to a run that cannot take it now
        if end_ms > self.clock.ms:
            self.clock.pass_ms(end_ms - self.clock.ms)
        while await self.tick():
            pass  # what was overdue and could only now be taken

    async def tick(self) -> int:
        """Hands out the timers that are due now; returns how many."""
        count = await self.runtime._timers.once(self.clock.now_ms())
        await self.rest()
        return count

    async def seen(self, run_id: str) -> Seen:
        return Seen(await self._row(run_id), await self._store.events(run_id))

    async def evict(self, run_id: str) -> None:
        """Takes the run out of memory as if the process had died for it alone."""
        await self.rest()
        run = self.live(run_id)
        if run is not None:
            self.runtime.engine.discard(run)
        await self.rest()

    async def reload(self, run_id: str) -> None:
        await self.evict(run_id)
        await self.runtime.engine.load(run_id)
        await self.rest()

    def live(self, run_id: str) -> Run | None:
        return self.runtime.engine.live.get(run_id)

    async def answer(self, run_id: str, payload: Any, step: str | None = None) -> None:
        await self.runtime.resume_hook(run_id, step, json.dumps(payload).encode(), by="ada")
        await self.rest()

    async def close(self) -> None:
        if self._runtime is not None:
            await self._runtime.close(drain_s=0)
        if self.project is not None:
            unload(self.project)

    async def crash_everywhere(
        self, run_id: str, *, meanwhile: Callable[[str], Awaitable[None]] | None = None, since: int = 1
    ) -> Seen:
        """Cuts the log of a finished run after each of its turns and goes on from there with a new engine.

        Each time the run must end as it did, and no step whose outcome was in the log may run again. `meanwhile`
        does what the outside world has to do for the run to end; it is called with the run's id. `since`: the
        first turns to keep.
        """
        whole = await self.seen(run_id)
        changes = [change for change in self.changes if change.run_id == run_id]
        ended_ms = self.clock.ms
        await self._die()
        for cut in range(since, len(changes)):
            self.clock.ms = START_MS  # a clock that was set back: the kindest to timers is not always right
            kept = changes[:cut]
            self.clock.ms = max(event.at_ms for change in kept for event in change.events or whole.events[:1])
            self.stage = Stage()
            sys.modules["actions.kit"].current = self.stage  # type: ignore[attr-defined]
            self._store = _copy(MemoryStore(), kept)
            await self._store.flush()
            recorded = {e.step for change in kept for e in change.events if e.type == "step_completed"}
            self.changes = []
            self._watch_appends()
            self._boots += 1
            self._open(f"boot{self._boots}")
            await self.runtime._advancing.recover()
            again = await self.finish(run_id)
            if again.status not in FINISHED and meanwhile is not None:
                await meanwhile(run_id)
                again = await self.finish(run_id)
            where = (
                f"cut after turn {cut}: {[e.type for e in kept[-1].events]}\n{again.flow}\n{again.events[-1]}"
            )
            assert again.status == whole.status, where
            assert (again.events[-1].type, _bare(again.events[-1])) == (
                whole.events[-1].type,
                _bare(whole.events[-1]),
            ), where
            assert not recorded & set(self.stage.steps), where
            await self._die()
        self.clock.ms = ended_ms
        return whole

    def _open(self, boot: str) -> None:
        settings = load_settings(self.folder, {})
        assert self.project is not None
        self._runtime = Runtime(
            folder=self.folder,
            settings=settings,
            project=self.project,
            store=self._store,
            lock=None,
            clock=self.clock,
            rng=Random(7),
            new_id=self._new_id,
            tokens=TokenKeys.for_tests(),
            token="t",
            boot=boot,
            serve=True,
        )
        self._runtime.engine._resident_max = self.resident_max

    async def _die(self) -> None:
        engine = self.runtime.engine
        engine.stopping = True
        await self._store.flush()
        for run in list(engine.live.values()):
            engine.discard(run)
        for task in list(self.runtime._advancing.tasks):
            task.cancel()
        for _ in range(3):
            await asyncio.sleep(0)
        await engine.attempts.drain(0)
        await self.runtime.agents.close()  # as the system closes the sockets of a process that is gone
        if self._sqlite:
            await self._store.close()

    async def _row(self, run_id: str) -> RunRow:
        row = await self._store.run(run_id)
        assert row is not None
        return row

    def _acting(self) -> int:
        """Attempts that wait neither on the stage nor for a slot of their action nor for another run."""
        attempts = self.runtime.engine.attempts
        queued = sum(len(gate._waiting) for gate in attempts._gates.values())
        return attempts.count - queued - len(self.stage.waiting) - len(self.runtime.agents.waiting)

    def _new_id(self) -> str:
        self._ids += 1
        return f"run_{self._ids}"

    def _watch_appends(self) -> None:
        store = self._store
        append = store.append

        def watched(change: Change) -> None:
            self.changes.append(change)
            append(change)

        store.append = watched


def _turn(entry: tuple[int, int, Any, Any]) -> tuple[int, int]:
    return entry[:2]


def _copy(_old: MemoryStore, changes: list[Change]) -> MemoryStore:
    """The same log on another loop's... in another process: what was appended, and nothing in memory."""
    store = MemoryStore()
    for change in changes:
        store.append(
            Change(
                run_id=change.run_id,
                events=list(change.events),
                run=change.run,
                timers_set=[_of_another_boot(timer) for timer in change.timers_set],
                timers_cleared=list(change.timers_cleared),
                hooks=list(change.hooks),
                triggers=change.triggers,
            )
        )
    return store


def _of_another_boot(timer: TimerRow) -> TimerRow:
    return timer


def _bare(event: Event) -> Any:
    """What an ending says, without the traceback."""
    data: Any = json.loads(event.data or b"null")
    return {**data, "traceback": ""} if event.type == "run_failed" else data

"""The engine that serves, put together without a server: memory for the file, and time that is moved by hand.

Everything happens on the loop of the test. `settle` lets it go on until only the passing of time, an answer or a
cancellation can make anything happen; whoever passes time moves the clock from one due moment (`next_ms`) to
the next and settles after each, so nothing ever waits by the clock of the machine. An action that is under way is
awaited.
"""

# The one file of this room that looks into the engine: what it waits for has no public name.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import nullcontext
from pathlib import Path
from random import Random
from typing import Any, TypeVar

# Authors' schemas need it; the engine imports it with the first one, which must not be while a test runs.
import pydantic.type_adapter  # noqa: F401  # pyright: ignore[reportUnusedImport]

from ksl.build.config import (
    LimitSettings,
    ModelSettings,
    ProjectSettings,
    QueueSettings,
    RetentionSettings,
    ServerSettings,
    Settings,
    StoreSettings,
    find_project,
)
from ksl.build.discover import Project
from ksl.build.loader import require_positions
from ksl.define.credential import CredentialSource
from ksl.define.seam import outside
from ksl.engine.engine import Engine
from ksl.engine.tokens import TokenKeys
from ksl.errors import NotAProject
from ksl.log.memory import MemoryStore
from ksl.records import Event, Trigger
from ksl.runtime import Runtime
from ksl.testing.clock import VirtualClock
from ksl.testing.rows import change_of
from ksl.vault.redactor import Redactor

T = TypeVar("T")
BOOT = "test"
# Callbacks hand work on to callbacks; the longest such chain that leaves no trace in what `_is_moving` asks has
# three links. Turns of a loop that has nothing to do cost next to nothing.
_CALM_TURNS = 8


class ActionHangs(AssertionError):
    """An action has been under way for longer than the environment's patience, in real time."""


class Machine:
    """Lives on the loop that it was made on."""

    def __init__(
        self,
        project: Project,
        *,
        clock: VirtualClock,
        rng: Random,
        new_id: Callable[[], str],
        folder: Path,
        patience_s: float,
        replay_at_every_wait: bool = False,
        keys: Sequence[str] = (),
        credentials: CredentialSource | None = None,
        redactor: Redactor | None = None,
    ) -> None:
        require_positions()
        self.clock = clock
        self.store = MemoryStore()
        self.tokens = tokens(keys)
        self.runtime = Runtime(
            folder=folder,
            settings=_settings(folder),
            project=project,
            store=self.store,
            lock=None,
            clock=clock,
            rng=rng,
            new_id=new_id,
            tokens=self.tokens,
            token="",
            boot=BOOT,
            serve=True,
            credentials=credentials,
            redactor=redactor,
        )
        # What an action is given that the test runs outside any run, as a poll does.
        self._withdraw = None if credentials is None else outside.put(lambda: nullcontext(credentials))
        firings = itertools.count(1)
        self.runtime.triggers.new_id = lambda: f"fir_{next(firings)}"
        self._loop = asyncio.get_running_loop()
        self._patience_s = patience_s
        self._replay_at_every_wait = replay_at_every_wait
        self._replayed: dict[str, int] = {}  # run -> seq at which it was replayed
        self._sleepers: set[asyncio.Task[Any]] = set()
        self._asleep: asyncio.Future[None] = self._loop.create_future()  # one more of them fell asleep
        self.engine.attempts.call_later = clock.call_later

    @property
    def engine(self) -> Engine:
        return self.runtime.engine

    async def restore(self, events: Sequence[Event], *, workflow: str, trigger: Trigger = "api") -> None:
        """Puts a history into the log and takes the run up, as a server does at its start."""
        change = change_of(events, workflow=workflow, tokens=self.tokens, boot=BOOT, trigger=trigger)
        self.store.append(change)
        await self.store.flush()
        await self.runtime.advance(events[0].run_id)

    async def settle(self) -> list[str]:
        """Until nothing can happen without time passing. Returns the runs that were replayed meanwhile.

        Errors: ActionHangs.
        """
        replayed: list[str] = []
        while True:
            await self._calm()
            due = self._due_for_replay()
            if not due:
                return replayed
            for run_id in due:
                self.engine.discard(self.engine.live[run_id])
                await self.engine.load(run_id)
            replayed.extend(due)

    def next_ms(self, run_id: str | None = None) -> int | None:
        """The next moment at which something is due, of one run or of any. What was due already has had its
        chance: only a run that is held leaves it lying."""
        moments: list[int] = []
        if self._sleepers or run_id is None or self.engine.attempts.of_run(run_id):
            moments.extend(filter(None, [self.clock.next_ms()]))
        now_ms = self.clock.now_ms()
        for timer in self.store._tables.timers:
            if timer.due_ms > now_ms and run_id in (None, timer.run_id):
                moments.append(timer.due_ms)
                break
        if run_id is None:
            ticks = (self.runtime.cron.next_ms(), self.runtime.polls.next_ms())
            moments.extend(tick_ms for tick_ms in ticks if tick_ms is not None and tick_ms > now_ms)
        return min(moments, default=None)

    async def sleep(self, seconds: float) -> None:
        """Inside an action or a stub: waits by this clock, so that time can pass while the action is under way."""
        task = asyncio.current_task()
        assert task is not None
        woken: asyncio.Future[None] = self._loop.create_future()
        timer = self.clock.call_later(seconds, lambda: woken.done() or woken.set_result(None))
        self._sleepers.add(task)
        if not self._asleep.done():
            self._asleep.set_result(None)
        try:
            await woken
        finally:
            self._sleepers.discard(task)
            timer.cancel()

    async def close(self) -> None:
        """Cancels what is in flight and waits until it has ended."""
        self._withdraw_credentials()
        tasks = [attempt.task for attempt in self.engine.attempts.under_way() if attempt.task is not None]
        await self.runtime.close(drain_s=0)
        if tasks:
            await asyncio.wait(tasks, timeout=self._patience_s)

    def close_now(self) -> None:
        """Where no loop runs any more: lets go of everything."""
        self._withdraw_credentials()
        self.engine.stopping = True
        if self._loop.is_closed():
            self.engine.attempts.in_flight.clear()
        for run in list(self.engine.live.values()):
            self.engine.discard(run)
        if self.engine.attempts._threads is not None:
            self.engine.attempts._threads.shutdown(wait=False, cancel_futures=True)

    def _withdraw_credentials(self) -> None:
        withdraw, self._withdraw = self._withdraw, None
        if withdraw is not None:
            withdraw()

    async def _calm(self) -> None:
        calm = 0
        patient_until_s = time.monotonic() + self._patience_s
        while calm < _CALM_TURNS:
            await asyncio.sleep(0)
            if self._is_moving() or await self._look_at_the_clock():
                calm = 0
                continue
            acting = self._acting()
            if acting:
                await self._await(acting, patient_until_s)
                calm = 0
                continue
            calm += 1

    async def _look_at_the_clock(self) -> bool:
        now_ms = self.clock.now_ms()
        due = await self.runtime._timers.once(now_ms)
        return bool(due + await self.runtime.cron.once(now_ms) + await self.runtime.polls.once(now_ms))

    def _is_moving(self) -> bool:
        """Whether something is being stored, loaded or admitted."""
        return bool(self.store._pending) or self.runtime.is_moving

    def _acting(self) -> dict[asyncio.Future[Any], str]:
        """Attempts and polls that go on by themselves, with what they are."""
        attempts = (attempt for attempt in self.engine.attempts.under_way() if attempt.task is not None)
        acting = {each.task: f"{each.step} of {each.run_id}" for each in attempts if each.task is not None}
        acting |= {task: task.get_name() for task in self.runtime.polls.polling}
        waiting = self._sleepers | self.runtime.agents.waiting
        return {task: what for task, what in acting.items() if task not in waiting}

    async def _await(self, acting: dict[asyncio.Future[Any], str], patient_until_s: float) -> None:
        """Returns when one of them has ended, or fell asleep by the virtual clock."""
        if self._asleep.done():
            self._asleep = self._loop.create_future()
        left_s = max(patient_until_s - time.monotonic(), 0.0)
        done, _ = await asyncio.wait(
            [*acting, self._asleep], timeout=left_s, return_when=asyncio.FIRST_COMPLETED
        )
        if not done:
            names = ", ".join(acting.values())
            raise ActionHangs(
                f"{names} did not end within {self._patience_s:g} s of real time. Time does not pass in a test while "
                "an action is under way: stub the action, let it wait with `env.sleep(...)`, or give "
                '`environment(patience="5m")`.'
            )

    def _due_for_replay(self) -> list[str]:
        if not self._replay_at_every_wait:
            return []
        due = [
            run.run_id
            for run in self.engine.live.values()
            if run.is_idle and self._replayed.get(run.run_id) != run.seq
        ]
        for run_id in due:
            self._replayed[run_id] = self.engine.live[run_id].seq
        return due


def at_once(question: Coroutine[Any, Any, T]) -> T:
    """The answer of the log in memory, which waits for nothing."""
    try:
        question.send(None)
    except StopIteration as answer:
        return answer.value
    question.close()
    raise AssertionError("the log in memory had to wait")


def tokens(keys: Sequence[str] = ()) -> TokenKeys:
    """The same tokens for the same run in every test. `keys`: named by hooks of a recorded history."""
    return TokenKeys(dict.fromkeys([*keys, "test"], b"\0" * 32))


def _settings(folder: Path) -> Settings:
    try:
        # Where the scripts of models and the skills of agents lie. Nothing is written there.
        project = find_project(Path.cwd())
    except NotAProject:
        project = folder
    return Settings(
        folder=project,
        project=ProjectSettings(name="test"),
        server=ServerSettings(),
        store=StoreSettings(path=folder / "ksl.db"),
        queue=QueueSettings(),
        retention=RetentionSettings(),
        limits=LimitSettings(),
        models=ModelSettings(),
    )

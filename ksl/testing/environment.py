"""The face of `ksl.testing`: workflows run in memory, on time that the test moves."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from ksl.define.action import Action
from ksl.define.credential import Credential
from ksl.define.duration import parse_duration
from ksl.define.source import Source
from ksl.define.workflow import Workflow
from ksl.engine.body import encode_input
from ksl.records import Event, RunStatus, Trigger
from ksl.testing.calls import Calls, Stub, Stubs, slug_of
from ksl.testing.clock import START, VirtualClock
from ksl.testing.credentials import GivenCredentials
from ksl.testing.definitions import Definitions
from ksl.testing.handles import DoesNotReplay, RunHandle, WaitingHook
from ksl.testing.history import History
from ksl.testing.machine import Machine, at_once
from ksl.testing.shown import EventView, json_text
from ksl.testing.sources import FiringView, Sources
from ksl.trigger.poll import UNGIVEN
from ksl.vault.redactor import Redactor

if TYPE_CHECKING:
    from pydantic import BaseModel

O = TypeVar("O")  # noqa: E741
F = TypeVar("F", bound="BaseModel")
Duration = str | float | timedelta


class _Unset:
    def __repr__(self) -> str:
        return "..."


_UNSET: Any = _Unset()


class Environment:
    """Runs workflows until a test ends. The engine is made at the first `start`, on the loop that runs then."""

    def __init__(
        self,
        workflows: Sequence[Workflow[Any, Any]] = (),
        *,
        seed: int = 0,
        now: datetime = START,
        replay_at_every_wait: bool = False,
        folder: Path | None = None,
        patience: Duration = "30s",
        rng: Random | None = None,
        keys: Sequence[str] = (),
    ) -> None:
        if now.tzinfo is None:
            raise ValueError(f"now={now!r} has no time zone; nobody can say when that is")
        # Named but not made: an action that writes below its workspace should be given a real folder.
        self._folder = folder or Path(os.environ.get("TMPDIR") or "/tmp", f"ksl-environment-{os.getpid()}")
        self._clock = VirtualClock(round(now.timestamp() * 1000))
        self._seed = seed
        self._rng = rng or Random(seed)
        self._ids = 0
        self._next_id: str | None = None
        self._patience_s = parse_duration(patience)
        self._replay_at_every_wait = replay_at_every_wait
        self._keys = keys
        self._made: Machine | None = None
        self._closed = False
        self._runs: dict[str, RunHandle[Any]] = {}
        self.definitions = Definitions(self._folder)
        self.calls = Calls()
        self._stubs = Stubs(self.calls, self.seq_of)
        self._sources = Sources(self.definitions, self._machine, self._handle)
        self._redactor = Redactor()
        self._credentials = GivenCredentials(self._redactor)
        for workflow in workflows:
            self.definitions.add(workflow)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def now(self) -> datetime:
        """The time of this environment, aware, UTC."""
        return datetime.fromtimestamp(self._clock.now_ms() / 1000, tz=UTC)

    def stub(
        self,
        action: Action[..., Any] | str,
        function: Callable[..., Any] | None = None,
        *,
        returns: Any = _UNSET,
        raises: BaseException | type[BaseException] | None = None,
        attempts: int | None = None,
    ) -> None:
        """Something else happens when the action is called; its schemas, timeout and retries stay.

        `function` (or a callable given as `returns`) is called with the action's arguments, by name, and may be
        async; a parameter annotated `ActionContext` gets the context. `attempts=2`: for the first two attempts
        of each step only. The newest stub that applies is taken.
        """
        given = (function is not None) + (returns is not _UNSET) + (raises is not None)
        if given != 1:
            raise TypeError("env.stub(action, ...) takes exactly one of: a function, returns=, raises=")
        if attempts is not None and attempts < 1:
            raise ValueError(f"attempts={attempts}: they count from 1")
        if function is None and callable(returns) and returns is not _UNSET:
            function = returns
        self._stubs.add(
            slug_of(action),
            Stub(attempts, function, None if returns is _UNSET else returns, raises),
        )

    def credentials(
        self, credential: Credential[F], value: F | dict[str, Any], *, user: str | None = None
    ) -> None:
        """What actions that name the credential are given: its model, or the fields for it. `user`: the subscriber
        whose own it is. Its secrets are masked in what the runs record, as they are by a server."""
        self._credentials.give(credential, value, user=user)

    async def start(
        self,
        workflow: Workflow[Any, O],
        input: Any = None,
        *,
        run_id: str | None = None,
        trigger: Trigger = "api",
        idempotency_key: str | None = None,
    ) -> RunHandle[O]:
        """Starts a run and lets it go as far as it can without time passing.

        Errors: InvalidInput and whatever else refuses a start by HTTP; ActionHangs.
        """
        self.definitions.add(workflow)
        machine = self._machine()
        self._next_id = run_id
        started = await machine.runtime.start(
            workflow.slug, _text(workflow, input), trigger=trigger, idempotency_key=idempotency_key, by="test"
        )
        run = self._handle(workflow, started.run.run_id)
        await self.settle()
        return run

    async def restore(
        self, workflow: Workflow[Any, O], events: Sequence[Event], *, trigger: Trigger = "api"
    ) -> RunHandle[O]:
        """Takes up a run from its recorded events, as a server does at its start."""
        self.definitions.add(workflow)
        run_id = events[0].run_id
        await self._machine().restore(events, workflow=workflow.slug, trigger=trigger)
        run = self._handle(workflow, run_id)
        await self.settle()
        return run

    async def resume(
        self, hook: WaitingHook | RunHandle[Any] | str, payload: Any = None, *, by: str = "test"
    ) -> None:
        """Answers a hook: as `run.hooks` gives it, the only one of a run, or by token.

        Errors: InvalidInput (the hook keeps waiting), HookAnswered, HookClosed, UnknownHook, WrongState.
        """
        machine = self._machine()
        data = json_text(payload)
        if isinstance(hook, RunHandle):
            await machine.runtime.resume_hook(hook.run_id, None, data, by=by)
        else:
            await machine.runtime.resume(_token(hook), data, by=by)
        await self.settle()

    async def reject(
        self, hook: WaitingHook | RunHandle[Any] | str, reason: str = "", *, by: str = "test"
    ) -> None:
        """The body gets HookRejected."""
        machine = self._machine()
        if isinstance(hook, RunHandle):
            await machine.runtime.reject_hook(hook.run_id, None, reason=reason, by=by)
        else:
            await machine.runtime.reject(_token(hook), reason=reason, by=by)
        await self.settle()

    async def cancel(
        self, run: RunHandle[Any], *, reason: str = "", by: str = "test", force: bool = False
    ) -> None:
        await self._machine().runtime.cancel(run.run_id, reason=reason, by=by, force=force)
        await self.settle()

    async def retry(self, run: RunHandle[Any], *, by: str = "test") -> None:
        """Of a run that failed or is held: as `ksl runs retry`."""
        await self._machine().runtime.retry(run.run_id, by=by)
        await self.settle()

    async def fire(self, source: Source, payload: Any = UNGIVEN) -> list[FiringView]:
        """Fires a source now, as `ksl triggers invoke` does, and lets its runs go as far as they can.

        `payload` is what a webhook delivers, and of a poll what its `run` would return; left out, the poll runs.
        The list is of one firing, or of several where a poll found very many.

        Errors: InvalidInput for a payload that does not fit the source; PollFailed; ActionHangs.
        """
        fired = await self._sources.fire(source, payload)
        await self.settle()
        return fired

    async def watch(self, *sources: Source) -> None:
        """From now on time fires these: a cron source at its ticks, a poll now and by its schedule.

        Errors: what `ksl build` would say of them.
        """
        for source in sources:
            self._sources.watch(source)
        await self.settle()

    def firings(self, source: Source) -> list[FiringView]:
        """Every time it fired, oldest first, with the runs it started."""
        return self._sources.firings(source)

    async def subscribe(self, workflow: Workflow[Any, Any], subscriber: str) -> None:
        """For a workflow with `subscription="subscribable"`: each firing starts a run for this user, too."""
        await self._sources.subscribe(workflow, subscriber)

    async def advance(self, by: Duration | datetime) -> None:
        """Lets time pass: a duration, or until a moment. What is due on the way happens at its own time."""
        if isinstance(by, datetime):
            target_ms = round(by.timestamp() * 1000)
        else:
            target_ms = self._clock.now_ms() + round(parse_duration(by) * 1000)
        if target_ms < self._clock.now_ms():
            raise ValueError(f"{by} is before {self.now}: time does not go back")
        await self._pass_until(target_ms)

    async def settle(self) -> None:
        """Until nothing can happen without time passing.

        Errors: ActionHangs; DoesNotReplay with `replay_at_every_wait`.
        """
        for run_id in await self._machine().settle():
            run = self._runs.get(run_id)
            if run is not None and run.status is RunStatus.HELD:
                raise DoesNotReplay(f"{run!r} was dropped from memory where it waited, and {run.error}")

    async def sleep(self, duration: Duration) -> None:
        """For stubs and actions of the test: waits by the time of this environment."""
        await self._machine().sleep(parse_duration(duration))

    def events(self, run: RunHandle[Any] | str) -> list[EventView]:
        """A run's history."""
        return self._runs[run if isinstance(run, str) else run.run_id].events

    def history(self, run: RunHandle[Any]) -> History:
        """A run's history as a fixture: `env.history(run).save(path)`."""
        store = self._machine().store
        row = run.row
        return History(
            run_id=run.run_id,
            workflow=row.workflow,
            events=tuple(at_once(store.events(run.run_id))),
            trigger=row.trigger,
        )

    async def pass_to_next(self, run: RunHandle[Any]) -> None:
        """Lets time pass until the next thing is due for the run. Errors: RunNotEnded when nothing is."""
        await self._pass_until(run.next_ms())

    def seq_of(self, run_id: str) -> int:
        """Of the newest event of a run in memory, recorded just now or before; 0 when it is not there."""
        run = self._made.engine.live.get(run_id) if self._made is not None else None
        return run.seq if run is not None else 0

    async def close(self) -> None:
        """Cancels what is in flight. What was asked of the environment can still be looked at."""
        if not self._closed:
            self._closed = True
            if self._made is not None:
                await self._made.close()

    def close_now(self) -> None:
        """`close` for where no loop runs any more."""
        if not self._closed:
            self._closed = True
            if self._made is not None:
                self._made.close_now()

    async def _pass_until(self, target_ms: int) -> None:
        """Over everything that is due on the way, each at its own time."""
        machine = self._machine()
        await self.settle()
        # The engine rounds a duration up to the next millisecond, never early by any clock: a sleep of one day
        # that began now is due a day and a millisecond from now, and `advance("1d")` is meant to end it.
        while (due_ms := machine.next_ms()) is not None and due_ms <= target_ms + 1:
            self._clock.move_to(due_ms)
            await self.settle()
        self._clock.move_to(target_ms)
        await self.settle()

    def _machine(self) -> Machine:
        if self._made is None:
            if self._closed:
                raise RuntimeError("this environment was closed; make another with `environment()`")
            self._made = Machine(
                self.definitions.project,
                clock=self._clock,
                rng=self._rng,
                new_id=self._new_id,
                folder=self._folder,
                patience_s=self._patience_s,
                replay_at_every_wait=self._replay_at_every_wait,
                keys=self._keys,
                credentials=self._credentials,
                redactor=self._redactor,
            )
            self._made.engine.attempts.intercept = self._stubs.intercept
        return self._made

    def _handle(self, workflow: Workflow[Any, O], run_id: str) -> RunHandle[O]:
        return self._runs.setdefault(
            run_id, RunHandle(self._machine(), workflow, run_id, pass_until=self._pass_until)
        )

    def _new_id(self) -> str:
        # Chance inside a run comes from its id, so another seed gives other ids.
        wanted, self._next_id = self._next_id, None
        if wanted is not None:
            return wanted
        self._ids += 1
        return f"run_{self._ids}" if not self._seed else f"run_{self._seed}x{self._ids}"


def environment(
    *workflows: Workflow[Any, Any],
    seed: int = 0,
    now: datetime = START,
    replay_at_every_wait: bool = False,
    folder: Path | None = None,
    patience: Duration = "30s",
) -> Environment:
    """An engine in memory, on time that stands still until it is moved: `async with environment() as env`.

    `workflows`: those that a body reaches in a way its source does not show; all others are found. `seed` is
    that of ids, `ctx.random()` and jitter. `replay_at_every_wait` drops each run from memory whenever it waits
    and replays it. `folder` holds `ctx.workspaces_root`; nothing is written there by ksl. `patience` is how
    long an action may take in real time before the test is told.
    """
    return Environment(
        workflows,
        seed=seed,
        now=now,
        replay_at_every_wait=replay_at_every_wait,
        folder=folder,
        patience=patience,
    )


def _text(workflow: Workflow[Any, Any], input: Any) -> bytes:
    if input is None or isinstance(input, dict | list | str | int | float | bool):
        return json_text(input)
    return encode_input(workflow, input)


def _token(hook: WaitingHook | str) -> str:
    return hook if isinstance(hook, str) else hook.token

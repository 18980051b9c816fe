"""All runs that are in memory: begun, loaded, told of outcomes, evicted, held."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Protocol

from msgspec.structs import replace

from ksl.engine import ending, failures, moments
from ksl.engine.attempt import Attempt, Result
from ksl.engine.attempts import Attempts
from ksl.engine.codes import Codes
from ksl.engine.history import History
from ksl.engine.host import Clock, Limits, Mask
from ksl.engine.loading import Loading
from ksl.engine.logs import Logs
from ksl.engine.overdue import Overdue
from ksl.engine.run import Run
from ksl.engine.tokens import TokenKeys
from ksl.engine.unstored import Unstored
from ksl.errors import AskPerson, InternalFault, KslError, TryAgain
from ksl.log.store import Change, Store
from ksl.records import Event, Meta, RunRow, RunStatus, TimerRow

if TYPE_CHECKING:
    from ksl.build.discover import Project
    from ksl.define.credential import CredentialSource
    from ksl.engine.call import Call

_log = logging.getLogger("ksl.engine")
_NEAR_MS = 5_000  # a run that wakes sooner is not worth evicting


class Slots(Protocol):
    """Who may advance. `queue.slots.Slots` is the real one."""

    def want(self, run_id: str, workflow: str, limit: int | None, granted: Callable[[], None]) -> None: ...

    def release(self, run_id: str) -> None: ...

    def withdraw(self, run_id: str) -> None: ...


class Timers(Protocol):
    """Who watches the clock. `queue.timers.TimerLoop` is the real one."""

    def set(self, timers: list[TimerRow]) -> None: ...

    def clear(self, timers: list[TimerRow]) -> None: ...


class Engine:
    """Implements `host.Host`. Lives on the host loop's thread."""

    def __init__(
        self,
        *,
        project: Project,
        store: Store,
        clock: Clock,
        rng: Random,
        tokens: TokenKeys,
        slots: Slots,
        timers: Timers,
        limits: Limits,
        boot: str,
        public_url: Callable[[], str],
        workspaces_root: Path,
        resident_max: int = 1_000,
        credentials: CredentialSource,
        mask: Mask,
    ) -> None:
        self.project = project
        self.store = store
        self.clock = clock
        self.rng = rng
        self.tokens = tokens
        self.limits = limits
        self.boot = boot
        self.workspaces_root = workspaces_root
        self.codes = Codes(project)
        self.mask = mask
        self.logs = Logs(clock, mask)
        self.attempts = Attempts(
            clock=clock,
            logs=self.logs,
            payload_max=limits.payload,
            workspaces_root=workspaces_root,
            credentials=credentials,
            mask=mask,
        )
        self.unstored = Unstored()
        self.live: OrderedDict[str, Run] = OrderedDict()
        self.on_end: Callable[[str], None] | None = None
        self.on_let_in: Callable[[str], None] | None = None
        self.on_row: Callable[[Change], None] | None = None  # a run's row changed, and that is stored
        # A change was not stored; the run's id where it is to go on.
        self.on_loss: Callable[[str | None, KslError], None] | None = None
        self._slots = slots
        self._timers = timers
        self._public_url = public_url
        self._resident_max = resident_max
        self._loop = asyncio.get_running_loop()
        self.loading = Loading(self)
        self.overdue = Overdue(self)
        self._trimming = False
        # Steps in flight that wait for another run, with the run in memory that counts them.
        self._waiting: dict[tuple[str, str], Run | None] = {}
        self.stopping = False

    # Runs in and out of memory.

    def begin(self, row: RunRow, input: bytes) -> None:
        """A run whose slot was granted and whose `run_created` was appended just now, or is all there is."""
        run = self.make(row, input, History())
        run.has_slot = True
        self.live[row.run_id] = run
        self.guard(run, run.begin)

    async def begin_again(self, run_id: str) -> None:
        """A queued run from the log, its slot granted."""
        run = await self.load(run_id)
        if self.live.get(run_id) is not run or run.row.status is not RunStatus.QUEUED or run.main is not None:
            if not run.has_slot:
                self._slots.release(run_id)
            return
        run.has_slot = True
        self._loop.call_soon(self.guard, run, partial(self._begin, run))

    def _begin(self, run: Run) -> None:
        if run.main is None and self.live.get(run.run_id) is run:
            run.begin()
            self.watch_moments(run)

    async def load(self, run_id: str) -> Run:
        """See `Loading.load`."""
        return await self.loading.load(run_id)

    def watch_moments(self, run: Run) -> None:
        """Those that came while the run was held or between attempts found nobody to take them."""
        if self.live.get(run.run_id) is run:
            self._timers.set(list(moments.armed(run)))

    def make(self, row: RunRow, input: bytes, history: History) -> Run:
        return Run(
            self,
            row,
            workflow=self.project.workflows[row.workflow],
            tables=self.project.tables,
            input=input,
            history=history,
            log=self.logs.of(row.run_id),
        )

    def post(self, run: Run, act: Callable[[], None]) -> None:
        """Something happens to a live run. Call it from a plain host callback."""
        if run.run_id in self.live:
            self.live.move_to_end(run.run_id)
        self.guard(run, act)

    def timer_due(self, timer: TimerRow) -> None:
        """A moment has come."""
        run = self.live.get(timer.run_id)
        if run is not None and run.main is not None:
            self.fire(run, timer)
        elif not self.stopping:
            self.overdue.add(timer)

    def fire(self, run: Run, timer: TimerRow) -> None:
        def act() -> None:
            if not moments.fire(run, timer):
                self.drop(timer)

        self.post(run, act)

    def drop(self, timer: TimerRow) -> None:
        """A timer that nobody waits for."""
        self.store.append(Change(run_id=timer.run_id, timers_cleared=[timer]))

    @property
    def is_loading(self) -> bool:
        return bool(self.loading.under_way or self.overdue.loaders)

    async def loaded(self) -> None:
        """Returns when no run is being loaded any more."""
        while loading := [*self.loading.under_way.values(), *self.overdue.loaders]:
            await asyncio.wait(loading)

    # host.Host

    def append(self, run: Run, change: Change) -> None:
        change.owner = run
        self.store.append(change)
        if change.timers_set:
            self._timers.set(change.timers_set)
        if change.timers_cleared:
            self._timers.clear(change.timers_cleared)
        if len(self.live) > self._resident_max:
            self.trim_soon()

    def perform(self, run: Run, call: Call, attempt: int) -> None:
        if self.stopping:
            return
        known = self.unstored.runs or (run.run_id, call.id) in self.attempts.in_flight
        if not (known and self.goes_on(run, call)):
            self.attempts.start(
                run.run_id, call, attempt, partial(self._attempt_done, run, call), run.row.subscriber
            )

    def goes_on(self, run: Run, call: Call) -> bool:
        done = partial(self._attempt_done, run, call)
        result = self.unstored.take(run.run_id, call)
        if result is not None:
            self._loop.call_soon(done, result)
            return True
        adopted = self.attempts.adopt(run.run_id, call, done)
        if adopted and (run.run_id, call.id) in self._waiting:
            self._waiting[run.run_id, call.id] = run
            run.waiting += 1
        return adopted

    def _attempt_done(self, run: Run, call: Call, result: Result) -> None:
        # As `post` does, with fewer calls: this is the hot path.
        if run.run_id in self.live:
            self.live.move_to_end(run.run_id)
        try:
            ending.record_attempt(run, call, result)
        except Exception as error:
            self._fault(run, error)
        if run.paused:
            self.leave_if_paused(run)

    def abandon(self, run: Run, call: Call) -> None:
        self._waits_no_more(run.run_id, call.id)
        self.attempts.cancel(run.run_id, call.id)

    def want_slot(self, run: Run, granted: Callable[[], None]) -> None:
        def take() -> None:
            run.has_slot = True
            self.guard(run, granted)

        self._slots.want(run.run_id, run.workflow.slug, run.workflow.concurrency, take)

    @contextmanager
    def waiting(self, run_id: str, step: str) -> Generator[None]:
        """Around an attempt that does nothing but wait for another run. A run that has no other in flight gives its
        slot back: the one it waits for may need it."""
        run = self._waiting[run_id, step] = self.live.get(run_id)
        if run is not None:
            run.waiting += 1
            if run.has_slot and run.active == run.waiting:
                self.release_slot(run)
        try:
            yield
        finally:
            self._waits_no_more(run_id, step)

    def stop_waiting(self) -> None:
        """At the end of the process: a step that waits for another run would keep it for as long as it may."""
        for key in list(self._waiting):
            self.attempts.cancel(*key)

    def _waits_no_more(self, run_id: str, step: str) -> None:
        if (run := self._waiting.pop((run_id, step), None)) is not None:
            run.waiting -= 1

    def release_slot(self, run: Run) -> None:
        run.has_slot = False
        self._slots.release(run.run_id)

    def slow(self, run: Run, took_s: float) -> None:
        _log.warning(
            "run %s: its body kept the event loop for %.2f s and is now at %s; timers, HTTP and other runs waited. "
            "Move the work into an action.",
            run.run_id,
            took_s,
            run.body_line(),
        )

    def hook_url(self, token: str) -> str:
        return f"{self._public_url()}/hooks/{token}"

    def ended(self, run: Run) -> None:
        self._forget(run)
        self.unstored.drop(run.run_id)
        if self.on_end is not None:
            self.on_end(run.run_id)

    def halted(self, run: Run, error: KslError) -> None:
        """A run that cannot go on: held for a person, or failed where the code is at fault."""
        if run.replaying:
            return  # told again when the replay has ended
        if self.live.get(run.run_id) is run or run.halted is not None:
            ending.halt(run, error, hold=isinstance(error, AskPerson))
        self._forget(run)
        if self.on_end is not None:
            self.on_end(run.run_id)

    def leave_if_paused(self, run: Run) -> None:
        """A paused run leaves memory with the last of its steps in flight."""
        if run.paused and self.live.get(run.run_id) is run and not self.attempts.of_run(run.run_id):
            self._forget(run)

    def discard(self, run: Run) -> None:
        """Takes a run out of memory, with what it has in flight."""
        self._forget(run)

    def withdraw(self, run_id: str) -> None:
        """A run that is not to go on: it waits for no slot, and no outcome is kept for it."""
        self._slots.withdraw(run_id)
        self.attempts.cancel_run(run_id)
        self.unstored.drop(run_id)

    async def hold(self, row: RunRow, error: KslError) -> None:
        """Holds a run that is not in memory."""
        data = failures.encode(failures.failure_data(error, step=None, attempts=row.attempt))
        data = self.mask.json(data) if self.mask.active else data
        # Not from its events: they may be the damage that it is held for.
        seq = await self.store.newest_seq(row.run_id) + 1
        event = Event(row.run_id, seq, "run_held", None, self.clock.now_ms(), data, None, Meta())
        held = replace(row, status=RunStatus.HELD, seq=seq, waiting_on=None)
        change = Change(run_id=row.run_id, events=[event], run=held)
        change.stored = lambda: self.row_stored(change)
        self.store.append(change)
        await self.store.flush()

    # Inside.

    def guard(self, run: Run, act: Callable[[], Any]) -> None:
        """ksl's own mistakes hold the run at hand; they must not take other runs along, nor pass unseen."""
        try:
            act()
        except Exception as error:
            self._fault(run, error)

    def _fault(self, run: Run, error: Exception) -> None:
        _log.error("run %s: a fault in ksl while the run was advanced", run.run_id, exc_info=error)
        run.halted = InternalFault(
            f"run {run.run_id}: ksl itself went wrong while advancing it ({error.__class__.__name__}: {error}). "
            f"Its history is intact and the run is held. `ksl runs retry {run.run_id}` tries again; please "
            "report it with the server's log."
        )
        run.replaying = False
        self.halted(run, run.halted)

    def _forget(self, run: Run, *, for_now: bool = False) -> None:
        """`for_now`: it will be loaded again, so what it has in flight goes on."""
        if self.live.get(run.run_id) is run:
            del self.live[run.run_id]
        if for_now:
            self.attempts.leave(run.run_id, self._keep)
        elif run.active:
            self.attempts.cancel_run(run.run_id)
        in_line = bool(run.in_line)
        run.evict()
        if in_line:
            self._slots.withdraw(run.run_id)
        if run.has_slot:
            self.release_slot(run)

    def _keep(self, attempt: Attempt, result: Result) -> None:
        self.unstored.keep(attempt.run_id, attempt.step, attempt.action.slug, attempt.input, result)

    def row_stored(self, change: Change) -> None:
        if self.on_row is not None:
            self.on_row(change)

    def lost_turn(self, run: Run, change: Change, error: KslError) -> None:
        passes = isinstance(error, TryAgain) and not self.stopping
        if passes:
            self.unstored.keep_completed(change.events)
        if self.live.get(run.run_id) is run:
            _log.error("run %s leaves memory, its newest turn was not stored: %s", run.run_id, error)
            self._forget(run, for_now=passes)
        self.lost(run.run_id, error)

    def lost(self, run_id: str | None, error: KslError) -> None:
        """A change was not stored; `run_id` of a run that is to go on from what is."""
        if self.on_loss is not None and not self.stopping:
            self.on_loss(run_id, error)

    def trim_soon(self) -> None:
        if not self._trimming and len(self.live) > self._resident_max:
            self._trimming = True
            self._loop.call_soon(self._trim)

    def _trim(self) -> None:
        """Evicts idle runs, least recently used first. Looks at a bounded number of runs each time."""
        self._trimming = False
        near_ms = self.clock.now_ms() + _NEAR_MS
        surplus = len(self.live) - self._resident_max
        for run_id in list(self.live)[: 2 * surplus + 64]:
            if surplus <= 0:
                break
            run = self.live[run_id]
            if run.is_idle and not any(timer.due_ms < near_ms for timer in moments.armed(run)):
                del self.live[run_id]
                run.evict()
                surplus -= 1
            else:
                self.live.move_to_end(run_id)

"""All runs that are in memory: begun, loaded, told of outcomes, evicted, held."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Protocol

from msgspec.structs import replace

from ksl.engine import ending, failures, moments
from ksl.engine.attempt import Attempt, Result
from ksl.engine.attempts import Attempts
from ksl.engine.codes import Codes
from ksl.engine.history import History, read_history
from ksl.engine.host import Clock, Limits, Mask
from ksl.engine.logs import Logs
from ksl.engine.replay import catch_up
from ksl.engine.run import Run
from ksl.engine.tokens import TokenKeys
from ksl.engine.unstored import Unstored
from ksl.errors import AskPerson, DamagedEvent, InternalFault, KslError, TryAgain, UnknownRun, WorkflowGone
from ksl.log.store import Change, Store
from ksl.records import FINISHED, Event, Meta, RunRow, RunStatus, TimerRow

if TYPE_CHECKING:
    from ksl.build.discover import Project
    from ksl.define.credential import CredentialSource
    from ksl.engine.call import Call

_log = logging.getLogger("ksl.engine")
_LOADS_AT_ONCE = 64  # runs brought back into memory by moments
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
        # A change was not stored; the run's id where it is to go on.
        self.on_loss: Callable[[str | None, KslError], None] | None = None
        self._slots = slots
        self._timers = timers
        self._public_url = public_url
        self._resident_max = resident_max
        self._loop = asyncio.get_running_loop()
        self._loading: dict[str, asyncio.Future[Run]] = {}
        self._overdue: deque[TimerRow] = deque()  # moments of runs that are yet to be loaded
        self._loaders: set[asyncio.Task[None]] = set()
        self._kept_out: dict[
            str, asyncio.Future[None]
        ] = {}  # runs that somebody deals with as they lie in the log
        self._trimming = False
        self.stopping = False

    # Runs in and out of memory.

    def begin(self, row: RunRow, input: bytes) -> None:
        """A run whose slot was granted and whose `run_created` was appended just now, or is all there is."""
        run = self._make(row, input, History())
        run.has_slot = True
        self.live[row.run_id] = run
        self._guard(run, run.begin)

    async def begin_again(self, run_id: str) -> None:
        """A queued run from the log, its slot granted."""
        run = await self.load(run_id)
        if self.live.get(run_id) is not run or run.row.status is not RunStatus.QUEUED or run.main is not None:
            if not run.has_slot:
                self._slots.release(run_id)
            return
        run.has_slot = True
        self._loop.call_soon(self._guard, run, partial(self._begin, run))

    def _begin(self, run: Run) -> None:
        if run.main is None and self.live.get(run.run_id) is run:
            run.begin()
            self._watch_moments(run)

    async def load(self, run_id: str) -> Run:
        """The run, brought to where its history ends. One that ended comes without a body.

        Errors: UnknownRun. A run that does not fit its history comes back held.
        """
        while (kept_out := self._kept_out.get(run_id)) is not None:
            await asyncio.shield(kept_out)
        loading = self._loading.get(run_id)
        # A run that is being replayed is in memory already, but not yet where its history ends.
        if loading is None and (run := self.live.get(run_id)) is not None:
            self.live.move_to_end(run_id)
            return run
        if loading is None:
            loading = self._loading[run_id] = self._loop.create_task(self._load(run_id))
            loading.add_done_callback(lambda _: self._loading.pop(run_id, None))
        return await asyncio.shield(loading)

    async def _load(self, run_id: str) -> Run:
        await self.store.flush()
        row = await self.store.run(run_id)
        if row is None:
            raise UnknownRun(f'there is no run "{run_id}". `ksl runs list` shows the runs there are.')
        try:
            events = await self.store.events(run_id)
        except DamagedEvent as error:
            if row.status not in FINISHED and row.status is not RunStatus.HELD:
                await self.hold(row, error)
            raise
        if row.workflow not in self.project.tables:
            error = WorkflowGone(
                f"run {run_id} is of workflow {row.workflow}, which this project does not define (any more). "
                f"Restore it and `ksl runs retry {run_id}`."
            )
            if row.status not in FINISHED and row.status is not RunStatus.HELD:
                await self.hold(row, error)
            raise error
        row = replace(row, seq=events[-1].seq)
        run = self._make(row, events[0].data or b"null", read_history(events))
        if row.status in FINISHED or row.status is RunStatus.HELD:
            return run
        if (broken := self.project.broken.get(row.workflow)) is not None:
            await self.hold(row, broken)
            self.project.raise_if_rule_broken(row.workflow)
        self.live[run_id] = run
        if row.status is RunStatus.QUEUED:
            if not run.history.has_begun:
                return run
            # Put in line in the middle of an attempt: a suspect whose turn never came.
            run.row = replace(row, status=RunStatus.RUNNING)
        done: asyncio.Future[None] = self._loop.create_future()
        self._loop.call_soon(self._replay, run, done)
        await done
        self._trim_soon()
        return run

    def _replay(self, run: Run, done: asyncio.Future[None]) -> None:
        try:
            self._guard(run, partial(catch_up, run))
            if run.halted is not None and run.run_id in self.live:
                self.halted(run, run.halted)
            self._watch_moments(run)
        finally:
            if not done.done():
                done.set_result(None)

    def _watch_moments(self, run: Run) -> None:
        """Those that came while the run was held or between attempts found nobody to take them."""
        if self.live.get(run.run_id) is run:
            self._timers.set(list(moments.armed(run)))

    def _make(self, row: RunRow, input: bytes, history: History) -> Run:
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
        self._guard(run, act)

    def timer_due(self, timer: TimerRow) -> None:
        """A moment has come."""
        run = self.live.get(timer.run_id)
        if run is not None and run.main is not None:
            self._timer_due(run, timer)
        elif not self.stopping:
            self._overdue.append(timer)
            if len(self._loaders) < _LOADS_AT_ONCE:
                task = self._loop.create_task(self._load_overdue())
                self._loaders.add(task)
                task.add_done_callback(self._loaders.discard)

    @property
    def is_loading(self) -> bool:
        return bool(self._loading or self._loaders)

    async def loaded(self) -> None:
        """Returns when no run is being loaded any more."""
        while loading := [*self._loading.values(), *self._loaders]:
            await asyncio.wait(loading)

    async def _load_overdue(self) -> None:
        # After a long absence there may be a hundred thousand of them.
        while self._overdue and not self.stopping:
            try:
                await self._load_for(self._overdue.popleft())
            except Exception as error:
                _log.error("a timer could not be delivered", exc_info=error)

    async def _load_for(self, timer: TimerRow) -> None:
        try:
            run = await self.load(timer.run_id)
        except KslError as error:
            _log.warning("%s %s", error.code, error)
            self.lost(timer.run_id, error)
            return
        if run.main is None:
            if run.row.status is not RunStatus.QUEUED and run.row.status is not RunStatus.HELD:
                self._drop(timer)
            return
        done: asyncio.Future[None] = self._loop.create_future()

        def act() -> None:
            done.set_result(None)
            if self.live.get(run.run_id) is run:
                self._timer_due(run, timer)
            else:
                self.timer_due(timer)  # it left memory again before its moment was told

        self._loop.call_soon(act)
        await done

    def _timer_due(self, run: Run, timer: TimerRow) -> None:
        def act() -> None:
            if not moments.fire(run, timer):
                self._drop(timer)

        self.post(run, act)

    def _drop(self, timer: TimerRow) -> None:
        self.store.append(Change(run_id=timer.run_id, timers_cleared=[timer]))

    # host.Host

    def append(self, run: Run, change: Change) -> None:
        change.owner = run
        self.store.append(change)
        if change.timers_set:
            self._timers.set(change.timers_set)
        if change.timers_cleared:
            self._timers.clear(change.timers_cleared)
        if len(self.live) > self._resident_max:
            self._trim_soon()

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
        return self.attempts.adopt(run.run_id, call, done)

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
        self.attempts.cancel(run.run_id, call.id)

    def want_slot(self, run: Run, granted: Callable[[], None]) -> None:
        def take() -> None:
            run.has_slot = True
            self._guard(run, granted)

        self._slots.want(run.run_id, run.workflow.slug, run.workflow.concurrency, take)

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

    @asynccontextmanager
    async def kept_out(self, run_id: str, *, force: bool = False) -> AsyncGenerator[bool]:
        """Keeps a run out of memory and out of line, so that its row and events stand still meanwhile.
        Afterwards `on_let_in` is told: what its row says then is what becomes of it.

        False, and nothing is kept: its body is in memory. `force` takes it out all the same.
        """
        lies_still = False
        while (other := self._kept_out.get(run_id)) is not None:
            await asyncio.shield(other)
        gone = self._kept_out[run_id] = self._loop.create_future()
        try:
            if (loading := self._loading.get(run_id)) is not None:
                await asyncio.wait({loading})
            live = self.live.get(run_id)
            if live is not None and live.main is not None and not force:
                yield False
                return
            self.withdraw(run_id)
            if live is not None:
                self.discard(live)
            lies_still = True
            await self.store.flush()
            yield True
        finally:
            del self._kept_out[run_id]
            gone.set_result(None)
            if lies_still and self.on_let_in is not None:
                self.on_let_in(run_id)

    async def hold(self, row: RunRow, error: KslError) -> None:
        """Holds a run that is not in memory."""
        data = failures.encode(failures.failure_data(error, step=None, attempts=row.attempt))
        data = self.mask.json(data) if self.mask.active else data
        # Not from its events: they may be the damage that it is held for.
        seq = await self.store.newest_seq(row.run_id) + 1
        event = Event(row.run_id, seq, "run_held", None, self.clock.now_ms(), data, None, Meta())
        held = replace(row, status=RunStatus.HELD, seq=seq, waiting_on=None)
        self.store.append(Change(run_id=row.run_id, events=[event], run=held))
        await self.store.flush()

    # Inside.

    def _guard(self, run: Run, act: Callable[[], Any]) -> None:
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

    def _trim_soon(self) -> None:
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

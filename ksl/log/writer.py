"""Group commit: appends collect while a batch is in flight, then become the next one.

A batch is one transaction and one trip to the writer's thread. The callbacks of a stored batch run in order
as one plain callback of the loop, and the next batch is taken one turn of the loop later, so that every run
woken by the last commit takes part in it.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from ksl.errors import KslError, StoreFailed
from ksl.log import batch
from ksl.log.checkpoint import WAL_BYTES_MAX, checkpoint
from ksl.log.connection import Link, LogConnection
from ksl.log.histogram import Histogram
from ksl.log.mishaps import closed, gone, refused, write_mishap
from ksl.log.store import Change

# Under "process" a commit is no more than a write into the page cache: for so few events the trip to the
# thread costs more than the commit.
INLINE_EVENTS_MAX = 16
IDLE_S = 5.0
# Runs that were deleted lately, whose changes must find nobody: far more than one can ask about at once.
_GONE_MAX = 20_000

T = TypeVar("T")


class _Batch:
    """Made on the loop, filled in by `write` on either thread, read on the loop again."""

    __slots__ = ("changes", "clock", "error", "events", "refused", "started", "wal_bytes", "wal_path")

    def __init__(self, changes: list[Change], wal_path: str, clock: Callable[[], float]) -> None:
        self.changes = changes
        self.events = sum([len(change.events) for change in changes])
        self.refused: dict[int, Exception] = {}
        self.error: Exception | None = None
        self.wal_path = wal_path
        self.wal_bytes = 0
        self.clock = clock
        self.started = clock()

    def write(self, connection: LogConnection) -> None:
        try:
            try:
                batch.transact(connection, self.changes)
            except batch.CONTENT_ERRORS:
                self.refused = batch.transact_singly(connection, self.changes)
        except Exception as error:
            self.error = error
        else:
            # Apart, since what is committed stays committed whatever becomes of this.
            with suppress(OSError):
                self.wal_bytes = os.stat(self.wal_path).st_size


class _Job:
    """Work of its own on the writing connection. Made on the loop, done in the thread, told on the loop."""

    __slots__ = ("answer", "error", "result", "then", "wal_bytes", "work")

    def __init__(self, work: Callable[[LogConnection], Any], then: Callable[[Any], None] | None) -> None:
        self.work = work
        self.then = then
        self.result: Any = None
        self.error: Exception | None = None
        self.wal_bytes = 0
        self.answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def tell(self, error: KslError | None) -> None:
        if self.answer.done():
            return
        if error is None:
            self.answer.set_result(self.result)
        else:
            self.answer.set_exception(error)


class Writer:
    """Use on the loop's thread only. `failed` gets the error after which nothing is stored any more."""

    def __init__(
        self,
        link: Link,
        path: Path,
        *,
        inline: bool,
        clock: Callable[[], float],
    ) -> None:
        self._link = link
        self._path = path
        self._wal_path = f"{path}-wal"
        self._inline = inline
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._pending: list[Change] = []
        self._in_flight = 0
        self._quiet = True  # no batch in flight, and none about to be taken
        self._refusal: StoreFailed | None = None
        self._watchers: list[Callable[[], None]] = []
        self._jobs: deque[_Job] = deque()
        self._job_is_next = False  # of jobs and batches that both wait, they take turns
        self._gone: dict[str, None] = {}  # runs that were deleted lately
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._appended_settled = 0
        self._wal_bytes_kept = 0
        self._idle_timer: asyncio.TimerHandle | None = None
        self._batches_seen = 0  # when the idle timer was armed
        self._batches_moved = 0  # when the WAL was last moved into the database for idleness
        self.failed: asyncio.Future[KslError] = self._loop.create_future()
        self.batches = 0
        self.events = 0
        self.latency = Histogram()

    def append(self, change: Change) -> None:
        self._pending.append(change)
        if self._quiet:
            self._quiet = False
            self._loop.call_soon(self._take)

    async def ask(self, work: Callable[[LogConnection], T], *, then: Callable[[T], None] | None = None) -> T:
        """Work between two batches, such as deleting; it must leave no transaction open. `then` gets its result
        on the loop, before another batch is taken. Errors: what a batch's changes would be lost with."""
        job = _Job(work, then)
        self._jobs.append(job)
        if self._quiet:
            self._quiet = False
            self._loop.call_soon(self._take)
        return await job.answer

    def forget(self, run_ids: Iterable[str]) -> None:
        """These runs were deleted: what is appended for one of them is lost."""
        self._gone.update(dict.fromkeys(run_ids))
        while len(self._gone) > _GONE_MAX:
            del self._gone[next(iter(self._gone))]

    @property
    def pending(self) -> int:
        return len(self._pending) + self._in_flight

    def wake_on_commit(self, callback: Callable[[], None]) -> Callable[[], None]:
        self._watchers.append(callback)

        def unsubscribe() -> None:
            if callback in self._watchers:
                self._watchers.remove(callback)

        return unsubscribe

    async def flush(self) -> None:
        if self.pending:
            settled = self._loop.create_future()
            self._waiting.append((self._appended_settled + self.pending, settled))
            await settled

    async def stop(self) -> bool:
        """Stores what is pending and takes no more. False if something was lost on the way here."""
        await self.flush()
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None
        unharmed = self._refusal is None
        self._refusal = self._refusal or closed(self._path)
        return unharmed

    # The rest runs as plain callbacks of the loop.

    def _take(self) -> None:
        if self._refusal is not None:
            self._lose_pending(self._refusal)
            while self._jobs:
                self._jobs.popleft().tell(self._refusal)
            self._rest()
            return
        if self._gone:
            self._lose_changes_of_gone()
        if self._jobs and (self._job_is_next or not self._pending):
            self._job_is_next = False
            self._do(self._jobs.popleft())
            return
        self._job_is_next = True
        if not self._pending:
            self._rest()
            return
        changes, count = self._pending, batch.fits(self._pending)
        if count == len(changes):
            self._pending = []
        else:
            self._pending = changes[count:]
            changes = changes[:count]
        taken = _Batch(changes, self._wal_path, self._clock)
        self._in_flight = count
        if self._inline and taken.events <= INLINE_EVENTS_MAX:
            taken.write(self._link.raw)
            self._settle(taken)
        else:
            self._link.send(taken.write, lambda: self._settle(taken))

    def _settle(self, taken: _Batch) -> None:
        try:
            if taken.error is not None:
                self._lose(taken, write_mishap(taken.error, self._path))
            else:
                self.batches += 1
                self.latency.observe(self._clock() - taken.started)
                if taken.refused:
                    self._tell_singly(taken)
                else:
                    self.events += taken.events
                    self._tell(taken.changes)
                # A run that goes on after a restart may come to wait with no event that says so.
                if taken.events or any(change.run is not None for change in taken.changes):
                    for watcher in tuple(self._watchers):
                        self._call(watcher)
        finally:
            self._in_flight = 0
            self._settled(len(taken.changes))
            self._checkpoint_or_rest(taken.wal_bytes)

    def _do(self, job: _Job) -> None:
        def work(connection: LogConnection) -> None:
            try:
                job.result = job.work(connection)
            except Exception as error:
                job.error = error
            with suppress(OSError):
                job.wal_bytes = os.stat(self._wal_path).st_size

        def done() -> None:
            error: KslError | None = None
            if job.error is None:
                self.batches += 1
                if job.then is not None:
                    job.then(job.result)
            else:
                error = write_mishap(job.error, self._path)
                self._note(error)
            job.tell(error)
            self._checkpoint_or_rest(job.wal_bytes)

        self._link.send(work, done)

    def _checkpoint_or_rest(self, wal_bytes: int) -> None:
        if wal_bytes > max(WAL_BYTES_MAX, self._wal_bytes_kept):
            self._checkpoint()
        else:
            self._rest()

    def _rest(self) -> None:
        """Takes the next batch one turn later, or leaves it to the next append."""
        if self._pending or self._jobs:
            self._loop.call_soon(self._take)
        else:
            self._quiet = True
            if self._idle_timer is None and self.batches != self._batches_moved and self._refusal is None:
                self._arm_idle_timer()

    def _tell(self, changes: list[Change]) -> None:
        for change in changes:
            try:
                change.tell_stored()
            except Exception as error:
                self._report(error)

    def _tell_singly(self, taken: _Batch) -> None:
        runs: dict[str, KslError] = {}
        for index, change in enumerate(taken.changes):
            reason = taken.refused.get(index)
            if reason is None:
                self.events += len(change.events)
                self._tell([change])
            else:
                error = runs.setdefault(change.run_id, refused(reason, change.run_id))
                self._tell_lost(change, error)
        # What these runs appended meanwhile would leave a gap in their history.
        behind = [change for change in self._pending if change.run_id in runs]
        self._pending = [change for change in self._pending if change.run_id not in runs]
        for change in behind:
            self._tell_lost(change, runs[change.run_id])
        self._settled(len(behind))

    def _note(self, error: KslError) -> None:
        """After an error that does not pass nothing is stored any more."""
        if isinstance(error, StoreFailed):
            self._refusal = error
            if not self.failed.done():
                self.failed.set_result(error)

    def _lose_changes_of_gone(self) -> None:
        late = [change for change in self._pending if change.run_id in self._gone]
        if late:
            self._pending = [change for change in self._pending if change.run_id not in self._gone]
            for change in late:
                self._tell_lost(change, gone(change.run_id))
            self._settled(len(late))

    def _lose(self, taken: _Batch, error: KslError) -> None:
        self._note(error)
        # Whoever appended meanwhile did not know of the loss. Storing that after all would leave a gap.
        behind, self._pending = self._pending, []
        for change in taken.changes:
            self._tell_lost(change, error)
        for change in behind:
            self._tell_lost(change, error)
        self._settled(len(behind))

    def _lose_pending(self, error: KslError) -> None:
        lost, self._pending = self._pending, []
        for change in lost:
            self._tell_lost(change, error)
        self._settled(len(lost))

    def _tell_lost(self, change: Change, error: KslError) -> None:
        self._call(lambda: change.tell_lost(error))

    def _call(self, callback: Callable[[], None]) -> None:
        try:
            callback()
        except Exception as error:
            self._report(error)

    def _report(self, error: Exception) -> None:
        self._loop.call_exception_handler(
            {"message": "A callback of the log raised; the log goes on.", "exception": error}
        )

    def _settled(self, count: int) -> None:
        self._appended_settled += count
        while self._waiting and self._waiting[0][0] <= self._appended_settled:
            _, settled = self._waiting.pop(0)
            if not settled.done():
                settled.set_result(None)

    def _checkpoint(self) -> None:
        """Appends collect meanwhile, since there is one connection that writes."""
        outcome: list[int | Exception] = []

        def work(connection: LogConnection) -> None:
            try:
                outcome.append(checkpoint(connection, self._wal_path))
            except Exception as error:
                outcome.append(error)

        def done() -> None:
            match outcome[0]:
                case int(kept):
                    self._wal_bytes_kept = kept
                case error:
                    mishap = write_mishap(error, self._path)
                    if isinstance(mishap, StoreFailed):
                        self._lose(_Batch([], self._wal_path, self._clock), mishap)
            self._rest()

        self._link.send(work, done)

    def _arm_idle_timer(self) -> None:
        self._batches_seen = self.batches
        self._idle_timer = self._loop.call_later(IDLE_S, self._idle)

    def _idle(self) -> None:
        self._idle_timer = None
        if not self._quiet:
            return  # arms itself again at the next rest
        if self.batches != self._batches_seen:
            self._arm_idle_timer()
            return
        self._batches_moved = self.batches
        self._quiet = False
        self._checkpoint()

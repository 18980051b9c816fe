"""The log without a file or a thread, for tests: what is appended is stored one turn of the loop later."""

from __future__ import annotations

import asyncio
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import islice

from ksl.errors import KeyTaken, KslError
from ksl.log.credentials import MemoryCredentials
from ksl.log.cursor import place
from ksl.log.histogram import Histogram
from ksl.log.memory_triggers import MemoryTriggers
from ksl.log.mishaps import closed, gone, refused
from ksl.log.rows import TimerKey, timer_key
from ksl.log.selection import RETRY_KINDS, matches, retrying_of
from ksl.log.sessions import MemorySessions
from ksl.log.store import Change, FeedRow, Page, Pruned, StoreSize, StoreStats, Waits, WorkflowSize
from ksl.log.visits import MemoryVisits
from ksl.records import (
    FINISHED,
    Activity,
    CodeRow,
    Event,
    HookRow,
    Retrying,
    RunFilter,
    RunRow,
    RunStatus,
    TimerRow,
)


class MemoryStore:
    """See `ksl.log.store.Store`. All pending changes are one batch."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._pending: list[Change] = []
        self._refusal: KslError | None = None
        self._watchers: list[Callable[[], None]] = []
        self._tables = _Tables()
        self._batches = 0
        self.credentials = MemoryCredentials()
        self.sessions = MemorySessions(lambda run_id: self._tables.histories.get(run_id, ()))
        self.visits = MemoryVisits(lambda run_id: run_id in self._tables.runs)
        self.failed: asyncio.Future[KslError] = self._loop.create_future()

    def append(self, change: Change) -> None:
        self._pending.append(change)
        if len(self._pending) == 1:
            self._loop.call_soon(self._commit)

    async def flush(self) -> None:
        while self._pending:
            flushed: asyncio.Future[None] = self._loop.create_future()
            self._loop.call_soon(flushed.set_result, None)
            await flushed

    async def close(self) -> None:
        await self.flush()
        self._refusal = closed("the log in memory")

    def fail(self, error: KslError, *, for_ever: bool = False) -> None:
        """For tests: loses what is pending, as a disk that is full or, `for_ever`, broken would."""
        if for_ever:
            self._refusal = error
            if not self.failed.done():
                self.failed.set_result(error)
        lost, self._pending = self._pending, []
        for change in lost:
            self._lose(change, error)

    def wake_on_commit(self, callback: Callable[[], None]) -> Callable[[], None]:
        self._watchers.append(callback)

        def unsubscribe() -> None:
            if callback in self._watchers:
                self._watchers.remove(callback)

        return unsubscribe

    async def suspects(self) -> dict[str, int]:
        return {}

    async def acquit(self, run_id: str) -> None:
        return None  # no process ever died over this log

    def _commit(self) -> None:
        changes, self._pending = self._pending, []
        if self._refusal is not None:
            for change in changes:
                self._lose(change, self._refusal)
            return
        outcomes: list[tuple[Change, KslError | None]] = []
        broken: dict[str, KslError] = {}
        for change in changes:
            error = gone(change.run_id) if change.run_id in self._tables.gone else broken.get(change.run_id)
            if error is None:
                try:
                    self._tables.store(change)
                except (KeyTaken, ValueError) as reason:
                    error = broken[change.run_id] = refused(reason, change.run_id)
            outcomes.append((change, error))
        self._batches += bool(changes)
        for change, error in outcomes:
            if error is not None:
                self._lose(change, error)
            else:
                self._call(change.tell_stored)
        if any(change.events or change.run is not None for change, error in outcomes if error is None):
            for watcher in tuple(self._watchers):
                self._call(watcher)

    def _lose(self, change: Change, error: KslError) -> None:
        self._call(lambda: change.tell_lost(error))

    def _call(self, callback: Callable[[], None]) -> None:
        try:
            callback()
        except Exception as error:
            self._loop.call_exception_handler(
                {"message": "A callback of the log raised; the log goes on.", "exception": error}
            )

    @property
    def triggers(self) -> MemoryTriggers:
        return self._tables.triggers

    async def run(self, run_id: str) -> RunRow | None:
        return self._tables.runs.get(run_id)

    async def runs(self, where: RunFilter, *, cursor: str | None = None, limit: int = 100) -> Page[RunRow]:
        before = place(cursor)
        numbered = list(enumerate(self._tables.runs.values(), start=1))
        matching = (
            (place, run) for place, run in reversed(numbered[: before - 1]) if self._meant(run, where)
        )
        found = list(islice(matching, limit + 1))
        more = len(found) > limit > 0
        return Page([run for _, run in found[:limit]], str(found[limit - 1][0]) if more else None)

    async def run_count(self, where: RunFilter, *, most: int) -> int:
        return min(most, sum(self._meant(run, where) for run in self._tables.runs.values()))

    def _meant(self, run: RunRow, where: RunFilter) -> bool:
        retrying = any(
            timer.run_id == run.run_id and timer.kind in RETRY_KINDS for timer in self._tables.timers
        )
        return matches(run, where, self._tables.histories.get(run.run_id, ()), retrying=retrying)

    async def run_by_key(self, workflow: str, idempotency_key: str) -> RunRow | None:
        for run in self._tables.runs.values():
            if run.workflow == workflow and run.idempotency_key == idempotency_key:
                return run
        return None

    async def code(self, workflow: str, code_version: str) -> CodeRow | None:
        return self._tables.codes.get((workflow, code_version))

    async def runs_in(self, statuses: Iterable[RunStatus]) -> list[RunRow]:
        wanted = frozenset(statuses)
        return [run for run in self._tables.runs.values() if run.status in wanted]

    async def run_counts(self) -> dict[RunStatus, int]:
        counts: dict[RunStatus, int] = {}
        for run in self._tables.runs.values():
            counts[run.status] = counts.get(run.status, 0) + 1
        return counts

    async def activity(self, since_ms: int, *, stretch_ms: int, most: int) -> list[Activity]:
        late = [run for run in self._tables.runs.values() if run.created_at_ms >= since_ms]
        late.sort(key=lambda run: run.created_at_ms)
        counted = Counter(
            (run.workflow, (run.created_at_ms - since_ms) // stretch_ms, run.status) for run in late[-most:]
        )
        return [Activity(*key, runs) for key, runs in counted.items()]

    async def codes_but(self, workflows: Sequence[str]) -> list[CodeRow]:
        newest = {run.workflow: run.code_version for run in self._tables.runs.values() if run.code_version}
        codes = (self._tables.codes.get(key) for key in newest.items() if key[0] not in workflows)
        return [code for code in codes if code is not None]

    async def events(self, run_id: str, *, after: int = 0, limit: int | None = None) -> list[Event]:
        later = (event for event in self._tables.histories.get(run_id, ()) if event.seq > after)
        return list(islice(later, limit))

    async def ends(self, run_ids: Sequence[str]) -> dict[str, tuple[Event, Event]]:
        histories = self._tables.histories
        return {
            run_id: (histories[run_id][0], histories[run_id][-1]) for run_id in run_ids if run_id in histories
        }

    async def retries(self, run_ids: Sequence[str]) -> dict[str, Retrying]:
        wanted = frozenset(run_ids)
        found: dict[str, Retrying] = {}
        for timer in self._tables.timers:
            if timer.run_id in wanted and timer.run_id not in found and timer.kind in RETRY_KINDS:
                told = "run_retrying" if timer.kind == "run_retry" else "step_retrying"
                history = reversed(self._tables.histories.get(timer.run_id, []))
                newest = (
                    event.meta for event in history if event.type == told and (event.step or "") == timer.step
                )
                found[timer.run_id] = retrying_of(timer.step, timer.due_ms, next(newest, None))
        return found

    async def feed(self, after: int, *, limit: int = 1000) -> list[FeedRow]:
        later = enumerate(self._tables.feed[after:], start=after + 1)
        return list(islice((FeedRow(place, event) for place, event in later if event is not None), limit))

    async def newest_seq(self, run_id: str) -> int:
        history = self._tables.histories.get(run_id)
        return history[-1].seq if history else 0

    async def feed_end(self) -> int:
        return len(self._tables.feed)

    async def hook(self, token_hash: bytes) -> HookRow | None:
        return self._tables.hooks.get(token_hash)

    async def hooks(self, *, run_id: str | None = None, only_open: bool = True) -> list[HookRow]:
        return [
            hook
            for hook in self._tables.hooks.values()
            if run_id in (None, hook.run_id) and (hook.status == "open" or not only_open)
        ]

    async def timers(self, *, until_ms: int, limit: int, after: TimerRow | None = None) -> list[TimerRow]:
        edge = None if after is None else timer_key(after)
        due = (
            timer
            for timer in self._tables.timers
            if timer.due_ms <= until_ms and (edge is None or timer_key(timer) > edge)
        )
        return list(islice(due, limit))

    async def next_timer_ms(self) -> int | None:
        return self._tables.timers[0].due_ms if self._tables.timers else None

    async def waits(self, now_ms: int) -> Waits:
        timers = self._tables.timers
        due = sum(timer.due_ms <= now_ms for timer in timers)
        return Waits(sum(hook.status == "open" for hook in self._tables.hooks.values()), len(timers), due)

    async def stats(self) -> StoreStats:
        return StoreStats(
            batches=self._batches,
            events=len(self._tables.feed),
            pending=len(self._pending),
            commit_seconds=Histogram().cumulative(),
            commit_seconds_sum=0.0,
            database_bytes=0,
            wal_bytes=0,
        )

    async def prune(self, before_ms: int, *, limit: int) -> Pruned:
        await self.flush()
        old = self._tables.finished_before(before_ms)
        taken = [run.run_id for run in sorted(old, key=lambda run: run.finished_at_ms or 0)[:limit]]
        return Pruned(tuple(taken), self._tables.delete(taken), more=len(old) > len(taken))

    async def prunable(self, before_ms: int) -> int:
        return len(self._tables.finished_before(before_ms))

    async def reclaim(self, *, pages: int, keep_pages: int) -> bool:
        return False

    async def size(self) -> StoreSize:
        tables = self._tables
        counted: dict[str, WorkflowSize] = {}
        for run in tables.runs.values():
            known = counted.get(run.workflow, WorkflowSize(run.workflow, 0, 0))
            events = known.events + len(tables.histories.get(run.run_id, ()))
            counted[run.workflow] = WorkflowSize(run.workflow, known.runs + 1, events)
        rows = {
            "event": sum(len(history) for history in tables.histories.values()),
            "run": len(tables.runs),
            "hook": len(tables.hooks),
            "timer": len(tables.timers),
            **tables.triggers.sizes(),
        }
        return StoreSize(0, 0, 0, rows, sorted(counted.values(), key=lambda size: -size.events))


class _Tables:
    def __init__(self) -> None:
        self.feed: list[Event | None] = []  # None: deleted, so that the others keep their places
        self.gone: set[str] = set()
        self.histories: dict[str, list[Event]] = {}
        self.runs: dict[str, RunRow] = {}  # in order of creation: replacing a value keeps a key's place
        self.hooks: dict[bytes, HookRow] = {}
        self.codes: dict[tuple[str, str], CodeRow] = {}
        self.timers: list[TimerRow] = []  # in order
        self._timers: dict[TimerKey, TimerRow] = {}
        self.triggers = MemoryTriggers(
            lambda: ((run, self.histories[run_id][0]) for run_id, run in self.runs.items())
        )

    def store(self, change: Change) -> None:
        """Errors: ValueError when a `seq` is taken, KeyTaken; nothing is stored then."""
        taken: set[tuple[str, int]] = set()
        for event in change.events:
            history = self.histories.get(event.run_id, [])
            place = bisect_left(history, event.seq, key=_seq)
            known = place < len(history) and history[place].seq == event.seq
            if known or (event.run_id, event.seq) in taken:
                raise ValueError(f"run {event.run_id} already has an event {event.seq}")
            taken.add((event.run_id, event.seq))
        if change.triggers is not None:
            self.triggers.check(change.triggers)
            self.triggers.store(change.triggers)
            self.runs.update({run.run_id: run for run in change.triggers.runs})
        for code in change.codes:
            self.codes.setdefault((code.workflow, code.code_version), code)
        for event in change.events:
            self.feed.append(event)
            insort(self.histories.setdefault(event.run_id, []), event, key=_seq)
        if change.run is not None:
            self.runs[change.run.run_id] = change.run
        for timer in change.timers_cleared:
            self._clear(timer)
        for timer in change.timers_set:
            self._clear(timer)
            self._timers[timer_key(timer)] = timer
            insort(self.timers, timer)
        for hook in change.hooks:
            self.hooks[hook.token_hash] = hook

    def finished_before(self, moment_ms: int) -> list[RunRow]:
        return [
            run
            for run in self.runs.values()
            if run.status in FINISHED and run.finished_at_ms is not None and run.finished_at_ms < moment_ms
        ]

    def delete(self, run_ids: Sequence[str]) -> int:
        """Returns how many events that were."""
        taken = set(run_ids)
        self.gone |= taken
        for run_id in taken:
            del self.runs[run_id]
        versions = {(run.workflow, run.code_version) for run in self.runs.values()}
        self.codes = {key: code for key, code in self.codes.items() if key in versions}
        self.hooks = {key: hook for key, hook in self.hooks.items() if hook.run_id not in taken}
        for timer in [timer for timer in self.timers if timer.run_id in taken]:
            self._clear(timer)
        self.feed = [None if event is not None and event.run_id in taken else event for event in self.feed]
        return sum(len(self.histories.pop(run_id, ())) for run_id in taken)

    def _clear(self, timer: TimerRow) -> None:
        known = self._timers.pop(timer_key(timer), None)
        if known is not None:
            del self.timers[bisect_left(self.timers, known)]


def _seq(event: Event) -> int:
    return event.seq

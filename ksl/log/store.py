"""What every log must do: append changes in order, tell when they are stored, answer questions.

A `Change` is everything one turn of one run adds. It is stored whole or not at all. Changes are stored in
the order of `append`, many to a transaction; `stored` callbacks run in that order after the commit, as plain
callbacks of the host loop (never inside a task, since a run is drained from them).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import msgspec

from ksl.errors import KslError
from ksl.log.trigger_rows import TriggerRows
from ksl.records import Activity, CodeRow, Event, HookRow, Retrying, RunFilter, RunRow, RunStatus, TimerRow

if TYPE_CHECKING:
    from ksl.log.credentials import CredentialTables
    from ksl.log.sessions import SessionTable
    from ksl.log.trigger_log import TriggerLog
    from ksl.log.visits import VisitTable

T = TypeVar("T")


class Owner(Protocol):
    """Whose turns changes are. A method, where a callback for each change would have to be made first."""

    def on_stored(self, change: Change, /) -> None: ...

    def on_lost(self, change: Change, error: KslError, /) -> None: ...


class Change(msgspec.Struct):
    """One turn of one run.

    `run`, `timers_set`, `timers_cleared` and `hooks` are written in the same transaction as the events they
    follow from. `run` and `hooks` rows replace whole rows with the same key. Timers are cleared before others
    are set; a timer is known by due_ms, run_id, step and kind.
    """

    run_id: str
    events: list[Event] = []
    run: RunRow | None = None
    timers_set: list[TimerRow] = []
    timers_cleared: list[TimerRow] = []
    hooks: list[HookRow] = []
    codes: list[CodeRow] = []  # of runs that start: kept where that version is not known yet
    triggers: TriggerRows | None = None  # a firing's own rows; `events` are then those of all its runs
    stored: Callable[[], None] | None = None  # called once, after the commit
    lost: Callable[[KslError], None] | None = None  # called once instead, when it was not stored
    owner: Owner | None = None  # is told likewise, before `lost` and after `stored`

    def tell_stored(self) -> None:
        if self.stored is not None:
            self.stored()
        if self.owner is not None:
            self.owner.on_stored(self)

    def tell_lost(self, error: KslError) -> None:
        if self.owner is not None:
            self.owner.on_lost(self, error)
        if self.lost is not None:
            self.lost(error)


class Page(msgspec.Struct, Generic[T], frozen=True):
    rows: list[T]
    next_cursor: str | None


class FeedRow(msgspec.Struct, frozen=True):
    """An event with its place in the whole log, the cursor of the change feed."""

    rowid: int
    event: Event


class StoreStats(msgspec.Struct, frozen=True):
    batches: int  # transactions committed by this process
    events: int  # events in them
    pending: int  # changes not yet committed
    commit_seconds: tuple[tuple[float, int], ...]  # cumulative histogram: (upper bound in s, count)
    commit_seconds_sum: float
    database_bytes: int
    wal_bytes: int


class Waits(msgspec.Struct, frozen=True):
    hooks: int  # that nobody has answered
    timers: int
    timers_due: int  # their moment has come


class Pruned(msgspec.Struct, frozen=True):
    """What one call of `prune` deleted."""

    run_ids: tuple[str, ...]
    events: int
    more: bool  # there is more to delete, or there may be


class WorkflowSize(msgspec.Struct, frozen=True):
    workflow: str
    runs: int
    events: int


class StoreSize(msgspec.Struct, frozen=True):
    database_bytes: int
    wal_bytes: int
    free_bytes: int  # of the database: pages that hold nothing, for reuse or to be given back
    rows: dict[str, int]  # per table
    workflows: list[WorkflowSize]  # those with the most events


class Store(Protocol):
    """Times are Unix milliseconds, UTC. Reads see what is committed, nothing newer.

    Errors: StoreFull when the disk has no space (the change is lost, later ones may succeed); StoreFailed
    when a write or flush failed (fatal: every later append is lost too); StoreBusy when another program held
    the database for seconds; ChangeRefused when a change's own content cannot be stored (a `seq` that is
    taken); KeyTaken when a key of `triggers` has fired before; DamagedEvent from `events` when a checksum does
    not match. `ends` and `feed` leave damaged events out. When a change is lost, so are those appended before its
    `lost` was called that would leave a gap behind it.
    """

    @property
    def failed(self) -> asyncio.Future[KslError]:
        """Gets the StoreFailed after which nothing is stored any more; the process should then end."""
        ...

    @property
    def triggers(self) -> TriggerLog:
        """What is asked about triggers."""
        ...

    @property
    def credentials(self) -> CredentialTables:
        """Sealed: only `ksl.vault` can make anything of them."""
        ...

    @property
    def sessions(self) -> SessionTable:
        """Which prompts agents' sessions consist of."""
        ...

    @property
    def visits(self) -> VisitTable:
        """Who used the links of hooks."""
        ...

    def append(self, change: Change, /) -> None:
        """Queues the change; returns at once. Must be called on the host loop's thread."""
        ...

    async def flush(self) -> None:
        """Returns when everything appended before the call is stored or lost."""
        ...

    async def close(self) -> None: ...

    def wake_on_commit(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Calls back on the host loop after each commit that held events or rows of runs; returns the unsubscriber."""
        ...

    async def suspects(self) -> dict[str, int]:
        """Runs that were being advanced when the last process died, with how many died so in a row.

        Any newer event between two deaths starts the count at 1 again. Empty after a clean close.
        """
        ...

    async def acquit(self, run_id: str) -> None:
        """Forgets the deaths that a run is suspected of."""
        ...

    async def run(self, run_id: str) -> RunRow | None: ...

    async def runs(self, where: RunFilter, *, cursor: str | None = None, limit: int = 100) -> Page[RunRow]:
        """Newest first (by creation order). Errors: BadRequest for a cursor that no page held."""
        ...

    async def run_count(self, where: RunFilter, *, most: int) -> int:
        """How many runs the filter means, counted up to `most`."""
        ...

    async def run_by_key(self, workflow: str, idempotency_key: str) -> RunRow | None: ...

    async def code(self, workflow: str, code_version: str) -> CodeRow | None: ...

    async def runs_in(self, statuses: Iterable[RunStatus]) -> list[RunRow]:
        """All runs in these states, oldest first. For recovery at start."""
        ...

    async def run_counts(self) -> dict[RunStatus, int]: ...

    async def activity(self, since_ms: int, *, stretch_ms: int, most: int) -> list[Activity]:
        """Of the runs created since, by stretches of that length: the newest `most` of them, in no order."""
        ...

    async def codes_but(self, workflows: Sequence[str]) -> list[CodeRow]:
        """Of every workflow that had runs and is none of these, the code that its newest run was started with."""
        ...

    async def events(self, run_id: str, *, after: int = 0, limit: int | None = None) -> list[Event]:
        """Ascending `seq`, those above `after`. Values kept aside are put back in place."""
        ...

    async def ends(self, run_ids: Sequence[str]) -> dict[str, tuple[Event, Event]]:
        """First and newest event of each run that has any: where input, output and error are."""
        ...

    async def retries(self, run_ids: Sequence[str]) -> dict[str, Retrying]:
        """What is to be tried again of these runs, the soonest of each. One question for all of them."""
        ...

    async def newest_seq(self, run_id: str) -> int:
        """Of the run's newest event, damaged or not; 0 where it has none."""
        ...

    async def feed(self, after: int, *, limit: int = 1000) -> list[FeedRow]: ...

    async def feed_end(self) -> int:
        """The newest rowid, 0 for an empty log."""
        ...

    async def hook(self, token_hash: bytes) -> HookRow | None: ...

    async def hooks(self, *, run_id: str | None = None, only_open: bool = True) -> list[HookRow]:
        """Oldest first."""
        ...

    async def timers(self, *, until_ms: int, limit: int, after: TimerRow | None = None) -> list[TimerRow]:
        """Timers due at or before the moment, earliest first, ties by run, step and kind. Only those behind
        `after`, where given."""
        ...

    async def next_timer_ms(self) -> int | None: ...

    async def waits(self, now_ms: int) -> Waits: ...

    async def stats(self) -> StoreStats: ...

    async def prune(self, before_ms: int, *, limit: int) -> Pruned:
        """Deletes runs that finished before the moment, oldest first, with their events, hooks, timers and the
        values that nobody else refers to: at most `limit` runs, and a bounded number of events. The code of a
        version goes with the last of its runs.

        A change of a run that is gone is lost with UnknownRun: whoever made it had read the run before.
        The feed's places stay as they are. Errors: StoreFull, StoreBusy, StoreFailed; nothing was deleted then.
        """
        ...

    async def prunable(self, before_ms: int) -> int:
        """How many runs finished before the moment."""
        ...

    async def reclaim(self, *, pages: int, keep_pages: int) -> bool:
        """Gives at most so many free pages of the file back to the file system, and leaves `keep_pages` for
        reuse. True while there are more."""
        ...

    async def size(self) -> StoreSize:
        """Counts every row: for a person who asks, not for a loop."""
        ...

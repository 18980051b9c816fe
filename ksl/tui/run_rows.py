"""The runs that a list holds: pages of the server's list, put together as runs come, change and go."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Literal

import msgspec

from ksl.tui import words
from ksl.tui.client import Json
from ksl.views.now_at import now_at, state_of

Order = Literal["started", "took", "workflow", "state"]
ORDERS: tuple[Order, ...] = ("started", "took", "workflow", "state")
# What may want a person first.
_STATES = (
    "failed", "held", "retrying", "running", "waiting", "sleeping", "queued", "cancelled", "succeeded",
)  # fmt: skip


class RunLine(msgspec.Struct):
    """What a line shows; the inputs and outputs that come along are not even read."""

    run_id: str
    workflow: str
    status: str
    trigger: str
    triggered_at: str
    started_at: str | None = None
    finished_at: str | None = None
    attempt: int = 1
    error: Json | None = None
    waiting_on: list[Json] = []
    retrying: Json | None = None
    at_hand: list[Json] = []

    @property
    def state(self) -> str:
        return state_of(self._told())

    def took_ms(self, now_ms: int) -> int | None:
        began, ended = words.moment(self.started_at), words.moment(self.finished_at)
        return None if began is None else (now_ms if ended is None else ended) - began

    def now_at(self, now_ms: int) -> str:
        return now_at(self._told(), now_ms)

    def _told(self) -> dict[str, Any]:
        return {
            "status": self.status,
            "attempt": self.attempt,
            "error": self.error,
            "waiting_on": self.waiting_on,
            "retrying": self.retrying,
            "at_hand": self.at_hand,
        }


class Count(msgspec.Struct):
    runs: int
    exact: bool

    def __str__(self) -> str:
        return f"{self.runs:,}" if self.exact else f"{self.runs // 1000}k+"


class Page(msgspec.Struct):
    runs: list[RunLine]
    next_cursor: str | None
    count: Count | None = None


class RunRows:
    """`loaded` is in the server's order, the newest first. A run that changed and lies beyond the first page is `stale`
    until it was asked for again, by its id."""

    def __init__(self) -> None:
        self.loaded: list[RunLine] = []
        self.cursor: str | None = None  # of the page after the last one
        self.count: Count | None = None
        self.unseen: set[str] = set()  # runs above the first line that are not taken in
        self.more_unseen = False  # there are further ones than the first page could tell
        self.stale: set[str] = set()
        self.fallen: set[str] = set()  # do not match the filter any more, and are kept while they are chosen

    def in_order(self, order: Order, now_ms: int) -> list[RunLine]:
        """Of what is loaded alone: the server lists by start."""
        key = _ORDERS[order]
        return [*self.loaded] if key is None else sorted(self.loaded, key=lambda run: key(run, now_ms))

    def begin(self, page: Page) -> None:
        """The first page, in place of all there was."""
        self.loaded, self.cursor, self.count = page.runs, page.next_cursor, page.count
        self.unseen, self.more_unseen = set(), False
        self.stale, self.fallen = set(), set()

    def renew(self, page: Page, *, keep: Collection[str]) -> None:
        """The first page once more: lines stay where they are, what is in them is made new, runs above the first line
        are counted. Those that do not match any more go, but for `keep`."""
        fresh = {run.run_id: run for run in page.runs}
        here = {run.run_id for run in self.loaded}
        at_top = _before(page.runs, here)
        self.unseen = {run.run_id for run in at_top}
        self.more_unseen = len(at_top) == len(page.runs) and page.next_cursor is not None
        self.count = page.count
        # The page reaches down to the last of its runs that is loaded; what it leaves out above that is gone.
        reach = max((place for place, run in enumerate(self.loaded) if run.run_id in fresh), default=-1)
        if page.next_cursor is None:
            reach = len(self.loaded)
        gone = {run.run_id for place, run in enumerate(self.loaded) if place <= reach} - set(fresh)
        between = [run for run in page.runs[len(at_top) :] if run.run_id not in here]
        self._replace(fresh)
        self._forget(gone, keep=keep)
        self.stale -= set(fresh)
        for run in between:  # matches only now, and belongs between others
            self.loaded.insert(self._place_of(run, page.runs), run)

    def extend(self, page: Page) -> None:
        """The next page."""
        here = {run.run_id for run in self.loaded}
        self.loaded += [run for run in page.runs if run.run_id not in here]
        self.cursor = page.next_cursor

    def changed(self, run_ids: Iterable[str]) -> None:
        here = {run.run_id for run in self.loaded}
        self.stale |= here.intersection(run_ids)

    def anything_changed(self) -> None:
        self.stale = {run.run_id for run in self.loaded}

    def take_again(self, asked: Collection[str], found: Sequence[RunLine], *, keep: Collection[str]) -> None:
        """Runs that were asked for by their ids, within the filter."""
        fresh = {run.run_id: run for run in found}
        self._replace(fresh)
        self.stale -= set(asked)
        self._forget(set(asked) - set(fresh), keep=keep)

    def take_fallen(self, asked: Collection[str], found: Sequence[RunLine]) -> None:
        """The same without the filter: what is not found is not in the log any more."""
        fresh = {run.run_id: run for run in found}
        self._put(fresh)
        self._drop(set(asked) - set(fresh))

    def drop_fallen(self, *, keep: Collection[str]) -> bool:
        """True where a line went."""
        gone = self.fallen - set(keep)
        self._drop(gone)
        return bool(gone)

    def _replace(self, fresh: dict[str, RunLine]) -> None:
        self._put(fresh)
        self.fallen -= set(fresh)

    def _put(self, fresh: dict[str, RunLine]) -> None:
        self.loaded = [fresh.get(run.run_id, run) for run in self.loaded]

    def _forget(self, gone: set[str], *, keep: Collection[str]) -> None:
        self.fallen |= gone.intersection(keep)
        self._drop(gone - self.fallen)

    def _drop(self, gone: set[str]) -> None:
        if gone:
            self.loaded = [run for run in self.loaded if run.run_id not in gone]
            self.fallen -= gone
            self.stale -= gone

    def _place_of(self, run: RunLine, page: list[RunLine]) -> int:
        """Before the first loaded run that comes after it on the page."""
        after = [each.run_id for each in page[page.index(run) + 1 :]]
        places = {each.run_id: place for place, each in enumerate(self.loaded)}
        return next((places[run_id] for run_id in after if run_id in places), len(self.loaded))


def _before(page: list[RunLine], here: Collection[str]) -> list[RunLine]:
    """Those at the top of a page that come before any that is loaded."""
    for place, run in enumerate(page):
        if run.run_id in here:
            return page[:place]
    return page


def _by_took(run: RunLine, now_ms: int) -> Any:
    took_ms = run.took_ms(now_ms)
    return (took_ms is None, -(took_ms or 0))


def _by_state(run: RunLine, now_ms: int) -> Any:
    return _STATES.index(run.state) if run.state in _STATES else len(_STATES)


_ORDERS: dict[Order, Callable[[RunLine, int], Any] | None] = {
    "started": None,
    "took": _by_took,
    "workflow": lambda run, now_ms: run.workflow,
    "state": _by_state,
}

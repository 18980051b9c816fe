"""One operation on every run of a filter: counted first, never on more than were confirmed, page by page.

Nobody means ten thousand runs by accident. So a change names how many runs it is for, and is refused as a whole
when more match by then; what has ended meanwhile is no reason to refuse. A run that is made later has a higher
place in the list, so pages that go down the list never meet it, nor a run a second time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Literal

from msgspec.structs import replace

from ksl.errors import BadRequest, KslError, WrongState
from ksl.log.store import Store
from ksl.records import RunFilter, RunStatus
from ksl.records.moment import rfc3339

Verb = Literal["cancel", "retry", "pause", "release"]

_UNFINISHED = (RunStatus.QUEUED, RunStatus.RUNNING, RunStatus.SLEEPING, RunStatus.WAITING)
TAKES: dict[Verb, tuple[RunStatus, ...]] = {
    "cancel": (*_UNFINISHED, RunStatus.HELD),
    "retry": (RunStatus.FAILED, RunStatus.HELD),
    "pause": _UNFINISHED,
    "release": (RunStatus.HELD,),
}
PAGE = 200  # runs changed for one request
_AT_ONCE = 32
_COUNTED_AT_ONCE = 1_000


def selection(verb: Verb, where: RunFilter) -> RunFilter:
    """The runs of `where` that `verb` can be done to.

    Errors: BadRequest where nothing narrows the filter, or where it names a state that the verb does not take.
    """
    if where.workflow is None and not where.statuses and where.since_ms is None and not where.terms:
        raise BadRequest(
            f"{verb} by filter needs at least one of workflow, status and since: without them it would be every run."
        )
    for status in where.statuses:
        if status not in TAKES[verb]:
            states = ", ".join(each.value for each in TAKES[verb])
            raise BadRequest(
                f"status: a run that is {status.value} has nothing to {verb}; {verb} takes {states}. Nothing was done."
            )
    if verb not in ("cancel", "pause") and any("retrying" in term.values for term in where.terms):
        raise BadRequest(
            f"status: a run that is retrying has nothing to {verb}; it goes on by itself. Nothing was done."
        )
    return replace(where, statuses=where.statuses or TAKES[verb])


async def matching(store: Store, where: RunFilter) -> dict[str, Any]:
    """How many match, and nothing is done."""
    return _answer(where, await _count(store, where), 0, [], None)


async def change_page(
    store: Store,
    where: RunFilter,
    act: Callable[[str], Awaitable[object]],
    *,
    confirm: int | None,
    cursor: str | None,
) -> dict[str, Any]:
    """Does `act` to the first runs that match, or to those after `cursor`; at most PAGE and at most `confirm`.

    Shape:   `{"matched", "changed", "errors": [{"run_id", "code", "detail"}], "next_cursor", "since"}`. `matched`
             is null with a cursor. For the next page `confirm` is what is left of it. `since` is the moment that
             the filter's stretch of time began, for pages that must all mean the same.
    Errors:  BadRequest without `confirm`; WrongState where more match than were confirmed. Nothing was done then.
    """
    matched: int | None = None
    if cursor is None or confirm is None:
        matched = await _count(store, where)
        if confirm is None:
            raise BadRequest(
                f"{_runs(matched)} match. Nothing was done. Say how many you mean: confirm them with that number."
            )
        if matched > confirm:
            raise WrongState(
                f"{_runs(matched)} match, more than the {confirm:,} that were confirmed. Nothing was done. Narrow the "
                f"filter, or confirm {matched:,}."
            )
    assert confirm is not None
    page = await store.runs(where, cursor=cursor, limit=max(1, min(PAGE, confirm)))
    rows = page.rows[:confirm]
    free = asyncio.Semaphore(_AT_ONCE)

    async def one(run_id: str) -> dict[str, str] | None:
        async with free:
            try:
                await act(run_id)
            except KslError as error:
                return {"run_id": run_id, "code": error.code, "detail": error.message}
        return None

    outcomes = await asyncio.gather(*(one(row.run_id) for row in rows))
    errors = [error for error in outcomes if error is not None]
    return _answer(where, matched, len(rows) - len(errors), errors, page.next_cursor)


async def _count(store: Store, where: RunFilter) -> int:
    await store.flush()
    count, cursor = 0, None
    while True:
        page = await store.runs(where, cursor=cursor, limit=_COUNTED_AT_ONCE)
        count += len(page.rows)
        cursor = page.next_cursor
        if cursor is None:
            return count


def _answer(
    where: RunFilter, matched: int | None, changed: int, errors: list[dict[str, str]], next_cursor: str | None
) -> dict[str, Any]:
    since = None if where.since_ms is None else rfc3339(where.since_ms)
    return {
        "matched": matched,
        "changed": changed,
        "errors": errors,
        "next_cursor": next_cursor,
        "since": since,
    }


def _runs(number: int) -> str:
    return "1 run" if number == 1 else f"{number:,} runs"

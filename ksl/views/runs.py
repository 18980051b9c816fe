"""Runs: one, and lists of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ksl.errors import BadRequest
from ksl.log.store import Store
from ksl.records import FINISHED, Event, Retrying, RunFilter, RunRow, RunStatus, RunTerm
from ksl.records.under_way import AtHand, UnderWay
from ksl.views.events import event_json, unknown_run
from ksl.views.links import links_json
from ksl.views.run_query import STATES, run_query
from ksl.views.spans import spans_json
from ksl.views.steps import steps_json
from ksl.views.times import moment_or_ago, rfc3339, rfc3339_or_none
from ksl.views.values import JsonObject, items_of, value_of

COUNTED = 10_000  # a list says how many runs there are up to here; beyond it nobody reads the figure
INCLUDES = frozenset({"events", "steps", "trace", "links", "logs"})

_LAST_OF: dict[RunStatus, str] = {
    RunStatus.SUCCEEDED: "run_completed",
    RunStatus.FAILED: "run_failed",
    RunStatus.CANCELLED: "run_cancelled",
}


async def run_json(
    store: Store,
    run_id: str,
    *,
    include: frozenset[str] = frozenset(),
    logs: list[dict[str, object]] | None = None,
    under_way: Mapping[str, UnderWay] | None = None,
) -> JsonObject:
    """A run, with what `include` names of "events", "steps", "trace", "links", "logs".

    Shape:   `trace` is `{"spans": [...]}`; `logs` is what the caller passed in: the store has none; `steps` have those
             in flight that the caller passed in as `under_way`.
    Errors:  UnknownRun; DamagedEvent when an event that is asked for does not match its checksum.
    """
    row, first, last = await _row_and_ends(store, run_id)
    shown = run_row_json(row, first, last, (await _retries(store, [row])).get(run_id))
    forks = await store.runs(RunFilter(origin=run_id), limit=100)
    shown["forked_from"] = row.origin
    shown["forks"] = [fork.run_id for fork in forks.rows]
    if include & {"events", "steps", "trace"}:
        events = await store.events(run_id)
        if "events" in include:
            shown["events"] = [event_json(event) for event in events]
        if "steps" in include:
            shown["steps"] = steps_json(events, under_way)
        if "trace" in include:
            shown["trace"] = {"spans": spans_json(row, events)}
    if "links" in include:
        shown["links"] = await links_json(store, run_id)
    if "logs" in include:
        shown["logs"] = logs or []
    return shown


async def runs_json(
    store: Store,
    where: RunFilter,
    *,
    cursor: str | None = None,
    limit: int = 100,
    counted: bool = False,
    at_hand: Callable[[str], Sequence[AtHand]] = lambda _run_id: (),
) -> JsonObject:
    """`{"runs": [...], "next_cursor"}`, newest first. BadRequest for a cursor that no page gave.

    `at_hand`: what a run is doing, which the log does not know.

    `counted` adds "count": {"runs", "exact"}, of all that the filter means; beyond 10,000 it says 10,000 and
    is not exact.
    """
    try:
        page = await store.runs(where, cursor=cursor, limit=limit)
    except (ValueError, OverflowError):
        raise BadRequest("cursor: it is the `next_cursor` of the page before, and nothing else.") from None
    ends = await store.ends([row.run_id for row in page.rows])
    retries = await _retries(store, page.rows)
    nothing = (None, None)
    shown: JsonObject = {
        "runs": [
            {
                **run_row_json(row, *ends.get(row.run_id, nothing), retries.get(row.run_id)),
                "at_hand": [{"step": each.step, "attempt": each.attempt} for each in at_hand(row.run_id)],
            }
            for row in page.rows
        ],
        "next_cursor": page.next_cursor,
    }
    if counted:
        count = await store.run_count(where, most=COUNTED + 1)
        shown["count"] = {"runs": min(count, COUNTED), "exact": count <= COUNTED}
    return shown


def run_row_json(
    row: RunRow, first: Event | None, last: Event | None, retrying: Retrying | None = None
) -> JsonObject:
    """`first` and `last` are the run's first and newest event: where its input and its outcome are. `retrying`: the
    soonest of its next attempts, while it waits for one."""
    output: Any = None
    error: Any = None
    if last is not None and row.status is RunStatus.SUCCEEDED and last.type == "run_completed":
        output = value_of(last.data)
    # A held run's reason is what a person needs to see, and it has the shape of an error.
    elif last is not None and (row.status, last.type) in _WITH_ERROR:
        error = value_of(last.data)
    return {
        "run_id": row.run_id,
        "workflow": row.workflow,
        "status": row.status.value,
        "trigger": row.trigger,
        "triggered_at": rfc3339(row.triggered_at_ms),
        "started_at": rfc3339_or_none(row.started_at_ms),
        "finished_at": rfc3339_or_none(row.finished_at_ms),
        "attempt": row.attempt,
        "input": None if first is None else value_of(first.data),
        "output": output,
        "error": error,
        "subscriber": row.subscriber,
        "code_version": row.code_version,
        "waiting_on": items_of(row.waiting_on),
        "retrying": None if retrying is None else retrying_json(retrying),
    }


def retrying_json(retrying: Retrying) -> JsonObject:
    return {
        "step": retrying.step,
        "attempt": retrying.attempt or None,
        "attempts": retrying.attempts or None,
        "next_attempt_at": rfc3339(retrying.next_attempt_at_ms),
    }


async def _retries(store: Store, runs: Sequence[RunRow]) -> dict[str, Retrying]:
    """Of those that may have any: the others are not asked for."""
    may = [run.run_id for run in runs if run.status not in FINISHED and run.status is not RunStatus.HELD]
    return await store.retries(may) if may else {}


_WITH_ERROR = {(RunStatus.FAILED, "run_failed"), (RunStatus.HELD, "run_held")}


def run_filter(
    *,
    workflow: str | None = None,
    status: str | None = None,
    since: str | None = None,
    query: str | None = None,
    now_ms: int,
) -> RunFilter:
    """The filter that a query string or flags ask for.

    Shape:   `status` may name several, with commas, "retrying" among them; `since` is a duration back from `now_ms`,
             or a moment; `query` is in the grammar of `ksl.views.run_query`. All that is given must hold.
    Errors:  BadRequest naming the key.
    """
    asked = run_query(query or "", now_ms=now_ms)
    since_ms = _since_ms(since, now_ms) if since else None
    terms, statuses = asked.terms, asked.statuses
    if status:
        states = _states(status)
        if statuses or "retrying" in states:
            terms += (RunTerm("state", states),)
        else:
            statuses = tuple(RunStatus(state) for state in states)
    return RunFilter(
        workflow=workflow or None,
        statuses=statuses,
        since_ms=max((moment for moment in (since_ms, asked.since_ms) if moment is not None), default=None),
        terms=terms,
    )


def include_of(text: str | None) -> frozenset[str]:
    """ "events,steps" as the set of them. BadRequest naming what is unknown."""
    names = {name for part in (text or "").split(",") if (name := part.strip())}
    if unknown := sorted(names - INCLUDES):
        raise BadRequest(
            f'include: there is no "{unknown[0]}" to include; known are {", ".join(sorted(INCLUDES))}.'
        )
    return frozenset(names)


def _states(text: str) -> tuple[str, ...]:
    names = [name for part in text.split(",") if (name := part.strip().lower())]
    for name in names:
        if name not in STATES:
            raise BadRequest(f'status: there is no status "{name}"; known are {", ".join(STATES)}.')
    return tuple(dict.fromkeys(names))


def _since_ms(text: str, now_ms: int) -> int:
    try:
        return moment_or_ago(text, now_ms)
    except ValueError as error:
        raise BadRequest(f"since: {error}.") from None


async def _row_and_ends(store: Store, run_id: str) -> tuple[RunRow, Event | None, Event | None]:
    # The row and the events are two reads, and a commit may fall between them. A finished row without its
    # last event, or the other way round, is read again: a run must not be shown as done without its outcome.
    tries = 3
    while True:
        tries -= 1
        row = await store.run(run_id)
        if row is None:
            raise unknown_run(run_id)
        first, last = (await store.ends([run_id])).get(run_id, (None, None))
        if last is None or _agree(row, last) or not tries:
            return row, first, last


def _agree(row: RunRow, last: Event) -> bool:
    if row.status in FINISHED:
        return last.type == _LAST_OF[row.status]
    return last.type not in _LAST_OF.values()

"""Which runs a filter means: as SQL, and as a question to rows in memory."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from ksl.records import FINISHED, Event, Meta, Retrying, RunFilter, RunRow, RunStatus, RunTerm

_DATA = "ifnull(data, (SELECT CAST(content AS TEXT) FROM blob WHERE hash = data_blob))"
RETRY_KINDS = ("run_retry", "step_retry")
_RETRIES = "kind IN ('run_retry', 'step_retry')"
# What is held keeps its timers, and nothing is tried again until it is released.
_RETRYING = f"(status <> 'held' AND run_id IN (SELECT run_id FROM timer WHERE {_RETRIES}))"
# Of each run asked for: its soonest retry, and what is known of the attempt that is to be followed.
RETRIES = f"""
    WITH asked (run) AS MATERIALIZED (SELECT value FROM json_each(?)),
         soonest (run_id, step, type, due_ms) AS MATERIALIZED (
             SELECT run_id, step, iif(kind = 'run_retry', 'run_retrying', 'step_retrying'), min(due_ms)
             FROM asked CROSS JOIN timer WHERE run_id = run AND {_RETRIES} GROUP BY run_id)
    SELECT run_id, step, due_ms, (
        SELECT CAST(meta AS BLOB) FROM event
        WHERE event.run_id = soonest.run_id AND event.type = soonest.type AND ifnull(event.step, '') = soonest.step
        ORDER BY seq DESC LIMIT 1)
    FROM soonest"""
_AFTER_CALLEE = "#~["  # count, further site, task place
_FINISHED = ", ".join(f"'{status}'" for status in sorted(FINISHED))
_TOOK = f"(CASE WHEN status IN ({_FINISHED}) THEN finished_at_ms ELSE ? END - started_at_ms)"


def where_of(where: RunFilter, status: RunStatus | None) -> tuple[str, list[Any]]:
    """The condition on rows of `run`, and its values. `status` stands for `where.statuses`: one walk each."""
    terms: list[str] = []
    values: list[Any] = []
    if status is not None:
        terms.append("status = ?")
        values.append(str(status))
    if where.workflow is not None:
        terms.append("workflow = ?")
        values.append(where.workflow)
    if where.since_ms is not None:
        terms.append("created_at_ms >= ?")
        values.append(where.since_ms)
    if where.origin is not None:
        terms.append("origin = ?")
        values.append(where.origin)
    if where.code_but:
        # One walk for all workflows, those that are gone among them.
        pairs = ", ".join(["(?, ?)"] * len(where.code_but))
        terms.append(f"(workflow, ifnull(code_version, '')) NOT IN (VALUES {pairs})")
        values.extend(value for pair in where.code_but for value in pair)
    for term in where.terms:
        sql, own = _term(term)
        # What is not known (a run that has not started took no time) is not so.
        terms.append(f"NOT ifnull({sql}, 0)" if term.negated else sql)
        values.extend(own)
    return " AND ".join(terms), values


def _term(term: RunTerm) -> tuple[str, list[Any]]:
    if term.key == "id" and not term.negated:
        # One look-up each; as a row of ORs it would be a walk over all runs.
        return f"run_id IN ({', '.join('?' * len(term.values))})", list(term.values)
    parts: list[str] = []
    values: list[Any] = []
    for value in term.values:
        sql, own = _SQL[term.key](value, term.now_ms)
        parts.append(sql)
        values.extend(own)
    return "(" + " OR ".join(parts) + ")", values


def _column(name: str) -> Callable[[Any, int], tuple[str, list[Any]]]:
    return lambda value, now_ms: (f"{name} = ?", [value])


def _state(value: str, now_ms: int) -> tuple[str, list[Any]]:
    return (_RETRYING, []) if value == "retrying" else ("status = ?", [value])


def _step(value: str, now_ms: int) -> tuple[str, list[Any]]:
    # Inside a sub-workflow the id is that of the outer step, a slash, the inner id.
    likes = " OR ".join(["'/' || step LIKE ? ESCAPE '\\'"] * len(_AFTER_CALLEE))
    literal = re.sub(r"([\\%_])", r"\\\1", value)
    return (
        f"EXISTS (SELECT 1 FROM event WHERE event.run_id = run.run_id AND (step = ? OR {likes}))",
        [value, *[f"%/{literal}{mark}%" for mark in _AFTER_CALLEE]],
    )


def _error(value: str, now_ms: int) -> tuple[str, list[Any]]:
    return (
        (
            "(status IN ('failed', 'held') AND EXISTS (SELECT 1 FROM event WHERE event.run_id = run.run_id "
            f"AND type IN ('run_failed', 'run_held') AND event.seq = run.seq AND instr(lower({_DATA}), ?)))"
        ),
        [_lower(value)],
    )


def _text(value: str, now_ms: int) -> tuple[str, list[Any]]:
    return (
        (
            "(instr(run_id, ?) OR EXISTS (SELECT 1 FROM event WHERE event.run_id = run.run_id "
            f"AND type = 'run_created' AND instr(lower({_DATA}), ?)))"
        ),
        [value, _lower(value)],
    )


_SQL: dict[str, Callable[[Any, int], tuple[str, list[Any]]]] = {
    "state": _state,
    "workflow": _column("workflow"),
    "trigger": _column('"trigger"'),
    "subscriber": _column("subscriber"),
    "id": _column("run_id"),
    "version": lambda value, now_ms: ("substr(code_version, 1, ?) = ?", [len(value), value]),
    "until": lambda value, now_ms: ("created_at_ms <= ?", [value]),
    "longer": lambda value, now_ms: (f"{_TOOK} > ?", [now_ms, value]),
    "shorter": lambda value, now_ms: (f"{_TOOK} < ?", [now_ms, value]),
    "step": _step,
    "error": _error,
    "text": _text,
}


def retrying_of(step: str, due_ms: int, meta: Meta | None) -> Retrying:
    """`meta`: of the event that told of the failed attempt, where it can be read."""
    known = meta or Meta()
    # A run's event counts the attempt to come, a step's the one that failed.
    attempt = known.attempt + (1 if step and known.attempt else 0)
    return Retrying(step or None, attempt, known.attempts_max, due_ms)


def matches(run: RunRow, where: RunFilter, history: Sequence[Event], *, retrying: bool) -> bool:
    """The same of a run in memory. `retrying`: it has a timer for a next attempt."""
    return (
        where.workflow in (None, run.workflow)
        and (not where.statuses or run.status in where.statuses)
        and (where.since_ms is None or run.created_at_ms >= where.since_ms)
        and where.origin in (None, run.origin)
        and (not where.code_but or (run.workflow, run.code_version or "") not in where.code_but)
        and all(
            any(_holds(run, term, value, history, retrying) for value in term.values) != term.negated
            for term in where.terms
        )
    )


def _holds(run: RunRow, term: RunTerm, value: Any, history: Sequence[Event], retrying: bool) -> bool:
    match term.key:
        case "state":
            return (
                retrying and run.status is not RunStatus.HELD if value == "retrying" else run.status == value
            )
        case "workflow":
            return run.workflow == value
        case "trigger":
            return run.trigger == value
        case "subscriber":
            return run.subscriber == value
        case "id":
            return run.run_id == value
        case "version":
            return (run.code_version or "").startswith(value)
        case "until":
            return run.created_at_ms <= value
        case "longer" | "shorter":
            end_ms = run.finished_at_ms if run.status in FINISHED else term.now_ms
            if end_ms is None or run.started_at_ms is None:
                return False
            took_ms = end_ms - run.started_at_ms
            return took_ms > value if term.key == "longer" else took_ms < value
        case "step":
            return any(_is_step(event.step, value) for event in history if event.step is not None)
        case "error":
            newest = history[-1] if history else None
            return (
                newest is not None
                and newest.type in ("run_failed", "run_held")
                and run.status in (RunStatus.FAILED, RunStatus.HELD)
                and _within(value, newest.data)
            )
        case "text":
            created = (event for event in history if event.type == "run_created")
            return value in run.run_id or any(_within(value, event.data) for event in created)


def _is_step(step: str, value: str) -> bool:
    path = "/" + _lower(step)
    return step == value or any(f"/{_lower(value)}{mark}" in path for mark in _AFTER_CALLEE)


def _within(text: str, data: bytes | None) -> bool:
    return data is not None and _lower(text).encode() in data.lower()


def _lower(text: str) -> str:
    """As SQLite has it: of ASCII letters only."""
    return text.encode().lower().decode()

"""Where a run stands, in a few words: what it waits for, tries again, is doing or failed with."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ksl.views.times import parse_rfc3339

_FIRST = re.compile(r"#0(?=/|$)")
_ENDED = frozenset({"succeeded", "failed", "cancelled"})


def state_of(run: Mapping[str, Any]) -> str:
    """A run's status, or "retrying" where it waits for a next attempt: that is what is shown of it."""
    return "retrying" if run.get("retrying") else str(run["status"])


def now_at(run: Mapping[str, Any], now_ms: int) -> str:
    """Of a run as lists have it: "score-lead try 3/5 in 12s", "hook, 46h left", "ship-order ConnectionError: ..."."""
    status, error = run["status"], run.get("error")
    if status in ("failed", "held") and error:
        what = ": ".join(filter(None, [str(error.get("type") or ""), str(error.get("message") or "")]))
        return f"{step_name(error.get('step'))} {what}".strip()
    if status in _ENDED:
        return ""
    told = [*_tried(run, now_ms), *_awaited(run, now_ms), *_at_hand(run)]
    if not told and run["attempt"] > 1:
        told = [f"attempt {run['attempt']}"]
    return "; ".join(told)


def step_name(step: object) -> str:
    """A step's id for a narrow place: without the count of a site that is reached once."""
    return _FIRST.sub("", str(step or "").removeprefix("step:"))


def stretch(ms: int) -> str:
    """The whole of one unit: "12s", "46h", "3d"."""
    s = max(ms, 0) // 1000
    for most, unit, name in ((90, 1, "s"), (5_400, 60, "m"), (48 * 3_600, 3_600, "h")):
        if s < most:
            return f"{s // unit}{name}"
    return f"{s // 86_400}d"


def _tried(run: Mapping[str, Any], now_ms: int) -> Iterator[str]:
    retrying = run.get("retrying")
    if not retrying:
        return
    step, attempt, attempts = retrying["step"], retrying["attempt"], retrying["attempts"]
    count = f" {attempt}" + (f"/{attempts}" if attempts else "") if attempt else ""
    left_ms = _moment(retrying["next_attempt_at"], now_ms) - now_ms
    soon = f"in {stretch(left_ms)}" if left_ms > 0 else "due"
    yield f"{step_name(step)} try{count} {soon}" if step else f"attempt{count} {soon}"


def _awaited(run: Mapping[str, Any], now_ms: int) -> Iterator[str]:
    for each in run.get("waiting_on") or ():
        kind = str(each.get("kind"))
        if kind == "retry":
            continue  # told as what it is tried for
        name = str(each.get("name") or step_name(each.get("step")))
        what = name if name.startswith(kind) else f"{kind} {name}"
        due = each.get("due")
        left_ms = None if due is None else _moment(due, now_ms) - now_ms
        yield (
            what if left_ms is None else f"{what}, {stretch(left_ms)} left" if left_ms > 0 else f"{what}, due"
        )


def _at_hand(run: Mapping[str, Any]) -> Iterator[str]:
    at_hand = run.get("at_hand") or ()
    if at_hand:
        yield ", ".join(
            step_name(each["step"]) + (f" try {each['attempt']}" if each["attempt"] > 1 else "")
            for each in at_hand
        )


def _moment(text: str, otherwise_ms: int) -> int:
    try:
        return parse_rfc3339(text)
    except ValueError:
        return otherwise_ms

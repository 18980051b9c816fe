"""Steps in flight: asked for, and nothing recorded of them yet. Only the process that runs them knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from ksl.engine.engine import Engine

UnderWay = Literal["running", "in line", "asleep"]


def under_way(engine: Engine, run_id: str) -> dict[str, UnderWay]:
    """By step id, in the order they were asked for. "in line": waits for a slot, or for its action's limits.

    Backoffs are not here: they are in the log. So is the beginning of a sleep, but for one that a later attempt of
    the run takes up again.
    """
    run = engine.live.get(run_id)
    if run is None or not run.caught_up:
        return {}
    started = {attempt.step for attempt in engine.attempts.under_way() if attempt.run_id == run_id}
    found: dict[str, UnderWay] = {}
    for id, call in run.asked.items():
        if call.kind == "sleep":
            found[id] = "asleep"
        elif call.kind == "workflow":
            found[id] = "running"
        elif call.kind == "action" and id not in run.backoffs:
            found[id] = "running" if id in started else "in line"
    return found

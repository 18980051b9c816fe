"""Steps in flight: asked for, and nothing recorded of their ends. Only the process that runs them knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ksl.records.under_way import AtHand, UnderWay

if TYPE_CHECKING:
    from ksl.engine.engine import Engine

_AT_HAND = 3


def under_way(engine: Engine, run_id: str) -> dict[str, UnderWay]:
    """By step id, in the order they were asked for. Backoffs are not here: they are in the log."""
    run = engine.live.get(run_id)
    if run is None or not run.caught_up:
        return {}
    attempts = {each.step: each for each in engine.attempts.under_way() if each.run_id == run_id}
    found: dict[str, UnderWay] = {}
    for id, call in run.asked.items():
        match call.kind:
            case "sleep":
                found[id] = UnderWay("asleep", "sleep", "sleep", 0, None, call.input, call.after)
            case "workflow":
                found[id] = UnderWay("running", "workflow", call.callee, 1, None, call.input, call.after)
            case "action" if id not in run.backoffs:
                attempt = attempts.get(id)
                found[id] = UnderWay(
                    "in line" if attempt is None else "running",
                    "action",
                    call.callee,
                    run.attempts.get(id, 0) + 1,
                    None if attempt is None else attempt.started_at_ms or None,
                    call.input,
                    call.after,
                )
            case _:
                pass
    return found


def at_hand(engine: Engine, run_id: str) -> list[AtHand]:
    """The first of its actions in flight, for a list of runs: found without looking at every attempt there is."""
    run = engine.live.get(run_id)
    if run is None or not run.caught_up:
        return []
    found: list[AtHand] = []
    for id, call in run.asked.items():
        if call.kind == "action" and id not in run.backoffs:
            found.append(AtHand(id, run.attempts.get(id, 0) + 1))
            if len(found) == _AT_HAND:
                break
    return found

"""What a fork at a step does anew, told before it is made. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from ksl.views.values import JsonObject

_OUTCOMES = frozenset(
    {
        "step_completed",
        "step_failed",
        "step_cancelled",
        "sleep_completed",
        "hook_resumed",
        "hook_rejected",
        "hook_expired",
    }
)


def run_again(events: Sequence[JsonObject], at: str) -> list[str]:
    """Ids of the recorded steps that a fork at `at` has no outcome of, in the order of their first events.

    `events` as `ksl.views.events` answers them, from the first one on. Empty where nothing is recorded of `at`.
    """
    named = [
        (int(event["seq"]), str(event["type"]), str(event["step"]).removeprefix("step:"))
        for event in events
        if event.get("step")
    ]
    cut = next((seq for seq, _, step in named if step == at or step.startswith(f"{at}/")), None)
    if cut is None:
        return []
    kept = {step for seq, type, step in named if seq < cut and type in _OUTCOMES}
    steps = dict.fromkeys(step for _, type, step in named if not type.startswith("timer_"))
    return [step for step in steps if step not in kept]

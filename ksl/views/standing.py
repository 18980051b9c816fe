"""Where a body stood, in one sentence for people. Pure."""

from __future__ import annotations

from ksl.views.values import JsonObject


def told_of_standing(position: JsonObject) -> str:
    """`position` as `GET /runs/{run_id}/position` answers it. What users named is in it as it came."""
    match position["state"]:
        case "queued":
            return "The body has not begun."
        case "returned":
            return "The body has returned."
        case "cancelled":
            return "The body was cancelled."
        case "raised":
            return f"The body raised {position['error']['type']}: {position['error']['message']}"
        case _:
            waits = ", ".join(awaited["step"] for awaited in position["awaited"])
            return f"It waits for {waits}." if waits else "It waits for nothing that is recorded."

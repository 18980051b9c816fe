"""Who used the links of hooks: mail scanners and chat previews open them, and some press what they find there."""

from __future__ import annotations

from ksl.log.store import Store
from ksl.records.link_visit import LinkUse
from ksl.views.times import rfc3339
from ksl.views.values import JsonObject

LISTED = 20  # visits of a hook in a list of hooks, the newest


async def links_json(store: Store, run_id: str) -> list[JsonObject]:
    """Of the hooks of a run, those whose link was ever used, with all visits that are kept."""
    return [{"step": use.step, **link_json(use)} for use in await store.visits.of([run_id])]


def link_json(use: LinkUse | None, *, most: int | None = None) -> JsonObject:
    """`opened` by GET, `looked` by HEAD, `sent` by POST, `answered` among these; `visits`, the newest `most` of those
    kept, oldest first."""
    if use is None:
        return {"opened": 0, "looked": 0, "sent": 0, "answered": 0, "visits": []}
    visits = use.visits if most is None else use.visits[-most:]
    return {
        "opened": use.opened,
        "looked": use.looked,
        "sent": use.sent,
        "answered": use.answered,
        "visits": [
            {
                "at": rfc3339(visit.at_ms),
                "method": visit.method,
                "status": visit.status,
                "answered": visit.answered,
                "address": visit.address,
                "agent": visit.agent,
            }
            for visit in visits
        ],
    }


def told_of_link(link: JsonObject) -> str:
    """For people: "opened 14 times, answered once"; empty for a link that nobody used."""
    counted = {"opened": "opened", "looked": "looked at", "sent": "sent to", "answered": "answered"}
    return ", ".join(f"{word} {_times(link[key])}" for key, word in counted.items() if link[key])


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number:,} times"

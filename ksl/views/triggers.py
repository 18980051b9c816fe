"""Sources, their attachments and their firings, as they are shown to an authenticated user."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

from ksl.errors import BadRequest
from ksl.log.store import Store
from ksl.records import FiringRow, Recipient, SourceState, StartedRun, Unstarted, Verdict
from ksl.views.times import rfc3339
from ksl.views.values import JsonObject, value_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ksl.define.source import Source

RECENT = 30  # firings of each source that a list shows
_RUNS_TOLD = 3
VERDICTS: dict[str, Verdict] = {
    "started": "started",
    "skipped": "skipped",
    "rejected": "rejected",
    "failed": "failed",
}


class Settled(Protocol):
    """What people have set beside the code: `ksl.trigger.standing.Standing`."""

    def is_enabled(self, source: str, workflow: str = "") -> bool: ...
    def recipients(self, source: Source) -> Sequence[Recipient]: ...
    def state(self, source: str) -> SourceState | None: ...


def trigger_json(source: Source, settled: Settled, *, public_url: str) -> JsonObject:
    """One line of the list: what fires, by what, for whom."""
    recipients = settled.recipients(source)
    shown: JsonObject = {
        "slug": source.slug,
        "kind": source.kind,
        "name": source.name,
        "description": source.description,
        "enabled": settled.is_enabled(source.slug),
        "attachments": [
            {
                "id": attachment.id,
                "workflow": attachment.workflow.slug,
                "enabled": settled.is_enabled(source.slug, attachment.workflow.slug),
                "subscribers": None
                if attachment.workflow.subscription is None
                else sum(recipient.workflow == attachment.workflow.slug for recipient in recipients),
            }
            for attachment in source.attachments
        ],
        **source.details(),
    }
    if "endpoint" in shown:
        shown["url"] = f"{public_url}/triggers/{shown['endpoint']}"
    return shown


async def trigger_whole_json(
    store: Store, source: Source, settled: Settled, *, public_url: str
) -> JsonObject:
    """With the schema of its payload, where it stands, its newest firing and how much was refused."""
    newest = await store.triggers.firings(source.slug, limit=1)
    refused = await store.triggers.refusals()
    return {
        **trigger_json(source, settled, public_url=public_url),
        **_stands(source, settled),
        "last_firing": firing_json(newest.rows[0]) if newest.rows else None,
        "refused": refused.get(source.slug, 0),
    }


async def trigger_figures_json(
    store: Store, sources: Sequence[Source], settled: Settled, *, public_url: str
) -> list[JsonObject]:
    """Each as `trigger_whole_json` has it, but for its newest firing: `recent` has the newest 30, in short."""
    firings = await store.triggers.newest_firings([source.slug for source in sources], limit=RECENT)
    refused = await store.triggers.refusals()
    return [
        {
            **trigger_json(source, settled, public_url=public_url),
            **_stands(source, settled),
            "recent": [_brief_json(row) for row in firings[source.slug]],
            "refused": refused.get(source.slug, 0),
        }
        for source in sources
    ]


def _stands(source: Source, settled: Settled) -> JsonObject:
    state = settled.state(source.slug)
    return {
        "payload_schema": source.payload.schema(),
        "last_at": None if state is None or state.last_ms is None else rfc3339(state.last_ms),
        "state": None if state is None else value_of(state.cursor),
        **_noted(source, state),
    }


def _brief_json(row: FiringRow) -> JsonObject:
    return {
        "firing_id": row.firing_id,
        "at": rfc3339(row.at_ms),
        "verdict": row.verdict,
        "reason": row.reason or None,
        "skipped": row.skipped,
        "runs": len(row.runs),
        "run_ids": [run.run_id for run in row.runs[:_RUNS_TOLD]],
    }


def _noted(source: Source, state: SourceState | None) -> JsonObject:
    """What the loop of its kind wrote down: why a poll fails and when it is tried again, and the ticks of a cron
    source that wait for a run to end."""
    note: JsonObject = {}
    if state is not None and state.note is not None:
        note = msgspec.json.decode(state.note)
    match source.kind:
        case "poll":
            retry_ms = note.get("retry_ms")
            return {
                "failures": note.get("failures", 0),
                "error": note.get("error") or None,
                "retry_at": None if retry_ms is None else rfc3339(retry_ms),
            }
        case "cron":
            return {
                "buffered": [
                    {**tick["recipient"], "triggered_at": rfc3339(tick["nominal_ms"])}
                    for tick in note.get("buffered", [])
                ]
            }
        case "webhook":
            return {}


async def firings_json(
    store: Store, source: str, *, verdict: str | None = None, cursor: str | None = None, limit: int = 100
) -> JsonObject:
    """`{"firings": [...], "next_cursor"}`, newest first. Errors: BadRequest for a verdict there is not."""
    if verdict is not None and verdict not in VERDICTS:
        raise BadRequest(f'verdict: there is no verdict "{verdict}"; known are {", ".join(VERDICTS)}.')
    page = await store.triggers.firings(
        source, verdict=None if verdict is None else VERDICTS[verdict], cursor=cursor, limit=limit
    )
    return {"firings": [firing_json(row) for row in page.rows], "next_cursor": page.next_cursor}


def firing_json(row: FiringRow) -> JsonObject:
    """`payload` is a list of payloads where `many`; `item` then says which of them a run is for."""
    return {
        "firing_id": row.firing_id,
        "source": row.source,
        "kind": row.kind,
        "at": rfc3339(row.at_ms),
        "triggered_at": rfc3339(row.nominal_ms),
        "verdict": row.verdict,
        "reason": row.reason or None,
        "payload": value_of(row.payload),
        "many": row.many,
        "run_ids": [run.run_id for run in row.runs],
        "runs": [_run_json(run) for run in row.runs],
        "errors": [_error_json(error) for error in row.errors],
        "skipped": row.skipped,
        "delivery_id": row.delivery_id,
        "by": row.by or None,
    }


def _run_json(run: StartedRun) -> JsonObject:
    return {
        "run_id": run.run_id,
        "workflow": run.workflow,
        "subscriber": run.subscriber,
        "item": run.item,
    }


def _error_json(error: Unstarted) -> JsonObject:
    return {
        "workflow": error.workflow or None,
        "subscriber": error.subscriber,
        "item": error.item,
        "type": error.type,
        "message": error.message,
        "held_back": error.held_back,
    }

"""The store as an operator sees it: what was deleted, how large it is."""

from __future__ import annotations

from ksl.log.retention import Deleted
from ksl.log.store import StoreSize
from ksl.views.times import rfc3339
from ksl.views.values import JsonObject


def deleted_json(deleted: Deleted, *, dry_run: bool) -> JsonObject:
    return {"runs": deleted.runs, "finished_before": rfc3339(deleted.before_ms), "dry_run": dry_run}


def size_json(size: StoreSize) -> JsonObject:
    return {
        "database_bytes": size.database_bytes,
        "wal_bytes": size.wal_bytes,
        "free_bytes": size.free_bytes,
        "rows": size.rows,
        "workflows": [
            {"workflow": each.workflow, "runs": each.runs, "events": each.events} for each in size.workflows
        ],
    }

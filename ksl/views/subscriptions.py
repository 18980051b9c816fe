"""Who is subscribed to what."""

from __future__ import annotations

from collections.abc import Iterable

from ksl.records import SubscriptionRow
from ksl.views.times import rfc3339
from ksl.views.values import JsonObject


def subscriptions_json(rows: Iterable[SubscriptionRow]) -> JsonObject:
    return {"subscriptions": [subscription_json(row) for row in rows]}


def subscription_json(row: SubscriptionRow) -> JsonObject:
    return {
        "subscription_id": row.subscription_id,
        "workflow": row.workflow,
        "subscriber": row.subscriber,
        "enabled": row.enabled,
        "created_at": rfc3339(row.created_at_ms),
        "by": row.by or None,
    }

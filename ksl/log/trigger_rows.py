"""What triggers store with a change: see docs/decisions/0012-firings.md."""

from __future__ import annotations

import msgspec

from ksl.records import FiredKey, FiringRow, RunRow, SourceState, SubscriptionRow, Switch

REJECTED_MAX = 100  # firings of refused deliveries that are kept, for each source


class TriggerRows(msgspec.Struct):
    """Rows that are stored with the change they belong to, or not at all.

    Each of `keys` must be new, or expired at `at_ms`; else the change is lost with KeyTaken. `refused` counts
    deliveries, by source; of the firings that stand for them the newest `REJECTED_MAX` are kept.
    """

    at_ms: int
    runs: list[RunRow] = []
    firings: list[FiringRow] = []
    keys: list[FiredKey] = []
    states: list[SourceState] = []
    switches: list[Switch] = []
    subscriptions: list[SubscriptionRow] = []
    unsubscribed: list[str] = []  # ids
    refused: dict[str, int] = {}

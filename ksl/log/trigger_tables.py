"""The tables of triggers: written inside a batch, read on the reading connection."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

import msgspec

from ksl.errors import KeyTaken
from ksl.log import rows
from ksl.log.trigger_rows import REJECTED_MAX, TriggerRows
from ksl.records import (
    FINISHED,
    FiredKey,
    FiringRow,
    Recipient,
    RunStatus,
    SourceState,
    StartedRun,
    SubscriptionRow,
    Switch,
    Unstarted,
)

FIRING_INSERT = """
    INSERT INTO firing (firing_id, source, kind, at_ms, nominal_ms, verdict, reason, payload, many, runs, errors,
        skipped, delivery_id, by)
    VALUES (?, ?, ?, ?, ?, ?, ?, CAST(? AS TEXT), ?, CAST(? AS TEXT), CAST(? AS TEXT), ?, ?, ?)"""
FIRING_COLUMNS = """
    firing_id, source, kind, at_ms, nominal_ms, verdict, reason, CAST(payload AS BLOB), many, CAST(runs AS BLOB),
    CAST(errors AS BLOB), skipped, delivery_id, by"""
KEY_TAKE = """
    INSERT INTO fired_key (source, key, expires_ms, digest, answer) VALUES (?, ?, ?, ?, CAST(? AS TEXT))
    ON CONFLICT (source, key) DO UPDATE
        SET expires_ms = excluded.expires_ms, digest = excluded.digest, answer = excluded.answer
        WHERE fired_key.expires_ms <= ?"""
STATE_SET = """
    INSERT OR REPLACE INTO source_state (source, last_ms, cursor, note)
    VALUES (?, ?, CAST(? AS TEXT), CAST(? AS TEXT))"""
SWITCH_OFF = "INSERT OR REPLACE INTO trigger_switch (source, workflow, at_ms, by) VALUES (?, ?, ?, ?)"
SWITCH_ON = "DELETE FROM trigger_switch WHERE source = ? AND workflow = ?"
SUBSCRIPTION_SET = """
    INSERT INTO subscription (subscription_id, workflow, subscriber, enabled, created_at_ms, by)
    VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (subscription_id) DO UPDATE SET enabled = excluded.enabled"""
SUBSCRIPTION_DELETE = "DELETE FROM subscription WHERE subscription_id = ?"
REFUSAL_COUNT = """
    INSERT INTO refusal (source, count) VALUES (?, ?)
    ON CONFLICT (source) DO UPDATE SET count = count + excluded.count"""
REFUSAL_TRIM = f"""
    DELETE FROM firing WHERE source = ?1 AND verdict = 'rejected' AND id <= (
        SELECT id FROM firing WHERE source = ?1 AND verdict = 'rejected'
        ORDER BY id DESC LIMIT 1 OFFSET {REJECTED_MAX})"""

FIRING = f"SELECT {FIRING_COLUMNS} FROM firing WHERE firing_id = ?"
FIRINGS = f"SELECT id, {FIRING_COLUMNS} FROM firing WHERE source = ? AND id < ? ORDER BY id DESC LIMIT ?"
# For lists, which show none of the payloads.
FIRINGS_BRIEF = FIRINGS.replace("CAST(payload AS BLOB)", "NULL")
FIRINGS_OF_VERDICT = f"""
    SELECT id, {FIRING_COLUMNS} FROM firing
    WHERE source = ? AND verdict = ? AND id < ? ORDER BY id DESC LIMIT ?"""
KEYS = """
    SELECT source, key, expires_ms, digest, CAST(answer AS BLOB) FROM fired_key
    WHERE source = ? AND key IN (SELECT value FROM json_each(?)) AND (expires_ms IS NULL OR expires_ms > ?)"""
STATES = "SELECT source, last_ms, CAST(cursor AS BLOB), CAST(note AS BLOB) FROM source_state"
DISABLED = "SELECT source, workflow, 0, at_ms, by FROM trigger_switch"
SUBSCRIPTIONS = (
    "SELECT subscription_id, workflow, subscriber, enabled, created_at_ms, by FROM subscription ORDER BY id"
)
REFUSALS = "SELECT source, count FROM refusal"
_UNFINISHED = ", ".join(f"'{status}'" for status in RunStatus if status not in FINISHED)
# The plus keeps SQLite from walking all runs there ever were of the workflow. The source stands in run_created.
UNFINISHED = f"""
    SELECT {rows.RUN_COLUMNS} FROM run
    WHERE status IN ({_UNFINISHED}) AND +workflow = ? AND subscriber IS ? AND EXISTS (
        SELECT 1 FROM event
        WHERE event.run_id = run.run_id AND event.seq = 1 AND event.meta ->> '$.source' = ?)
    ORDER BY id"""
# Of the oldest few those that are old enough: moments have no index of their own.
PRUNE_FIRINGS = """
    DELETE FROM firing WHERE id IN
        (SELECT id FROM (SELECT id, at_ms FROM firing ORDER BY id LIMIT ?) WHERE at_ms < ?)"""
PRUNE_KEYS = """
    DELETE FROM fired_key WHERE (source, key) IN
        (SELECT source, key FROM fired_key WHERE expires_ms <= ? ORDER BY expires_ms LIMIT ?)"""

_encode = msgspec.json.Encoder().encode
_decode_runs = msgspec.json.Decoder(tuple[StartedRun, ...]).decode
_decode_errors = msgspec.json.Decoder(tuple[Unstarted, ...]).decode


def write(cursor: sqlite3.Cursor, added: TriggerRows) -> None:
    """Errors: KeyTaken; the caller then takes the whole change back."""
    for key in added.keys:
        cursor.execute(KEY_TAKE, (key.source, key.key, key.expires_ms, key.digest, key.answer, added.at_ms))
        if not cursor.rowcount:
            raise taken(key)
    for firing in added.firings:
        cursor.execute(FIRING_INSERT, _firing_row(firing))
    for state in added.states:
        cursor.execute(STATE_SET, msgspec.structs.astuple(state))
    for switch in added.switches:
        if switch.enabled:
            cursor.execute(SWITCH_ON, (switch.source, switch.workflow))
        else:
            cursor.execute(SWITCH_OFF, (switch.source, switch.workflow, switch.at_ms, switch.by))
    for subscription in added.subscriptions:
        cursor.execute(SUBSCRIPTION_SET, msgspec.structs.astuple(subscription))
    for subscription_id in added.unsubscribed:
        cursor.execute(SUBSCRIPTION_DELETE, (subscription_id,))
    for source, count in added.refused.items():
        cursor.execute(REFUSAL_COUNT, (source, count))
        cursor.execute(REFUSAL_TRIM, (source,))


def taken(key: FiredKey) -> KeyTaken:
    return KeyTaken(
        f'source {key.source} has fired for "{key.key}" before. Nothing was stored and no run was started.',
        source=key.source,
        key=key.key,
    )


def read_firing(row: Sequence[Any]) -> FiringRow:
    """Columns of `FIRING_COLUMNS`."""
    (firing_id, source, kind, at_ms, nominal_ms, verdict, reason, payload, many, runs, errors, *rest) = row
    return FiringRow(
        firing_id, source, kind, at_ms, nominal_ms, verdict, reason, payload, bool(many),
        _decode_runs(runs), _decode_errors(errors), *rest,
    )  # fmt: skip


def _firing_row(firing: FiringRow) -> tuple[Any, ...]:
    return (
        firing.firing_id, firing.source, firing.kind, firing.at_ms, firing.nominal_ms, firing.verdict,
        firing.reason, firing.payload, firing.many, _encode(firing.runs), _encode(firing.errors),
        firing.skipped, firing.delivery_id, firing.by,
    )  # fmt: skip


def asked_keys(source: str, keys: Sequence[str], now_ms: int) -> tuple[Any, ...]:
    return (source, json.dumps(list(keys)), now_ms)


def read_key(row: Sequence[Any]) -> FiredKey:
    return FiredKey(*row)


def read_state(row: Sequence[Any]) -> SourceState:
    return SourceState(*row)


def read_switch(row: Sequence[Any]) -> Switch:
    source, workflow, enabled, at_ms, by = row
    return Switch(source, workflow, bool(enabled), at_ms, by)


def read_subscription(row: Sequence[Any]) -> SubscriptionRow:
    subscription_id, workflow, subscriber, enabled, created_at_ms, by = row
    return SubscriptionRow(subscription_id, workflow, subscriber, bool(enabled), created_at_ms, by)


def asked_unfinished(source: str, recipient: Recipient) -> tuple[Any, ...]:
    return (recipient.workflow, recipient.subscriber, source)


def prune(connection: sqlite3.Connection, before_ms: int, now_ms: int, limit: int) -> bool:
    firings = connection.execute(PRUNE_FIRINGS, (limit, before_ms)).rowcount
    keys = connection.execute(PRUNE_KEYS, (now_ms, limit)).rowcount
    return firings == limit or keys == limit

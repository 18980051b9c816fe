"""Records to table rows and back.

JSON goes in through `CAST(? AS TEXT)` and comes out through `CAST(x AS BLOB)`: Python keeps bytes on both
sides and nothing is decoded on the way.

What is written most, events and runs, is bound as int, str and bytearray alone. For each None and each `bytes`
sqlite3 asks its adapters whether they would like to convert it, which takes as long as storing it. So None goes in
as a value that nothing else has, and `NULLIF` puts NULL in its place.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, cast

import msgspec

from ksl.errors import DamagedEvent
from ksl.log.checksum import event_crc, run_crc
from ksl.records import Event, HookRow, Meta, RunRow, RunStatus, TimerRow

ASIDE_BYTES = 64 * 1024  # larger values are kept in `blob`, once each

_NULL = bytearray(b"\0")  # no text, since it is a blob; no JSON, no hash
_NULLABLE = "NULLIF(?, x'00')"
_JSON = f"CAST({_NULLABLE} AS TEXT)"
_EVENT_VALUES = f"(?, ?, ?, {_NULLABLE}, ?, {_JSON}, {_JSON}, {_JSON}, {_NULLABLE}, {_NULLABLE}, ?)"
EVENT_COLUMNS = """
    seq, type, step, at_ms, CAST(data AS BLOB), CAST(input AS BLOB), CAST(meta AS BLOB),
    data_blob, input_blob, crc"""
_EVENT_INSERT = """
    INSERT INTO event (run_id, seq, type, step, at_ms, data, input, meta, data_blob, input_blob, crc) VALUES """
BLOB_INSERT = "INSERT OR IGNORE INTO blob (hash, content) VALUES (?, ?)"

_encode_meta = msgspec.json.Encoder().encode
_decode_meta = msgspec.json.Decoder(Meta).decode


class Blob(NamedTuple):
    hash: bytes
    content: bytes


def event_insert(count: int) -> str:
    """The statement that takes so many of `event_row`."""
    return _EVENT_INSERT + ", ".join([_EVENT_VALUES] * count)


def event_row(event: Event, blobs: list[Blob]) -> tuple[Any, ...]:
    """Values too large for the row are added to `blobs`."""
    run_id, seq, type, step, at_ms = event.run_id, event.seq, event.type, event.step, event.at_ms
    data, input = event.data, event.input
    meta = None if event.meta is None else _encode_meta(event.meta)
    crc = event_crc(run_crc(run_id), seq, type, step, at_ms, data, input, meta)
    data_blob = input_blob = None
    if data is not None and len(data) > ASIDE_BYTES:
        data, data_blob = None, _aside(data, blobs)
    if input is not None and len(input) > ASIDE_BYTES:
        input, input_blob = None, _aside(input, blobs)
    return (
        run_id, seq, type, _NULL if step is None else step, at_ms,
        _NULL if data is None else bytearray(data),
        _NULL if input is None else bytearray(input),
        _NULL if meta is None else bytearray(meta),
        _NULL if data_blob is None else data_blob,
        _NULL if input_blob is None else input_blob,
        crc,
    )  # fmt: skip


def _aside(value: bytes, blobs: list[Blob]) -> bytes:
    blob = Blob(hashlib.sha256(value).digest(), value)
    blobs.append(blob)
    return blob.hash


def read_events(connection: sqlite3.Connection, run_id: str, rows: Iterable[tuple[Any, ...]]) -> list[Event]:
    """Rows of `EVENT_COLUMNS`, all of one run. Errors: DamagedEvent at the first whose checksum is wrong."""
    events: list[Event] = []
    add = events.append
    run = run_crc(run_id)
    for seq, type, step, at_ms, data, input, meta, data_blob, input_blob, crc in rows:
        if data_blob is not None:
            data = _content(connection, data_blob)
        if input_blob is not None:
            input = _content(connection, input_blob)
        if event_crc(run, seq, type, step, at_ms, data, input, meta) != crc:
            raise damaged(run_id, seq, "its checksum does not match its content")
        add(Event(run_id, seq, type, step, at_ms, data, input, None if meta is None else _decode_meta(meta)))
    return events


def read_meta(meta: bytes | None) -> Meta | None:
    """Of an event whose checksum was not looked at: None for what cannot be read."""
    try:
        return None if meta is None else _decode_meta(meta)
    except msgspec.DecodeError:
        return None


def damaged(run_id: str, seq: int, how: str) -> DamagedEvent:
    where = f"event {seq}" if seq else "its history"
    return DamagedEvent(
        f"run {run_id}: {where} in the database is damaged: {how}. Nothing was executed; other runs are not"
        f" affected. Check the disk, then restore the database from a backup or start the run anew.",
        run_id=run_id,
        seq=seq,
    )


def _content(connection: sqlite3.Connection, hash: bytes) -> bytes | None:
    found = connection.execute("SELECT content FROM blob WHERE hash = ?", (hash,)).fetchone()
    return None if found is None else cast("bytes", found[0])


def _columns(record: type[Any], *, kept: set[str], json: set[str]) -> tuple[Callable[[int], str], str]:
    """The upsert (of how many rows) that keeps `id` and what only the database knows; the columns to select.

    `kept`: the key first, and what never changes. Their indexes are then left alone.
    """
    fields = msgspec.structs.fields(record)
    names = [field.name for field in fields]
    listed = ", ".join(f'"{name}"' for name in names)
    values = ", ".join(
        _JSON if field.name in json else _NULLABLE if field.default is None else "?" for field in fields
    )
    changed = ", ".join(f'"{name}" = excluded."{name}"' for name in names if name not in kept)
    table, key = ("run", "run_id") if record is RunRow else ("hook", "token_hash")

    def upsert(count: int) -> str:
        return (
            f"INSERT INTO {table} ({listed}) VALUES {', '.join([f'({values})'] * count)} "
            f"ON CONFLICT ({key}) DO UPDATE SET {changed}"
        )

    return upsert, ", ".join(f'CAST("{name}" AS BLOB)' if name in json else f'"{name}"' for name in names)


run_upsert, RUN_COLUMNS = _columns(
    RunRow,
    kept={"run_id", "workflow", "created_at_ms", "code_version", "idempotency_key", "origin"},
    json={"waiting_on"},
)
_hook_upsert, HOOK_COLUMNS = _columns(HookRow, kept={"token_hash"}, json={"details", "schema"})
HOOK_UPSERT = _hook_upsert(1)

CODE_COLUMNS = "workflow, code_version, CAST(canvases AS BLOB), CAST(sites AS BLOB), CAST(files AS BLOB)"
CODE_INSERT = """
    INSERT OR IGNORE INTO code_version (workflow, code_version, canvases, sites, files)
    VALUES (?, ?, CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS TEXT))"""

TIMER_COLUMNS = "due_ms, run_id, step, kind, boot"
TIMER_SET = f"INSERT OR REPLACE INTO timer ({TIMER_COLUMNS}) VALUES (?, ?, ?, ?, ?)"
TIMER_CLEAR = "DELETE FROM timer WHERE due_ms = ? AND run_id = ? AND step = ? AND kind = ?"

TimerKey = tuple[int, str, str, str]


def run_row(run: RunRow) -> list[Any]:
    """What `run_upsert` takes."""
    row = _bindable(run)
    row[2] = str(run.status)
    return row


def hook_row(hook: HookRow) -> list[Any]:
    """What `HOOK_UPSERT` takes."""
    return _bindable(hook)


def _bindable(record: RunRow | HookRow) -> list[Any]:
    return [_NULL if value is None else value for value in msgspec.structs.astuple(record)]


def read_run(row: tuple[Any, ...]) -> RunRow:
    """Columns of `RUN_COLUMNS`."""
    run_id, workflow, status, *rest = row
    return RunRow(run_id, workflow, RunStatus(status), *rest)


def timer_key(timer: TimerRow) -> TimerKey:
    return (timer.due_ms, timer.run_id, timer.step, timer.kind)

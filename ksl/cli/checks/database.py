"""Who holds the data folder, and what the database says when nobody does."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from ksl.build.config import Settings
from ksl.cli.checks import Finding
from ksl.cli.connect import read_token
from ksl.cli.project import count
from ksl.cli.words import error_of
from ksl.define.duration import format_duration, format_size
from ksl.errors import KslError
from ksl.log import migrations
from ksl.log.audit import damaged_events
from ksl.log.checkpoint import WAL_BYTES_MAX
from ksl.log.lock import read_holder
from ksl.log.sizes import file_bytes
from ksl.log.sqlite import SqliteStore
from ksl.records import RunFilter, RunStatus
from ksl.views.runs import runs_json

SHOWN_MAX = 10
WAL_WARN = 4 * WAL_BYTES_MAX
CLOCK_SLACK_MS = 5_000  # clocks are set by so much in the ordinary course of things
_NEWEST = "SELECT max(at_ms) FROM (SELECT at_ms FROM event WHERE seq > 0 ORDER BY id DESC LIMIT 1000)"


def database_findings(settings: Settings) -> Iterator[Finding]:
    holder = read_holder(settings.data_folder)
    if holder is not None and holder.url:
        yield from asyncio.run(_server(holder.pid, holder.url, settings))
        yield _wal(settings.store.path)
        return
    if holder is not None:
        yield Finding("holder", "ok", f"process {holder.pid}, a command that is at work")
        return
    yield Finding("holder", "ok", "nobody: no server is running")
    if settings.store.path.exists() and not settings.store.path.is_file():
        cure = "Move it away, or set another store.path in ksl.toml."
        yield Finding("database", "fail", f"{settings.store.path} is not a file", cure)
        return
    if not settings.store.path.exists():
        yield Finding("database", "ok", f"{settings.store.path} is not there yet; the first run makes it")
        return
    found = asyncio.run(_stored(settings.store.path))
    yield from found
    if not any(finding.level == "fail" for finding in found):
        yield from _content(settings.store.path, now_ms=time.time_ns() // 1_000_000)


async def _server(pid: int, url: str, settings: Settings) -> list[Finding]:
    from ksl.cli.remote import RemoteClient

    where = f"process {pid} at {url}"
    client = RemoteClient(url, read_token(settings.data_folder))
    try:
        ready = await client.http.get("/readyz")
        held = await client.runs(workflow=None, status="held", since=None, query=None, limit=100, cursor=None)
    except KslError as error:
        return [Finding("server", "fail", f"{where} does not answer", str(error))]
    except OSError as error:
        return [
            Finding("server", "fail", f"{where} does not answer: {error}", f"See what process {pid} does.")
        ]
    finally:
        await client.aclose()
    found = [Finding("server", "ok", f"{where} is ready")]
    if ready.status_code != 200:
        found = [
            Finding("server", "fail", f"{where} is not ready: {ready.text.strip()[:200]}", "See its log.")
        ]
    return [*found, *_held(held["runs"])]


async def _stored(path: Path) -> list[Finding]:
    if (damage := await asyncio.to_thread(_quick_check, path)) is not None:
        return [damage]
    try:
        store = await SqliteStore.open_reader(path)
    except KslError as error:
        return [Finding("database", "fail", "cannot be opened", str(error))]
    try:
        version = len(migrations.scripts())
        counts = await store.run_counts()
        found = [
            Finding(
                "database", "ok", f"{path}: sound, schema {version}, {count(sum(counts.values()), 'run')}"
            )
        ]
        held = await runs_json(store, RunFilter(statuses=(RunStatus.HELD,)), limit=100)
        return [*found, *_held(held["runs"])]
    finally:
        await store.close()


def _quick_check(path: Path) -> Finding | None:
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        try:
            said = [str(row[0]) for row in connection.execute("PRAGMA quick_check(5)")]
        finally:
            connection.close()
    except sqlite3.Error as error:
        said = [str(error)]
    if said == ["ok"]:
        return None
    advice = "Copy the whole data folder aside, then restore the database from a backup."
    return Finding("database", "fail", f"{path} is damaged: {'; '.join(said)[:300]}", advice)


def _content(path: Path, *, now_ms: int) -> Iterator[Finding]:
    """Every event against its checksum, and the newest ones against the clock."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            (newest_ms,) = connection.execute(_NEWEST).fetchone()
            bad = list(damaged_events(connection))
    except sqlite3.Error as error:
        yield Finding("events", "fail", f"cannot be read: {error}", "Restore the database from a backup.")
        return
    for error in bad[:SHOWN_MAX]:
        yield Finding("events", "fail", str(error), f"Only run {error.run_id} is held by it.")
    if len(bad) > SHOWN_MAX:
        yield Finding("events", "fail", f"{len(bad) - SHOWN_MAX} more are damaged", "Look at the disk first.")
    if not bad:
        yield Finding("events", "ok", "every event fits its checksum")
    if newest_ms is not None and newest_ms > now_ms + CLOCK_SLACK_MS:
        yield Finding(
            "clock",
            "warn",
            f"the newest event is {format_duration((newest_ms - now_ms) // 1000)} later than the clock says",
            "The clock was set back, or is wrong now: let the machine keep it by NTP.",
        )


def _wal(path: Path) -> Finding:
    size = file_bytes(f"{path}-wal")
    if size <= WAL_WARN:
        return Finding("wal", "ok", format_size(size))
    return Finding(
        "wal",
        "warn",
        f"{format_size(size)}, where {format_size(WAL_BYTES_MAX)} is usual",
        "Another program keeps a transaction open on the database (a sqlite3 shell, a backup tool): close it.",
    )


def _held(runs: list[dict[str, Any]]) -> list[Finding]:
    """A line a run, with the reason."""
    found: list[Finding] = []
    for run in runs[:SHOWN_MAX]:
        error = error_of(run)
        why = f": {error.get('type')}: {error.get('message')}" if error else ""
        found.append(
            Finding(
                "held runs",
                "warn",
                f"{run['run_id']}{why}",
                f"`ksl runs retry {run['run_id']}` lets it go on.",
            )
        )
    if len(runs) > SHOWN_MAX:
        more = f"and {len(runs) - SHOWN_MAX} more"
        found.append(Finding("held runs", "warn", more, "`ksl runs list --status held` shows them."))
    return found

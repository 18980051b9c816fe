"""Who holds the data folder, and what the database says when nobody does."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from ksl.build.config import Settings
from ksl.cli.checks import Finding
from ksl.cli.connect import read_token
from ksl.cli.project import count
from ksl.errors import DamagedEvent, KslError
from ksl.log import migrations
from ksl.log.lock import read_holder
from ksl.log.sqlite import SqliteStore
from ksl.records import RunFilter, RunStatus

SHOWN_MAX = 10


def database_findings(settings: Settings) -> Iterator[Finding]:
    holder = read_holder(settings.data_folder)
    if holder is not None and holder.url:
        yield from asyncio.run(_server(holder.pid, holder.url, settings))
        return
    if holder is not None:
        yield Finding("holder", "ok", f"process {holder.pid}, a command that is at work")
        return
    yield Finding("holder", "ok", "nobody: no server is running")
    if not settings.store.path.exists():
        yield Finding("database", "ok", f"{settings.store.path} is not there yet; the first run makes it")
        return
    yield from asyncio.run(_stored(settings.store.path))


async def _server(pid: int, url: str, settings: Settings) -> list[Finding]:
    from ksl.cli.remote import RemoteClient

    where = f"process {pid} at {url}"
    client = RemoteClient(url, read_token(settings.data_folder))
    try:
        ready = await client.http.get("/readyz")
        held = await client.runs(workflow=None, status="held", since=None, limit=100, cursor=None)
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
    return [*found, *_held([run["run_id"] for run in held["runs"]])]


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
        held = await store.runs(RunFilter(statuses=(RunStatus.HELD,)), limit=100)
        found += _held([row.run_id for row in held.rows])
        found += await _damaged(store)
        return found
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


async def _damaged(store: SqliteStore) -> list[Finding]:
    """Every unfinished run's events, read as recovery will read them."""
    unfinished = await store.runs_in(
        (RunStatus.QUEUED, RunStatus.RUNNING, RunStatus.SLEEPING, RunStatus.WAITING)
    )
    bad: list[str] = []
    for row in unfinished:
        try:
            await store.events(row.run_id)
        except DamagedEvent as error:
            bad.append(str(error))
    return [Finding("events", "fail", text, "Only this run is held by it.") for text in bad[:SHOWN_MAX]]


def _held(run_ids: list[str]) -> list[Finding]:
    if not run_ids:
        return []
    more = f" and {len(run_ids) - SHOWN_MAX} more" if len(run_ids) > SHOWN_MAX else ""
    return [
        Finding(
            "held runs",
            "warn",
            f"{', '.join(run_ids[:SHOWN_MAX])}{more}",
            "`ksl runs show ID` says why; `ksl runs retry ID` lets one go on.",
        )
    ]

"""`ksl restore FILE`"""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ksl.cli.app import narrate
from ksl.cli.invocation import Invocation, LocalCommand, pass_invocation
from ksl.cli.output import Json, emit_told
from ksl.cli.project import count, settings_of
from ksl.errors import BadBackup, KslError, StoreUnopenable

if TYPE_CHECKING:
    from ksl.build.config import Settings


@click.command(cls=LocalCommand, name="restore")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option(
    "--force", is_flag=True, help="Although single events in it are damaged; their runs will be held."
)
@pass_invocation
def command(invocation: Invocation, file: Path, force: bool) -> None:
    """Put a backup in the place of the database.

    Only while no server runs. The database that was there is kept beside it, under the name that is printed. What
    happened after the backup is not known to it: steps recorded since then run again.
    """
    done = asyncio.run(_restore(settings_of(invocation), file, force=force))
    if done["kept"] is not None:
        narrate(f"The database that was there is now {done['kept']}; remove it when you need it no more.")
    emit_told(done, lambda: [_told(done)], prints_json=invocation.prints_json)


def _told(done: Json) -> str:
    what = f"{count(done['runs'], 'run')} with {count(done['events'], 'event')}"
    damaged = f" {count(done['damaged_events'], 'event')} damaged." if done["damaged_events"] else ""
    return f"{done['database']} is the backup of {done['made_at']} now: {what}.{damaged}"


async def _restore(settings: Settings, file: Path, *, force: bool) -> Json:
    from ksl.log.backup import check_backup, put_in_place, unpack_backup
    from ksl.log.lock import FolderLock

    database, folder = settings.store.path, settings.data_folder
    lock = FolderLock(folder)
    await lock.acquire()
    fresh = database.with_name(f"{database.name}.{secrets.token_hex(4)}.part")
    aside = database.with_name(f"{database.name}.before-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}")
    try:
        facts = check_backup(file)
        if facts.damaged and not force:
            raise BadBackup(
                f"{file} has damaged events: {', '.join(facts.damaged[:5])}. Nothing was changed. Take an older "
                "backup, or --force: these runs are held then, and all others go on."
            )
        unpack_backup(file, fresh)
        had_one = database.exists()
        if aside.exists():
            raise StoreUnopenable(f"{aside} is there already. Nothing was changed; try again in a second.")
        keep_keys(folder / "hook-keys", facts.hook_keys)
        put_in_place(fresh, database, aside)
        await _verify(settings, aside if had_one else None)
    except OSError as error:
        raise StoreUnopenable(
            f"the restore of {database} stopped: {error.strerror}. The database is the old one, or the restored one "
            "as a whole; look at it with `ksl doctor` and try again."
        ) from error
    finally:
        fresh.unlink(missing_ok=True)
        lock.release()
    return {
        "database": str(database),
        "made_at": facts.made_at,
        "runs": facts.runs,
        "events": facts.events,
        "damaged_events": len(facts.damaged),
        "kept": str(aside) if had_one else None,
    }


async def _verify(settings: Settings, old: Path | None) -> None:
    """Opens it as a server would, which brings it up to date. Puts the old one back where that fails."""
    from ksl.log.sqlite import SqliteStore

    path = settings.store.path
    try:
        await (await SqliteStore.open(path, durability=settings.store.durability)).close()
    except KslError:
        if old is not None:
            for suffix in ("-wal", "-shm"):
                Path(f"{path}{suffix}").unlink(missing_ok=True)
            if (wal := Path(f"{old}-wal")).exists():
                wal.replace(f"{path}-wal")
            old.replace(path)
        raise


def keep_keys(path: Path, restored: bytes) -> None:
    """Adds the backup's keys to those there are. Keys are only ever added: no link that is out may die of it."""
    present = path.read_bytes().splitlines() if path.exists() else []
    lines = [*(line for line in restored.splitlines() if line not in present), *present]
    if lines == present:
        return
    fresh = path.with_name("hook-keys.new")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(b"\n".join(lines) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)

"""`ksl backup FILE`"""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path

import click

from ksl.cli.app import narrate
from ksl.cli.invocation import Command, Invocation, pass_invocation
from ksl.cli.output import Json, emit_told
from ksl.cli.project import count
from ksl.cli.upkeep import upkeep
from ksl.errors import BadRequest, StoreUnopenable


@click.command(cls=Command, name="backup")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Replace FILE, once the new backup is good.")
@pass_invocation
def command(invocation: Invocation, file: Path, force: bool) -> None:
    """Copy the database into one file, also while a server runs.

    FILE is an SQLite database with everything runs need, the keys of hook links among it: keep it as secret as
    those links. It is read from end to end before it gets its name.
    """
    if file.is_dir():
        raise BadRequest(f"{file} is a folder. Name a file in it. Nothing was written.")
    if file.exists() and not force:
        raise BadRequest(
            f"{file} is there already. Nothing was written. Another name, or --force, which replaces it."
        )
    made = asyncio.run(_back_up(invocation, file))
    emit_told(made, lambda: [_told(made)], prints_json=invocation.prints_json)


def _told(made: Json) -> str:
    from ksl.define.duration import format_size

    what = f"{count(made['runs'], 'run')} with {count(made['events'], 'event')}"
    return f"{made['file']} has {what} of {made['made_at']}, {format_size(made['bytes'])}."


async def _back_up(invocation: Invocation, file: Path) -> Json:
    from ksl.log.backup import check_backup, sync_folder

    if not file.parent.is_dir():
        raise BadRequest(f"there is no folder {file.parent}. Nothing was written.")
    fresh = file.with_name(f".{file.name}.{secrets.token_hex(4)}.part")
    try:
        async with upkeep(invocation) as keeper:
            await keeper.backup(fresh)
        facts = check_backup(fresh)
        size = fresh.stat().st_size
        fresh.replace(file)
        sync_folder(file.parent)
    except OSError as error:
        raise StoreUnopenable(
            f"{file} could not be written: {error.strerror}. No backup was made."
        ) from error
    finally:
        fresh.unlink(missing_ok=True)
    if facts.damaged:
        narrate(
            f"Warning: {count(len(facts.damaged), 'event')} were damaged already before this backup "
            f"({', '.join(facts.damaged[:3])}); `ksl doctor` names all of them. The backup has them as they are."
        )
    return {
        "file": str(file),
        "bytes": size,
        "made_at": facts.made_at,
        "runs": facts.runs,
        "events": facts.events,
        "damaged_events": len(facts.damaged),
    }

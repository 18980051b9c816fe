"""Where a process kills itself: `commit:7` before the seventh commit of events, `stored:7` after it and before
anybody is told, `effect:7` at the seventh line of the ledger (which the actions write).

Where `CRASH_WITNESS` names a file, each commit that SQLite said yes to leaves a line there before anything else
happens. What the file tells of must be in the database ever after.
"""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Sequence

from ksl.log import batch
from ksl.log.store import Change

POINTS = ("commit", "stored", "effect")


def arm() -> None:
    """As `CRASH_AT` says. Without it and without a witness nothing is changed."""
    point, _, number = os.environ.get("CRASH_AT", "").partition(":")
    witness = os.environ.get("CRASH_WITNESS", "")
    if point not in ("commit", "stored") and not witness:
        return
    at = int(number or 0)
    transact = batch.transact
    commits = 0

    def counted(connection: sqlite3.Connection, changes: Sequence[Change]) -> None:
        nonlocal commits
        commits += any(change.events for change in changes)
        if point == "commit" and commits == at:
            die()
        transact(connection, changes)
        if witness:
            said = [f"stored {each.run_id} {each.events[-1].seq}" for each in changes if each.events]
            say(witness, *said)
        if point == "stored" and commits == at:
            die()

    batch.transact = counted


def say(path: str, *lines: str) -> None:
    """Whole lines or none, whenever the process dies."""
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(handle, "".join(f"{line}\n" for line in lines).encode())
    os.close(handle)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)

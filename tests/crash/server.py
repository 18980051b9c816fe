"""`ksl serve`, but the process kills itself at a named point: `CRASH_AT=commit:7` dies before the seventh
commit of events, `stored:7` after it and before anybody is told. Without the variable it is `ksl` as it is.

(`effect:7`, at the seventh line of the ledger, is seen to by the workload's own actions.)
"""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from collections.abc import Sequence

from ksl.cli import main
from ksl.log import batch
from ksl.log.store import Change


def die_at(point: str, at: int) -> None:
    transact = batch.transact
    commits = 0

    def counted(connection: sqlite3.Connection, changes: Sequence[Change]) -> None:
        nonlocal commits
        commits += any(change.events for change in changes)
        if point == "commit" and commits == at:
            os.kill(os.getpid(), signal.SIGKILL)
        transact(connection, changes)
        if point == "stored" and commits == at:
            os.kill(os.getpid(), signal.SIGKILL)

    batch.transact = counted


if __name__ == "__main__":
    name, _, number = os.environ.get("CRASH_AT", "").partition(":")
    if name in ("commit", "stored"):
        die_at(name, int(number))
    sys.exit(main())

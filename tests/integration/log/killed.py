"""A process to be killed: a few runs append for ever, and each stored change is acknowledged on stdout."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from ksl.log.sqlite import SqliteStore
from ksl.log.store import Change

from tests.integration.log.changes import event, run, timer

RUNS = 20


async def main(path: Path, durability: str) -> None:
    store = await SqliteStore.open(path, durability="full" if durability == "full" else "process", boot="b")

    def append(run_id: str, seq: int) -> None:
        def stored() -> None:
            # One write a line, past every buffer: what was written was acknowledged before the kill.
            os.write(1, f"{run_id} {seq}\n".encode())
            append(run_id, seq + 1)

        store.append(
            Change(
                run_id,
                [event(run_id, seq)],
                run=run(run_id, seq=seq),
                timers_set=[timer(seq, run_id)],
                timers_cleared=[timer(seq - 1, run_id)],
                stored=stored,
            )
        )

    for number in range(RUNS):
        run_id = f"r{number}"
        row = await store.run(run_id)
        append(run_id, 1 if row is None else row.seq + 1)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))

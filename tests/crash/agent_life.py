"""A process that serves a project with an agent until its run ends: `python -m tests.crash.agent_life FOLDER`.

Prints the run's output as JSON. Killed and begun again, it goes on with the run there is.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from ksl.build.config import load_settings
from ksl.build.discover import discover
from ksl.records import FINISHED, RunFilter
from ksl.runtime import Runtime


async def main(folder: Path) -> None:
    project = discover(folder)
    project.raise_if_broken()
    runtime = await Runtime.open(folder, load_settings(folder), project=project, serve=True, wait_s=10)
    try:
        runs = (await runtime.store.runs(RunFilter())).rows
        row = runs[0] if runs else (await runtime.start("w", b'"Sell it."')).run
        row = await runtime.settled(row.run_id, timeout_s=60)
        assert row.status in FINISHED, row
        _, last = (await runtime.store.ends([row.run_id]))[row.run_id]
        print(json.dumps({"status": row.status.value, "data": json.loads(last.data or b"null")}))
    finally:
        await runtime.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))

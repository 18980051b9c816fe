"""The real engine, on a real database file, with this repository as its project."""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from ksl.build.config import load_settings
from ksl.build.discover import Project, discover
from ksl.engine.clock import SystemClock
from ksl.runtime import Runtime
from ksl.views.runs import run_json

ROOT = Path(__file__).resolve().parents[2]
Json = dict[str, Any]


class Engine:
    """Starts runs and answers hooks. `run` and `answer` return the run with its events, once it rests."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime

    async def run(self, slug: str, input: Json) -> Json:
        return await self.rested(await self.start(slug, input))

    async def start(self, slug: str, input: Json) -> str:
        return (await self.runtime.start(slug, json.dumps(input).encode())).run.run_id

    async def answer(self, run_id: str, payload: Json) -> Json:
        await self.runtime.resume_hook(run_id, None, json.dumps(payload).encode())
        return await self.rested(run_id)

    async def reject(self, run_id: str, reason: str) -> Json:
        await self.runtime.reject_hook(run_id, None, reason=reason)
        return await self.rested(run_id)

    async def rested(self, run_id: str) -> Json:
        """The run when it ended, is held, or waits for a hook."""
        await self.runtime.settled(run_id, timeout_s=60.0, waits=True)
        return await self.shown(run_id)

    async def seen(self, run_id: str, event_type: str) -> None:
        """Returns when the run's history holds such an event."""
        changed = asyncio.Event()
        unsubscribe = self.runtime.store.wake_on_commit(changed.set)
        try:
            while event_type not in [event["type"] for event in (await self.shown(run_id))["events"]]:
                await asyncio.wait_for(changed.wait(), 60.0)
                changed.clear()
        finally:
            unsubscribe()

    async def shown(self, run_id: str) -> Json:
        return await run_json(self.runtime.store, run_id, include=frozenset({"events"}))


class LaterClock(SystemClock):
    """The machine's clock, put forward."""

    def __init__(self, ahead_s: float) -> None:
        self.ahead_ms = round(ahead_s * 1000)

    def now_ms(self) -> int:
        return super().now_ms() + self.ahead_ms


@asynccontextmanager
async def engine_on(folder: Path, *, ahead_s: float = 0.0) -> AsyncGenerator[Engine]:
    settings = load_settings(
        ROOT, {"KSL_STORE_PATH": str(folder / "ksl.db"), "KSL_STORE_DURABILITY": "process"}
    )
    runtime = await Runtime.open(ROOT, settings, project=examples(), serve=True, clock=LaterClock(ahead_s))
    try:
        yield Engine(runtime)
    finally:
        await runtime.close()


@functools.cache
def examples() -> Project:
    project = discover(ROOT)
    project.raise_if_broken()
    return project


def completed(run: Json) -> list[str]:
    """Bare ids of the steps with a recorded result, in the order of their recording."""
    return [
        event["step"].removeprefix("step:") for event in run["events"] if event["type"] == "step_completed"
    ]

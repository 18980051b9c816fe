"""A runtime on a fresh folder, as `ksl serve` has it, and the waits that measurements need."""

from __future__ import annotations

import asyncio
import gc
import shutil
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar

from ksl.build.config import load_settings
from ksl.build.discover import discover
from ksl.cli.commands.serve import _settle_memory as settle_memory  # pyright: ignore[reportPrivateUsage]
from ksl.runtime import Runtime

from bench.rows import Place

T = TypeVar("T")
Durability = Literal["full", "process"]
_PROJECT = Path(__file__).parent / "project"


def make_project(place: Place) -> Path:
    folder = place.fresh("project")
    shutil.copytree(_PROJECT, folder, ignore=shutil.ignore_patterns("__pycache__", ".ksl"))
    return folder


@asynccontextmanager
async def opened(place: Place, *, durability: Durability = "full") -> AsyncGenerator[Runtime]:
    folder = make_project(place)
    settings = load_settings(folder, flags={"store.durability": durability})
    runtime = await Runtime.open(folder, settings, project=discover(folder), serve=True)
    settle_memory()
    try:
        yield runtime
    finally:
        await runtime.close()
        shutil.rmtree(folder)


def run(measurement: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """In a loop of its own; what `settle_memory` set is undone."""
    before = gc.get_threshold()
    try:
        return asyncio.run(measurement())
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
        gc.collect()


async def finished(runtime: Runtime, count: int, begin: Callable[[], Awaitable[Any]]) -> None:
    """Returns when `begin` has returned and `count` runs have ended and are stored."""
    left = count
    all_ended = asyncio.Event()
    inner = runtime.engine.on_end

    def ended(run_id: str) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            all_ended.set()
        if inner is not None:
            inner(run_id)

    runtime.engine.on_end = ended
    try:
        await begin()
        await all_ended.wait()
        await runtime.store.flush()
    finally:
        runtime.engine.on_end = inner

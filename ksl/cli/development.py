"""A server that is started anew when the project's code changes, as long as the new code loads.

The server is a process of its own: nothing of the old code is left in the new one, and a restart is what it would be in
earnest: it drains, ends, starts, replays.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import IO, Any

from ksl.cli.output import Json
from ksl.log.lock import read_holder

SETTLE_MS = 200  # an editor saves several files, or one in several writes
_WATCHED = (".py", ".md", ".toml")


class Development:
    """`tell` narrates. `serve_flags` go to `ksl serve`; its stderr goes to `output`, or to ours. With `any_port` the
    first server takes whichever is free, and the later ones the same: links and screens go on working. `why_none`: why
    no server runs, while none does."""

    def __init__(
        self,
        folder: Path,
        data_folder: Path,
        serve_flags: tuple[str, ...],
        *,
        any_port: bool,
        tell: Callable[[str], None],
        output: IO[bytes] | None = None,
    ) -> None:
        self._folder = folder
        self._data_folder = data_folder
        self._flags = serve_flags
        self._any_port = any_port
        self._tell = tell
        self._output = output
        self._server: Process | None = None
        self._stopping: Process | None = None
        self._changes: set[Path] = set()
        self._changed = asyncio.Event()
        self.why_none = "the server has not started yet"

    async def run(self, stopped: asyncio.Event) -> None:
        """Until `stopped` is set; then the server has ended too."""
        watching = asyncio.create_task(self._watch(stopped))
        try:
            await self._load()
            while not stopped.is_set():
                await self._next(stopped)
                if watching.done():
                    watching.result()
                if stopped.is_set():
                    return
                if self._changed.is_set():
                    await self._reload()
                elif self._server is not None and self._server.returncode is not None:
                    code = self._server.returncode
                    self._server = None
                    self.why_none = f"the server ended with exit code {code}; a changed file starts it"
                    self._tell(
                        f"The server ended with exit code {code}. It starts again when a file changes."
                    )
        finally:
            stopped.set()
            await self._stop()
            await watching

    async def _next(self, stopped: asyncio.Event) -> None:
        """Returns when there is something to do."""
        waits: list[asyncio.Task[Any]] = [
            asyncio.create_task(self._changed.wait()),
            asyncio.create_task(stopped.wait()),
        ]
        if self._server is not None:
            waits.append(asyncio.create_task(self._server.wait()))
        _, pending = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)

    async def _watch(self, stopped: asyncio.Event) -> None:
        async for paths in _changes(self._folder, self._data_folder, stopped):
            self._changes |= paths
            self._changed.set()

    async def _reload(self) -> None:
        changed = sorted(str(path.relative_to(self._folder)) for path in self._changes)
        self._changes.clear()
        self._changed.clear()
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        self._tell(f"Changed: {', '.join(changed[:3])}{more}")
        await self._load()

    async def _load(self) -> None:
        """Starts the code as it is now, if it loads; what runs goes on otherwise."""
        loads = await self._check()
        if not loads:
            if self._server is not None:
                self._tell("This code does not load, so the server goes on with what it has.")
            else:
                self._tell("This code does not load, so no server runs. It starts when a file changes.")
                self.why_none = "this code does not load; a changed file starts the server"
            return
        self.why_none = "the server has not started yet"
        await self._stop()
        self._server = await asyncio.create_subprocess_exec(
            *_ksl(self._folder), "serve", *self._flags,
            stdin=asyncio.subprocess.DEVNULL, stderr=self._output,
            start_new_session=True,  # Ctrl-C at the terminal is for us; the server is told once, by us
        )  # fmt: skip

    async def _check(self) -> bool:
        """Whether the code loads. Says what `ksl build` has to say; a broken rule stops one workflow, no server."""
        build = await asyncio.create_subprocess_exec(
            *_ksl(self._folder), "build", "--format", "json",
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        said, narrated = await build.communicate()
        try:
            report: Json = json.loads(said)
        except ValueError:
            self._tell(narrated.decode(errors="replace").rstrip())
            return False
        errors: list[Json] = report["errors"]
        loads = not any("traceback" in error or error["code"].startswith("KSL2") for error in errors)
        # Which rules code breaks that loads, the server says itself, with what follows from it.
        for each in [*report["warnings"], *([] if loads else errors)]:
            place = ":".join(str(each[key]) for key in ("file", "line", "col") if each.get(key) is not None)
            self._tell(f"{place} {each['code']} {each['message']}")
        return loads

    async def _stop(self) -> None:
        server, self._server = self._server, None
        if server is None or server.returncode is not None:
            return
        if self._any_port and (holder := read_holder(self._data_folder)) is not None and holder.url:
            self._any_port = False
            self._flags = (*self._flags, "--port", holder.url.rpartition(":")[2].rstrip("/"))
        server.send_signal(signal.SIGTERM)
        self._stopping = server
        await server.wait()
        self._stopping = None

    def hurry(self) -> None:
        """A server that drains stops at once."""
        if self._stopping is not None:
            self._stopping.send_signal(signal.SIGTERM)


def _ksl(folder: Path) -> tuple[str, ...]:
    return (sys.executable, "-m", "ksl", "-C", os.fspath(folder))


async def _changes(folder: Path, data_folder: Path, stopped: asyncio.Event) -> AsyncIterator[set[Path]]:
    from watchfiles import (
        Change,
        DefaultFilter,
        awatch,  # pyright: ignore[reportUnknownVariableType]
    )

    class Code(DefaultFilter):
        def __call__(self, change: Change, path: str) -> bool:
            if Path(path).is_relative_to(data_folder):
                return False
            return path.endswith(_WATCHED) and super().__call__(change, path)

    async for changes in awatch(folder, watch_filter=Code(), debounce=SETTLE_MS, stop_event=stopped):
        yield {Path(path) for _, path in changes}

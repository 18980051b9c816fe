"""`ksl dev` with its screens: the server is a process beside, and what it says is shown where they are."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from typing import IO

from ksl.build.config import Settings
from ksl.cli.app import narrate
from ksl.cli.development import Development
from ksl.cli.doors import ProjectDoors
from ksl.cli.redaction import REDACTOR
from ksl.define.duration import format_duration
from ksl.tui.app import KslApp
from ksl.tui.server_log import ServerLog


async def develop_on_screen(
    settings: Settings, flags: tuple[str, ...], *, drain_s: float, ascii: bool
) -> None:
    log = ServerLog()
    stopped = asyncio.Event()

    def tell(text: str) -> None:
        log.tell(REDACTOR.text(text))

    def hear(line: str) -> None:
        log.tell(line)
        app.link.look()  # a server that says something may have just started

    async with _heard(hear) as output:
        development = Development(
            settings.folder,
            settings.data_folder,
            flags,
            any_port=settings.server.port == 0,
            tell=tell,
            output=output,
        )
        app = KslApp(
            ProjectDoors(settings, why_none=lambda: development.why_none),
            ascii=ascii,
            log=log,
            folder=settings.folder,
            keys=settings.tui.keys,
        )
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):  # SIGHUP: the terminal was closed
            loop.add_signal_handler(number, app.exit)
        developing = asyncio.create_task(development.run(stopped))
        developing.add_done_callback(lambda _: app.exit())
        tell(f"Watching {settings.folder}.")
        try:
            await app.run_async()
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, development.hurry)
            stopped.set()
            if not developing.done():
                with suppress(OSError):  # a terminal that is gone
                    narrate(
                        f"Stopping: steps in flight have {format_duration(drain_s)}. Ctrl-C stops at once."
                    )
            await developing


@asynccontextmanager
async def _heard(tell: Callable[[str], None]) -> AsyncGenerator[IO[bytes]]:
    """A file for the server's stderr; each line of it is told."""
    ours, theirs = os.pipe()
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(ours, "rb", 0)
    )

    async def hear() -> None:
        while line := await reader.readline():
            tell(line.decode(errors="replace").rstrip("\n"))

    hearing = asyncio.create_task(hear())
    try:
        with os.fdopen(theirs, "wb", 0) as output:
            yield output
        await hearing  # to the end: the server has closed its side
    finally:
        hearing.cancel()
        transport.close()

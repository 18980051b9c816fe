"""Who answers a command: the server named by --url, else the project's running server, else this process."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ksl.cli.client import Client, Reader
from ksl.cli.invocation import Invocation
from ksl.cli.project import settings_of
from ksl.errors import BadRequest, FolderHeld, NotAProject, ServerUnreachable

if TYPE_CHECKING:
    from ksl.build.config import Settings
    from ksl.cli.remote import RemoteClient


FOLDER_WAIT_S = 10.0
LOOK_AGAIN_S = 0.05


@asynccontextmanager
async def connected(invocation: Invocation, *, advances: bool = True) -> AsyncGenerator[Client]:
    """For commands that change something. With no server it holds the data folder until the block ends.

    While another process has the folder it waits: a command may leave it, and a server that is just starting
    will say where it can be reached. Errors: FolderHeld after `FOLDER_WAIT_S`. `advances` False: an engine in here
    begins no run; to a server it makes no difference.
    """
    until = time.monotonic() + FOLDER_WAIT_S
    async with AsyncExitStack() as stack:
        while True:
            if (server := server_of(invocation)) is not None:
                yield await stack.enter_async_context(remote(*server))
                return
            from ksl.cli.local import local_client

            try:
                client = await stack.enter_async_context(
                    local_client(settings_of(invocation), advances=advances)
                )
            except FolderHeld:
                if time.monotonic() >= until:
                    raise
                await asyncio.sleep(LOOK_AGAIN_S)
                continue
            yield client
            return


@asynccontextmanager
async def reading(invocation: Invocation) -> AsyncGenerator[Reader]:
    """For commands that only look. With no server it reads the store and moves no run."""
    if (server := server_of(invocation)) is None:
        from ksl.cli.stored import StoredReader

        async with aclosing(StoredReader(settings_of(invocation))) as reader:
            yield reader
    else:
        async with remote(*server) as client:
            yield client


def server_of(invocation: Invocation) -> tuple[str, str | None] | None:
    """URL and token."""
    named = invocation.url or os.environ.get("KSL_URL")
    if named:
        return _url(named), _token_for(named, invocation)
    settings = settings_of(invocation)
    from ksl.log.lock import read_holder

    holder = read_holder(settings.data_folder)
    if holder is None or not holder.url:
        return None
    return holder.url, os.environ.get("KSL_TOKEN") or read_token(settings.data_folder)


def read_token(data_folder: Path) -> str | None:
    try:
        return (data_folder / "token").read_text("ascii").strip() or None
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ServerUnreachable(
            f"{data_folder / 'token'} cannot be read: {error}. It holds the server's token; run this "
            "as the user who runs the server, or set KSL_TOKEN."
        ) from None


def _token_for(url: str, invocation: Invocation) -> str | None:
    if token := os.environ.get("KSL_TOKEN"):
        return token
    from ksl.build.config import is_loopback

    # The project's own token stays on this machine. Any other server is a stranger until KSL_TOKEN is set.
    if not is_loopback(urlsplit(url).hostname or ""):
        return None
    try:
        settings: Settings = settings_of(invocation)
    except NotAProject:
        return None
    return read_token(settings.data_folder)


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadRequest(f'--url or KSL_URL: "{text}" is not an address like http://127.0.0.1:7420.')
    return text


@asynccontextmanager
async def remote(url: str, token: str | None) -> AsyncGenerator[RemoteClient]:
    from ksl.cli.remote import RemoteClient

    async with aclosing(RemoteClient(url, token)) as client:
        yield client

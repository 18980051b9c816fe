"""The HTTP server: a listening socket, uvicorn on the event loop of the runtime, and a way to stop it."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import uvicorn

from ksl.api.app import create_app
from ksl.api.gate import HEAD_MAX
from ksl.api.protocol import DeadlineProtocol
from ksl.define import listening
from ksl.errors import BadSetting, PortInUse

if TYPE_CHECKING:
    from ksl.runtime import Runtime

KEEP_ALIVE_S = 30
# Connections that wait to be accepted. As often asyncio tries again in one turn when it is out of file descriptors.
BACKLOG = 128

# Requests in flight get this long once the server is told to stop. Streams and waiting requests end at once.
FINISH_S = 5


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes any free one.

    Errors:  PortInUse; BadSetting when this machine has no such address or does not let us use the port.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as wrong:
        raise BadSetting(
            f'server.host is "{host}", which is no address of this machine ({wrong}). '
            "The server did not start."
        ) from None
    sock = socket.socket(family, kind, protocol)
    try:
        # A restart need not wait for the last connections of the server before to fade away.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        # Listening starts here, not in uvicorn: two sockets may be bound to one port until one listens.
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except OSError as wrong:
        sock.close()
        raise _unbindable(wrong, host, port) from None
    return sock


def url_of(sock: socket.socket) -> str:
    """How this machine reaches the socket: a socket bound to every address is reached by loopback."""
    host: str = sock.getsockname()[0]
    port: int = sock.getsockname()[1]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def serve(
    runtime: Runtime,
    *,
    sock: socket.socket | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    on_ready: Callable[[str], None] | None = None,
    stop: asyncio.Event | None = None,
) -> None:
    """Answers requests until `stop` is set or the task is cancelled; the socket is closed afterwards.

    `on_ready` gets the URL once requests are answered. Signals are the caller's business. After `stop` new
    connections are refused, streams end, and requests in flight have `FINISH_S`; cancellation cuts them off.
    Errors:  PortInUse, BadSetting from `bind` when no socket is passed.
    """
    sock = sock or bind(host, port)
    port = sock.getsockname()[1]
    app = create_app(runtime, port=port)
    server = _Server(
        uvicorn.Config(
            app,
            http=DeadlineProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,  # the token of a hook is part of its address
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            backlog=BACKLOG,
            timeout_graceful_shutdown=FINISH_S,
            h11_max_incomplete_event_size=HEAD_MAX,
        )
    )
    stop = stop or asyncio.Event()
    url = url_of(sock)
    listening.opened(port)
    serving = asyncio.create_task(server.serve(sockets=[sock]))
    started = asyncio.create_task(server.is_started.wait())
    watching = asyncio.create_task(_until_stopped(server, app.state.stopping, stop))
    try:
        await asyncio.wait([serving, started], return_when=asyncio.FIRST_COMPLETED)
        if on_ready is not None and not serving.done():
            on_ready(url)
        await asyncio.shield(serving)
    finally:
        started.cancel()
        watching.cancel()
        app.state.stopping.set()
        if not serving.done():
            server.stop(at_once=True)
            with suppress(asyncio.CancelledError):
                await serving
        await app.state.visits.close()
        sock.close()
        listening.closed(port)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_started = asyncio.Event()
        self.told_to_stop = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.is_started.set()

    async def main_loop(self) -> None:
        # uvicorn looks ten times a second whether it should stop. Here it is told, and an idle server wakes
        # once a second for the Date header.
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                await asyncio.wait_for(self.told_to_stop.wait(), timeout=1.0)

    def stop(self, *, at_once: bool = False) -> None:
        self.should_exit = True
        self.force_exit = at_once
        self.told_to_stop.set()

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        # The command that serves owns SIGTERM and SIGINT: it drains runs as well as requests.
        yield


async def _until_stopped(server: _Server, stopping: asyncio.Event, stop: asyncio.Event) -> None:
    await stop.wait()
    stopping.set()
    server.stop()


def _unbindable(wrong: OSError, host: str, port: int) -> PortInUse | BadSetting:
    if wrong.errno == errno.EADDRINUSE:
        return PortInUse(
            f"Port {port} of {host} is in use by another program, so the server did not start. "
            f"`ss -ltnp 'sport = :{port}'` names the program; stop it, or serve on another port: "
            f"`ksl serve --port {port + 1 if port < 65535 else port - 1}`, or server.port in ksl.toml."
        )
    if wrong.errno in (errno.EACCES, errno.EPERM):
        return BadSetting(
            f"server.port is {port}, which only a privileged user may listen on. The server did not start. "
            "Take a port from 1024 up."
        )
    return BadSetting(
        f'server.host is "{host}", where this machine cannot listen ({wrong.strerror}). '
        "The server did not start. Use 127.0.0.1, or an address of this machine."
    )

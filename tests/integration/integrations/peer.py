"""A real HTTP server on loopback that answers as a test says, byte for byte if need be."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class Seen:
    """A request as it arrived."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


Respond = Callable[[Seen, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Peer:
    host: str
    port: int
    scheme: str = "http"
    seen: list[Seen] = field(default_factory=list[Seen])
    routes: dict[str, Respond] = field(default_factory=dict[str, Respond])
    connections: int = 0

    def url(self, path: str = "/", *, host: str | None = None) -> str:
        return f"{self.scheme}://{host or self.host}:{self.port}{path}"

    def answers(
        self, path: str, body: bytes = b"", *, status: str = "200 OK", headers: dict[str, str] | None = None
    ) -> None:
        async def respond(_seen: Seen, writer: asyncio.StreamWriter) -> None:
            writer.write(answer(body, status=status, headers=headers))

        self.routes[path] = respond

    def redirects(self, path: str, to: str, *, status: str = "302 Found") -> None:
        self.answers(path, status=status, headers={"Location": to})


def answer(body: bytes = b"", *, status: str = "200 OK", headers: dict[str, str] | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


@asynccontextmanager
async def peer(host: str = "127.0.0.1", *, tls: ssl.SSLContext | None = None) -> AsyncGenerator[Peer]:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        this.connections += 1
        try:
            seen = await _request(reader)
            this.seen.append(seen)
            respond = this.routes.get(seen.target.partition("?")[0])
            if respond is None:
                writer.write(answer(b"nothing here", status="404 Not Found"))
            else:
                await respond(seen, writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass  # the client hung up
        finally:
            writer.close()

    server = await asyncio.start_server(connected, host, 0, ssl=tls)
    port: int = server.sockets[0].getsockname()[1]
    this = Peer(f"[{host}]" if ":" in host else host, port, "https" if tls else "http")
    try:
        yield this
    finally:
        server.close()


async def _request(reader: asyncio.StreamReader) -> Seen:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _ = head[0].split(" ", 2)
    headers = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)
    }
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Seen(method, target, headers, body)

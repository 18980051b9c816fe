"""Where a browser comes back to after somebody allowed an application: an address of this machine, for one answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from urllib.parse import parse_qsl, urlsplit

from ksl.errors import AuthorizationFailed

PATH = "/callback"
_HEAD_MAX = 16 << 10  # bytes
_READ_S = 10.0
_PAGE = (
    "<!doctype html><meta charset=utf-8><title>ksl</title>"
    "<p>Thank you. Back to the terminal: it says what came of it."
)


class Redirect:
    """`url` is what the service is told; the query that comes back is the answer."""

    def __init__(self, url: str, answer: asyncio.Future[dict[str, str]]) -> None:
        self.url = url
        self._answer = answer

    async def query(self, timeout_s: float) -> dict[str, str]:
        """Errors: AuthorizationFailed when nobody came back in time."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._answer
        except TimeoutError:
            raise AuthorizationFailed(
                f"nobody came back from the service within {timeout_s:g} s. Nothing was stored. Run the command again, "
                "and open the address that it prints in a browser of this machine."
            ) from None


@asynccontextmanager
async def listening(port: int) -> AsyncGenerator[Redirect]:
    """Port 0 takes any free one. Errors: AuthorizationFailed where it is in use."""
    answer: asyncio.Future[dict[str, str]] = asyncio.get_running_loop().create_future()

    async def answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_READ_S):
                head = await reader.readuntil(b"\r\n\r\n")
            method, target, _ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
            parts = urlsplit(target)
            if method != "GET" or parts.path != PATH:
                # A browser also asks for an icon, and its answer is not this.
                await _send(writer, "404 Not Found", "Nothing is here.")
                return
            await _send(writer, "200 OK", _PAGE)
            if not answer.done():
                answer.set_result(dict(parse_qsl(parts.query, keep_blank_values=True)))
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError, ValueError, OSError):
            pass  # whoever that was, it was no browser that came back
        finally:
            writer.close()

    try:
        server = await asyncio.start_server(answered, "127.0.0.1", port, limit=_HEAD_MAX)
    except OSError as error:
        raise AuthorizationFailed(
            f"port {port} of this machine, which the service is to redirect to, cannot be used: {error.strerror}. "
            "Nothing was stored. Stop the program that has it, or set another redirect_port."
        ) from error
    async with server:
        yield Redirect(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}{PATH}", answer)


async def _send(writer: asyncio.StreamWriter, status: str, text: str) -> None:
    body = text.encode()
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
        "Cache-Control: no-store\r\nReferrer-Policy: no-referrer\r\nContent-Security-Policy: default-src 'none'\r\n"
        "Connection: close\r\n\r\n"
    )
    writer.write(head.encode() + body)
    await writer.drain()

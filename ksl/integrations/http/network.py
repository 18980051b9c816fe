"""Connections to permitted addresses only.

A name is looked up once and the connection is made to the address that was checked: were it looked up again, it
could lead elsewhere by then. Certificates are still checked against the name.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, cast

import httpcore
import httpx

from ksl.define.listening import is_own_port
from ksl.integrations.http.addresses import AddressRules
from ksl.integrations.http.errors import AddressRefused

# (host, port) -> addresses, in the order in which they are to be tried
Resolve = Callable[[str, int], Awaitable[list[str]]]


async def resolved(host: str, port: int) -> list[str]:
    """Errors: OSError when the name has no address."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class PinnedBackend(httpcore.AsyncNetworkBackend):
    def __init__(self, rules: AddressRules, resolve: Resolve) -> None:
        self._rules = rules
        self._resolve = resolve
        self._sockets = cast("httpcore.AsyncNetworkBackend", httpcore.AnyIOBackend())

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Errors: AddressRefused, httpcore.ConnectError, httpcore.ConnectTimeout."""
        failed: Exception | None = None
        for address in await self._permitted(host, port):
            try:
                stream = await self._sockets.connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
                continue
            if _leads_to_this_server(stream, port):
                await stream.aclose()
                raise AddressRefused(
                    f"{host}:{port} is the very server that this run is in. Nothing was sent. To start a workflow "
                    "from a workflow, call its .run(...)."
                )
            return stream
        raise failed or httpcore.ConnectError(f"{host} has no address")

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.AsyncNetworkStream:
        raise AddressRefused(f"{path} is a socket of this machine")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def _permitted(self, host: str, port: int) -> list[str]:
        try:
            addresses = await self._resolve(host, port)
        except OSError as error:
            raise httpcore.ConnectError(f"{host} cannot be looked up: {error.strerror or error}") from None
        refused = {address: self._rules.refusal(address) for address in addresses}
        permitted = [address for address, reason in refused.items() if reason is None]
        if addresses and not permitted:
            address, reason = next(iter(refused.items()))
            raise AddressRefused(
                f"{host} leads to {address}, {reason}. Nothing was sent. If it may be reached, name it: "
                f'HttpClient(allow=["{address}"]).'
            )
        return permitted


class PinnedTransport(httpx.AsyncHTTPTransport):
    """httpx on connections of `PinnedBackend`. Proxies of the environment are not asked: a proxy would look the
    name up itself."""

    def __init__(self, backend: PinnedBackend, ssl_context: Any) -> None:
        super().__init__(verify=ssl_context, trust_env=False)
        self._pool = httpcore.AsyncConnectionPool(ssl_context=ssl_context, network_backend=backend)


def _leads_to_this_server(stream: httpcore.AsyncNetworkStream, port: int) -> bool:
    if not is_own_port(port):
        return False
    there: str = stream.get_extra_info("server_addr")[0]
    here: str = stream.get_extra_info("client_addr")[0]
    # A connection to an address of this very machine comes from that address, or from another loopback one.
    return there == here or there.startswith("127.") or there == "::1"

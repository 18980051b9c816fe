"""The ports on which this process serves: an action must not be led to the server that runs it."""

from __future__ import annotations

_ports: list[int] = []  # process-wide, as sockets are; a port may be there twice while servers change


def opened(port: int) -> None:
    _ports.append(port)


def closed(port: int) -> None:
    _ports.remove(port)


def is_own_port(port: int) -> bool:
    return port in _ports

"""What the screens know of a server that does not run, and how they start one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Stopped:
    at_ms: int
    in_order: bool  # False: it was killed, or the machine went down, at that moment or later


class NotStarted(Exception):
    """`last` holds the newest lines of the log that it wrote."""

    def __init__(self, said: str, last: list[str]) -> None:
        super().__init__(said)
        self.last = last


class Starter(Protocol):
    """Of a project on this machine."""

    def stopped(self) -> Stopped | None:
        """When the last server ended; None where there never was one."""
        ...

    async def start(self) -> str:
        """Returns when a server answers, with what to know about it. Errors: NotStarted."""
        ...

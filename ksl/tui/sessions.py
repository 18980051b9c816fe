"""Conversations of agents."""

from __future__ import annotations

from collections.abc import Iterator

from textual.widget import Widget

from ksl.tui.frame import Framed, Line


class SessionsScreen(Framed):
    tab = "sessions"

    def body(self) -> Iterator[Widget]:
        yield Line("  No sessions. This version of ksl runs no agents.", classes="empty")

    async def load(self) -> None:
        """There is nothing to ask for."""

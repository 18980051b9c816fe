"""Lines that a server at hand says of itself, kept for the System screen: the newest thousand."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from ksl.tui import safe

KEPT = 1_000


class Narration:
    def __init__(self) -> None:
        self.lines: deque[str] = deque(maxlen=KEPT)
        self.heard: Callable[[], None] | None = None

    def tell(self, text: str) -> None:
        self.lines.extend(safe.lines(text))
        if self.heard is not None:
            self.heard()

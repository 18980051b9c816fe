"""Text of servers that cut a character into two halves, each in a piece of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def mended(text: Any) -> Any:
    """Halves that meet are one character again. One that stays alone cannot be written down, and is replaced. What is
    no text is left alone."""
    if not isinstance(text, str) or text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


class Pieces:
    """Passes pieces on as they come, but the first half of a character with the second only."""

    def __init__(self, told: Callable[[str], None]) -> None:
        self._told = told
        self._half = ""

    def add(self, piece: str) -> None:
        piece = self._half + piece
        self._half = piece[-1] if piece and "\ud800" <= piece[-1] <= "\udbff" else ""
        self._told(mended(piece[:-1] if self._half else piece))

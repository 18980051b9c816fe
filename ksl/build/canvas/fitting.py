"""Text cut or wrapped to the room there is, whatever text is measured in."""

from __future__ import annotations

from collections.abc import Callable

Width = Callable[[str], float]


def cut(text: str, most: float, width: Width, more: str = "…") -> str:
    """The beginning that fits, with `more` where something is left out."""
    if width(text) <= most:
        return text
    kept = 0
    used = width(more)
    for letter in text:
        used += width(letter)
        if used > most:
            break
        kept += 1
    return text[:kept].rstrip() + more


def wrapped(text: str, most: float, width: Width, more: str = "…") -> tuple[str, ...]:
    """One line, or two broken at a space if there is one; what is more is cut."""
    whole = width(text)
    if whole <= most:
        return (text,)
    breaks = [
        index for index, letter in enumerate(text) if index and letter == " " and width(text[:index]) <= most
    ]
    if not breaks:
        first = cut(text, most, width, "")
        return (first, cut(text[len(first) :].strip(), most, width, more))
    # Two lines that fit are best when they are alike; otherwise as much as can be goes into the first.
    at = min(breaks, key=lambda at: abs(width(text[:at]) - whole / 2)) if whole <= 1.9 * most else breaks[-1]
    return (text[:at], cut(text[at + 1 :].strip(), most, width, more))

"""Text cut or wrapped to the room there is, whatever text is measured in."""

from __future__ import annotations

from collections.abc import Callable

Width = Callable[[str], float]


def cut(text: str, most: float, width: Width) -> str:
    """The beginning that fits, with an ellipsis where something is left out."""
    if width(text) <= most:
        return text
    kept = 0
    used = width("…")
    for letter in text:
        used += width(letter)
        if used > most:
            break
        kept += 1
    return text[:kept].rstrip() + "…"


def wrapped(text: str, most: float, width: Width) -> tuple[str, ...]:
    """One line, or two of about one length, broken at a space if there is one; what is more is cut."""
    if width(text) <= most:
        return (text,)
    breaks = [index for index, letter in enumerate(text) if letter == " "]
    whole = width(text)
    fitting = [index for index in breaks if index > 0 and width(text[:index]) <= most]
    if not fitting:
        first = cut(text, most, width).removesuffix("…")
        return (first, cut(text[len(first) :].strip(), most, width))
    # Two lines that fit are best when they are alike; otherwise as much as can be goes into the first.
    index = (
        min(fitting, key=lambda at: abs(width(text[:at]) - whole / 2)) if whole <= 1.9 * most else fitting[-1]
    )
    return (text[:index], cut(text[index + 1 :].strip(), most, width))

"""Icons, and what an author wrote: as text, never as markup."""

from __future__ import annotations

import re
from xml.sax.saxutils import escape, quoteattr

_NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def icon(path: str, x: int, y: int, size: int) -> str:
    scale = f" scale({size / 16:g})" if size != 16 else ""
    return f'<path class="icon" transform="translate({x} {y}){scale}" d="{path}"/>'


def escaped(text: str) -> str:
    return escape(_clean(text))


def quoted(text: str) -> str:
    return quoteattr(_clean(text))


def _clean(text: str) -> str:
    """XML has no place for most control characters and for halves of surrogate pairs."""
    return _NOT_XML.sub("\ufffd", text)

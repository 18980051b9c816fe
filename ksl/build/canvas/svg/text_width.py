"""How wide a text is, without a font at hand: so wide that it fits in the fonts that browsers choose."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

CODE_EM = 0.605  # of a fixed-width font: Menlo and DejaVu Sans Mono have 0.602, Consolas 0.55

# Hundredths of an em: the wider of Liberation Sans Bold (as wide as Arial's bold) and DejaVu Sans.
_HUNDREDTHS = {
    28: "'ijl",
    32: " ,.I",
    36: "/:;\\f|",
    40: "()-[]t",
    44: "!r",
    48: '"',
    52: "*`",
    56: "J_csz",
    60: "kvxy",
    64: "$0123456789?FLTabdeghnopqu{}",
    68: "EPSY",
    72: "VXZ",
    76: "ABCHKNRU",
    80: "&DGOQ",
    84: "#+<=>^w~",
    88: "M",
    96: "%",
    100: "@Wm",
}
_WIDTHS = {letter: width / 100 for width, letters in _HUNDREDTHS.items() for letter in letters}


def text_width(text: str, size: float) -> float:
    """In pixels, of a heading."""
    return size * sum(_WIDTHS.get(letter) or _other(letter, 0.78) for letter in text)


def code_width(text: str, size: float) -> float:
    """In pixels, of text in a fixed-width font."""
    if text.isascii():
        return size * CODE_EM * len(text)
    return size * sum(CODE_EM if letter.isascii() else _other(letter, CODE_EM) for letter in text)


@lru_cache(maxsize=4096)
def _other(letter: str, usual: float) -> float:
    if unicodedata.category(letter) in ("Mn", "Me", "Cf"):
        return 0.0
    if unicodedata.east_asian_width(letter) in ("W", "F"):
        return 1.05
    # Letters of other alphabets come from another font, whose width is anyone's guess.
    return usual if letter < "\u0250" else max(usual, 0.9)

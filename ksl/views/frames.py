"""The stack of a recorded error, with the author's own lines told from those of libraries."""

from __future__ import annotations

import re
from pathlib import Path

from ksl.views.values import JsonObject

_FRAME = re.compile(r'^  File "(?P<file>.+)", line (?P<line>\d+), in (?P<function>.+)$')
_MOST = 200_000  # characters of a traceback that are read


def frames_json(traceback: str, folder: Path) -> list[JsonObject]:
    """The frame that raised first. `own`: a line of the project; its `file` is then relative to the folder."""
    frames: list[JsonObject] = []
    for text in traceback[:_MOST].splitlines():
        if (found := _FRAME.match(text)) is not None:
            path = Path(found["file"])
            own = path.is_relative_to(folder) and not {".venv", "site-packages"} & set(path.parts)
            frames.append(
                {
                    "file": str(path.relative_to(folder)) if own else found["file"],
                    "line": int(found["line"]),
                    "function": found["function"],
                    "code": "",
                    "own": own,
                }
            )
        elif frames and text.startswith("    ") and not frames[-1]["code"] and text.strip(" ~^"):
            frames[-1]["code"] = text.strip()
    return frames[::-1]

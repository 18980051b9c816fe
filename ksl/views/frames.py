"""The stack of a recorded error, with the author's own lines told from those of libraries."""

from __future__ import annotations

import re
from pathlib import Path

from ksl.views.values import JsonObject

_FRAME = re.compile(r'^  File "(?P<file>.+)", line (?P<line>\d+), in (?P<function>.+)$')
_LIBRARY = re.compile(r"site-packages|(?:^|/)\.venv/|/lib(?:64)?/python3|^<")
_MOST = 200_000  # characters of a traceback that are read


def frames_json(traceback: str, folder: Path | None) -> list[JsonObject]:
    """The frame that raised first. `own`: a line of the project; its `file` is then relative to the folder.

    `folder` None: it lies on another machine, and whatever is no library's is taken for the project's.
    """
    frames: list[JsonObject] = []
    for text in traceback[:_MOST].splitlines():
        if (found := _FRAME.match(text)) is not None:
            path = Path(found["file"])
            here = folder is not None and path.is_relative_to(folder)
            shown = str(path.relative_to(folder)) if folder is not None and here else found["file"]
            own = (here or folder is None) and not _LIBRARY.search(shown)
            frames.append(
                {
                    "file": shown if own else found["file"],
                    "line": int(found["line"]),
                    "function": found["function"],
                    "code": "",
                    "own": own,
                }
            )
        elif frames and text.startswith("    ") and not frames[-1]["code"] and text.strip(" ~^"):
            frames[-1]["code"] = text.strip()
    return frames[::-1]

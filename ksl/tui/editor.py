"""A line of source in the person's own editor."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

from ksl.tui.frame import Framed

_WITH_COLON = (
    "code",
    "codium",
    "cursor",
    "subl",
    "zed",
    "hx",
    "helix",
)  # FILE:LINE; the others take +LINE FILE
_GOTO = ("code", "codium", "cursor")


def command(editor: str, file: str, line: int) -> list[str]:
    words = shlex.split(editor)
    name = Path(words[0]).name
    if name in _GOTO:
        return [*words, "--goto", f"{file}:{line}"]
    return [*words, f"{file}:{line}"] if name in _WITH_COLON else [*words, f"+{line}", file]


def edit(screen: Framed, file: str, line: int) -> None:
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    path = screen.ksl.folder / file if screen.ksl.folder is not None else Path(file)
    if not editor:
        screen.say(f"Set EDITOR to open {file}:{line}.")
    elif not path.is_file():
        screen.say(f"{file} is not on this machine.", wrong=True)
    else:
        with screen.ksl.suspend():
            subprocess.run(command(editor, str(path), line), check=False)
        screen.refresh()

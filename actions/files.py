"""Writing files so that a reader, or a second attempt, never meets half of one."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from ksl import FatalError


def write_whole(path: Path, content: str | bytes) -> None:
    """Replaces the file in one move, after its content is on the disk. Makes missing folders.

    Writing the same content again changes nothing, which makes it safe in an action: a step that is killed
    before its result is recorded runs once more.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with unfinished.open("xb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def inside(folder: Path, name: str) -> Path:
    """The path of `name` below `folder`, links followed. FatalError if it would lie elsewhere."""
    root = folder.expanduser().resolve()
    path = (root / name).resolve()
    if root not in path.parents:
        raise FatalError(
            f"{name!r} does not stay inside {root}. Nothing was written; give a name below that folder."
        )
    return path


def existing_folder(folder: str) -> Path:
    """The folder as an absolute path. FatalError if there is none: trying again would not make one."""
    path = Path(folder).expanduser().resolve()
    if not path.is_dir():
        raise FatalError(f"{path} is not a folder. Nothing was done; make the folder or give another.")
    return path

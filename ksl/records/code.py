"""A version of a workflow's code, as it was when runs were started with it."""

from __future__ import annotations

import msgspec


class CodeRow(msgspec.Struct, frozen=True):
    """The code of one workflow and of those that it runs inside; all JSON text."""

    workflow: str
    code_version: str
    canvases: bytes  # slug -> canvas, as `ksl.build.canvas.as_json` writes it
    sites: bytes  # slug -> its step calls, in the order of the file
    files: bytes  # path below the project folder -> text

"""The tools of a sandbox that work with its files."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import msgspec

from ksl.agent.tool_set import Offer, ToolContext, ToolError
from ksl.agent.tools.arguments import Arguments, read_arguments, spec_of
from ksl.agent.tools.folder import Folder
from ksl.define.sandbox import Sandbox

Json = dict[str, Any]
READ_CHARS_MAX = 60_000
LISTED_MAX = 500
HITS_MAX = 100
LINE_CHARS_MAX = 300

_Path = Annotated[str, msgspec.Meta(description="Relative to the workspace, such as notes/today.md")]
_Below = Annotated[str, msgspec.Meta(description="A folder of the workspace; '.' is its top")]


class Read(Arguments, frozen=True):
    path: _Path
    first_line: Annotated[int, msgspec.Meta(ge=1, description="Where to begin, counted from 1")] = 1
    lines: Annotated[int, msgspec.Meta(ge=1, description="How many lines at most")] = 2_000


class Write(Arguments, frozen=True):
    path: _Path
    content: str


class Edit(Arguments, frozen=True):
    path: _Path
    old: Annotated[str, msgspec.Meta(min_length=1, description="Text that is in the file exactly once")]
    new: Annotated[str, msgspec.Meta(description="What takes its place")]


class List(Arguments, frozen=True):
    path: _Below = "."


class Search(Arguments, frozen=True):
    text: Annotated[
        str, msgspec.Meta(min_length=1, description="Looked for as it is, in any case of letters")
    ]
    path: _Below = "."


class Delete(Arguments, frozen=True):
    path: _Path


class FileTools:
    """`ksl.agent.tool_set.ToolSet` over the folder of a sandbox."""

    name = "files"

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._tools: dict[str, tuple[type[Arguments], Callable[[Folder, Any, str], str], str]] = {
            "read": (Read, _read, "Reads a text file of the workspace."),
            "write": (Write, _write, "Writes a text file of the workspace, whole; what was in it goes."),
            "edit": (Edit, _edit, "Replaces a piece of text that is in a file exactly once."),
            "list": (List, _list, "Lists a folder of the workspace."),
            "search": (Search, _search, "Finds the lines of text files that hold a text."),
            "delete": (Delete, _delete, "Deletes a file, or an empty folder."),
        }
        self.names = tuple(self._tools)

    async def offer(self, context: ToolContext) -> Offer:
        tools = [spec_of(name, about, arguments) for name, (arguments, _, about) in self._tools.items()]
        return Offer(
            tools,
            "You have a workspace of files, which stays from one prompt to the next. Paths are relative to it; there "
            "is no way out of it, and links are not followed.",
        )

    async def call(self, tool: str, arguments: Json, context: ToolContext) -> Any:
        kind, work, _ = self._tools[tool]
        folder = folder_of(self._sandbox, context.workspaces_root)
        return await asyncio.to_thread(work, folder, read_arguments(arguments, kind), context.idempotency_key)

    async def close(self) -> None:
        pass


def folder_of(sandbox: Sandbox, workspaces_root: Path) -> Folder:
    return Folder(
        workspaces_root / sandbox.files,
        scratch=workspaces_root / ".writing",
        file_bytes_max=sandbox.file_bytes_max,
        set_bytes_max=sandbox.set_bytes_max,
    )


def _read(folder: Folder, asked: Read, _: str) -> str:
    lines = text_of(folder, asked.path).splitlines(keepends=True)
    if asked.first_line > max(len(lines), 1):
        raise ToolError(f"{asked.path} has {len(lines)} lines")
    shown = "".join(lines[asked.first_line - 1 : asked.first_line - 1 + asked.lines])
    if len(shown) > READ_CHARS_MAX:
        rest = f"\n[cut after {READ_CHARS_MAX:,} characters of {len(shown):,}; ask for fewer lines, from a later one]"
        return shown[:READ_CHARS_MAX] + rest
    last = asked.first_line - 1 + asked.lines
    return shown if last >= len(lines) else f"{shown}[lines {asked.first_line} to {last} of {len(lines)}]"


def _write(folder: Folder, asked: Write, mark: str) -> str:
    data = encoded(asked.content)
    folder.write(asked.path, data, mark=mark)
    return f"{asked.path} has {len(data):,} bytes now"


def _edit(folder: Folder, asked: Edit, mark: str) -> str:
    new = edited(text_of(folder, asked.path), asked.path, asked.old, asked.new)
    if new is None:
        return f"{asked.path} has the new text already; nothing was changed"
    folder.write(asked.path, encoded(new), mark=mark)
    return f"{asked.path} was changed"


def _list(folder: Folder, asked: List, _: str) -> str:
    found = folder.entries(asked.path)
    if not found:
        return "nothing is in it"
    lines: list[str] = []
    for each in found[:LISTED_MAX]:
        size = (
            "" if each.is_folder else f"  {each.size:,} bytes" if each.is_file else "  (a link or a device)"
        )
        lines.append(f"{shown(each.path)}{'/' if each.is_folder else ''}{size}")
    if len(found) > LISTED_MAX:
        lines.append(f"[{len(found) - LISTED_MAX} more]")
    return "\n".join(lines)


def _search(folder: Folder, asked: Search, _: str) -> str:
    wanted = asked.text.casefold()
    hits: list[str] = []
    for each in folder.walk(asked.path):
        if not each.is_file:
            continue
        try:
            text = text_of(folder, each.path)
        except ToolError:
            continue  # no text, or gone
        for number, line in enumerate(text.splitlines(), 1):
            if wanted in line.casefold():
                hits.append(f"{shown(each.path)}:{number}: {line.strip()[:LINE_CHARS_MAX]}")
                if len(hits) == HITS_MAX:
                    return "\n".join([*hits, f"[the first {HITS_MAX}; there may be more]"])
    return "\n".join(hits) or "nothing was found"


def _delete(folder: Folder, asked: Delete, _: str) -> str:
    return f"{asked.path} is gone" if folder.delete(asked.path) else f"there is no {asked.path}"


def edited(text: str, path: str, old: str, new: str) -> str | None:
    """None where the edit stands in the text already, as after an attempt whose end was not recorded.

    Errors: ToolError.
    """
    count = text.count(old)
    if new and new in text and count == text.count(new) * new.count(old):
        return None
    if count != 1:
        found = "is not in it" if count == 0 else f"is in it {count} times; add lines around it"
        raise ToolError(f"{path}: the text to replace {found}. Nothing was changed")
    return text.replace(old, new)


def text_of(folder: Folder, path: str) -> str:
    """Errors: ToolError, also where it is no text."""
    data = folder.read(path)
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise ToolError(f"{shown(path)} is a binary file ({len(data):,} bytes); only text can be read")
    return text


def encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise ToolError("the content is not valid text") from None


def shown(path: str) -> str:
    """A name may be any bytes; a record holds text."""
    return path.encode(errors="replace").decode()

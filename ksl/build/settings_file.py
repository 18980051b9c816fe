"""`ksl.toml` as text: reading it, and finding the line a key stands on, which tomllib does not tell."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from ksl.errors import ConfigUnreadable, NotAProject

CONFIG_NAME = "ksl.toml"


def read_toml(config: Path) -> tuple[str, dict[str, Any]]:
    """The text of the file and its table."""
    try:
        content = config.read_bytes()
    except FileNotFoundError:
        raise NotAProject(
            f"There is no {CONFIG_NAME} in {config.parent}, so it is not a ksl project. "
            "Change to your project's folder, or start a project here with `ksl init`."
        ) from None
    except OSError as failed:
        reason = failed.strerror or str(failed)
        raise ConfigUnreadable(
            f"{config} cannot be read: {reason}. Nothing was started; put a readable file in its place."
        ) from None
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as wrong:
        line, column = _position(content[: wrong.start].decode("utf-8"))
        raise _unreadable(config, line, column, "it is not UTF-8 text") from None
    try:
        return text, tomllib.loads(text)
    except tomllib.TOMLDecodeError as wrong:
        line, column, what = _said_by_tomllib(str(wrong), text)
        raise _unreadable(config, line, column, what) from None
    except RecursionError:
        raise _unreadable(config, 1, 1, "its values are nested too deeply") from None


def line_of(text: str, section: str, key: str | None = None) -> int | None:
    """Where the section, or the key in it, is first written, counted from 1; None if that cannot be told.

    A plain search, not a second TOML parser. A key in an inline table gives the table's line; one behind
    quotes is missed, and then the message names the file alone.
    """
    wanted = (section,) if key is None else (section, key)
    header: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if found := _HEADER.match(line):
            path = header = _dotted(found[1])
        elif found := _KEY.match(line):
            path = header + _dotted(found[1])
        else:
            continue
        if path[: len(wanted)] == wanted:
            return number
    return line_of(text, section) if key is not None else None


_HEADER = re.compile(r"\s*\[+([A-Za-z0-9_.\- \t]+)\]")
_KEY = re.compile(r"\s*([A-Za-z0-9_.\- \t]+)=")


def _dotted(name: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in name.split("."))


_TOMLLIB_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


def _said_by_tomllib(message: str, text: str) -> tuple[int, int, str]:
    found = _TOMLLIB_PLACE.search(message)
    if found is None:
        return 1, 1, message
    what = message[: found.start()]
    if found[1] is None:
        return *_position(text.rstrip("\n")), f"{what}, at the end of the file"
    return int(found[1]), int(found[2]), what


def _position(before: str) -> tuple[int, int]:
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def _unreadable(config: Path, line: int, column: int, what: str) -> ConfigUnreadable:
    return ConfigUnreadable(
        f"{config}:{line}:{column}: this is not TOML: {what[:1].lower()}{what[1:]}. "
        "Nothing was started; put that line right and try again."
    )

"""What each setting takes: a reader per key, from the value as given to the value as used.

A reader raises ValueError with what it accepts, worded to follow "it takes".
"""

from __future__ import annotations

import json
import keyword
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from ksl.define.duration import DURATION_FORMS, SIZE_FORMS, parse_duration, parse_size

Reader = Callable[[object], object]


def as_typed(read: Reader, value: object) -> object:
    """A value from the environment or the command line, where a number is text, as the file would hold it."""
    if isinstance(value, str) and read in _WHOLE:
        digits = value.strip().replace("_", "")
        if digits.isascii() and digits.isdigit() and len(digits) <= 18:
            return int(digits)
    return value


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.isprintable():
        raise ValueError("text in quotes, on one line")
    return value


def _name(value: object) -> str:
    if not isinstance(value, str) or not value.strip() or not value.isprintable() or len(value) > 100:
        raise ValueError("a name in quotes, of 1 to 100 characters on one line")
    return value.strip()


def _module_folder(value: object) -> str:
    # Modules below it are imported under the folder's name, so each part must be one that Python can import.
    parts = value.split("/") if isinstance(value, str) else []
    if not parts or not all(part.isidentifier() and not keyword.iskeyword(part) for part in parts):
        raise ValueError('a folder below the project that Python can import, like "workflows" or "app/flows"')
    return "/".join(parts)


def _host(value: object) -> str:
    if not isinstance(value, str) or not value or any(c.isspace() or c in "/@" for c in value):
        raise ValueError('a host name or an address, like "127.0.0.1"; the port has a key of its own')
    return value.removeprefix("[").removesuffix("]")


def _url(example: str, unset: str) -> Reader:
    def read(value: Any) -> str:
        if value == "":
            return ""
        if not isinstance(value, str) or not _is_base_url(value):
            raise ValueError(f'an address like "{example}", or "" for {unset}')
        return value.rstrip("/")

    return read


def _is_base_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        _ = parts.port  # reading it is the check
    except ValueError:
        return False
    extras = parts.query or parts.fragment or parts.username
    return parts.scheme in ("http", "https") and bool(parts.hostname) and not extras and text.isprintable()


def _path(value: object) -> Path:
    if not isinstance(value, str | Path) or not str(value).isprintable() or not Path(value).name:
        raise ValueError('the path of a file, like ".ksl/ksl.db"')
    return Path(value).expanduser()


def _one_of(*choices: str) -> Reader:
    def read(value: object) -> str:
        if not isinstance(value, str) or value not in choices:
            raise ValueError(" or ".join(f'"{choice}"' for choice in choices))
        return value

    return read


def _whole(least: int, most: int) -> Reader:
    def read(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise ValueError(f"a whole number from {least} to {most}")
        return value

    return read


def _duration(value: Any) -> float:
    try:
        return parse_duration(value)
    except ValueError:
        raise ValueError(f"{DURATION_FORMS}, and 0 keeps for ever") from None


def _size(least: int, most: int, limit: str) -> Reader:
    def read(value: Any) -> int:
        try:
            size = parse_size(value)
        except ValueError:
            size = -1
        if not least <= size <= most:
            raise ValueError(f"{SIZE_FORMS}, from 1KiB to {limit}")
        return size

    return read


def _amount(value: object) -> float:
    if isinstance(value, str):  # from the environment
        try:
            value = float(value)
        except ValueError:
            value = -1
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < 1e12:
        raise ValueError("a number of dollars, and 0 for no bound")
    return float(value)


_PROVIDER = re.compile(r"[a-z0-9][a-z0-9_-]*")
_VENDORS = ("anthropic", "google", "openai")  # where they are, their clients know
_CREDENTIAL = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")


def _providers(value: object) -> dict[str, dict[str, str]]:
    """From the environment as JSON text."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            value = None
    wanted = (
        'tables like [models.providers.local] with base_url = "http://127.0.0.1:8080/v1" (not needed for anthropic, '
        'google and openai), maybe api_key (the key, "credential:NAME" or "env:NAME"), and tool_choice = "required" or '
        '"named"'
    )
    if not isinstance(value, dict):
        raise ValueError(wanted)
    providers: dict[str, dict[str, str]] = {}
    for name, given in cast("dict[str, Any]", value).items():
        if not _PROVIDER.fullmatch(name) or name == "test" or not isinstance(given, dict):
            raise ValueError(f"{wanted}; {name!r} is no name for one")
        provider = cast("dict[str, Any]", given)
        texts = all(isinstance(each, str) for each in provider.values())
        if (
            not texts
            or not set(provider) <= {"base_url", "api_key", "tool_choice"}
            or provider.get("tool_choice", "required") not in ("required", "named")
            or not _is_key(provider.get("api_key", ""))
            or not (_is_base_url(provider["base_url"]) if "base_url" in provider else name in _VENDORS)
        ):
            raise ValueError(f"{wanted}; that of {name!r} does not fit")
        providers[name] = {**provider, "base_url": provider.get("base_url", "").rstrip("/")}
    return providers


def _is_key(text: str) -> bool:
    kind, colon, name = text.partition(":")
    match kind if colon else "":
        case "credential":
            return _CREDENTIAL.fullmatch(name) is not None
        case "env":
            return bool(name)
        case _:
            return True


def _keys(value: object) -> dict[str, str]:
    """From the environment as JSON text. An id may be written as a dotted key, which TOML reads as tables. Which ids
    there are, the screens know."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            value = None
    wanted = 'a table of ids with their keys, like "runs.open" = "o" or "list.down" = ["down", "ctrl+n"]'
    if not isinstance(value, dict):
        raise ValueError(wanted)
    found: dict[str, str] = {}
    for id, given in cast("dict[str, Any]", value).items():
        match given:
            case dict():
                inner = _keys(cast("dict[str, Any]", given))
                found |= {f"{id}.{rest}": keys for rest, keys in inner.items()}
            case str() if given.strip():
                found[id] = given
            case list() if given and all(isinstance(each, str) and each for each in cast("list[Any]", given)):
                found[id] = ",".join(cast("list[str]", given))
            case _:
                raise ValueError(f"{wanted}; that of {id!r} does not fit")
    return found


_PORT = _whole(0, 65_535)
_CONCURRENCY = _whole(1, 100_000)
_BACKLOG = _whole(1, 10_000_000)
_STEPS = _whole(1, 10_000_000)
_COUNT = _whole(0, 10**15)
_WHOLE = (_PORT, _CONCURRENCY, _BACKLOG, _STEPS, _COUNT)

READERS: dict[str, dict[str, Reader]] = {
    "project": {
        "name": _name,
        "workflows": _module_folder,
        "actions": _module_folder,
        "agents": _module_folder,
        "triggers": _module_folder,
    },
    "server": {
        "host": _host,
        "port": _PORT,
        "public_url": _url("https://ksl.example.org", "http://host:port"),
    },
    "store": {"path": _path, "durability": _one_of("full", "process")},
    "queue": {"concurrency": _CONCURRENCY, "backlog": _BACKLOG},
    "retention": {"finished_runs": _duration},
    # SQLite takes no value of a thousand million bytes or more, and an event holds more than its value.
    "limits": {
        "body": _size(1 << 10, 512 << 20, "512MiB"),
        "payload": _size(1 << 10, 512 << 20, "512MiB"),
        "steps": _STEPS,
    },
    "models": {
        "default": _text,
        "daily_tokens": _COUNT,
        "daily_usd": _amount,
        "daily_turns": _COUNT,
        "on_exceeded": _one_of("raise", "hold"),
        "providers": _providers,
    },
    "telemetry": {"otlp_endpoint": _url("http://127.0.0.1:4318", "nowhere")},
    "tui": {"keys": _keys},
}

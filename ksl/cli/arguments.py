"""Values that come in through flags: JSON from the line, a file or stdin; durations."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click


class DurationType(click.ParamType[Any]):
    """Seconds, from "250ms", "1h30m", "30"."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        from ksl.define.duration import parse_duration

        try:
            return parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


DURATION = DurationType()


class JsonSource(click.ParamType[Any]):
    """The bytes behind JSON, @file or -. Whether they are JSON is for whoever takes them to say: the rules
    (no NaN, no deep nesting) and the message are then the same for a flag and for an HTTP body."""

    name = "JSON|@file|-"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> bytes:
        if isinstance(value, bytes):
            return value
        text = str(value)
        if text == "-":
            return sys.stdin.buffer.read()
        if text.startswith("@"):
            try:
                return Path(text[1:]).expanduser().read_bytes()
            except OSError as error:
                self.fail(f"cannot read {text[1:]}: {error.strerror}", param, ctx)
        # Bytes that are not UTF-8 reach us as lone surrogates. Back to what was typed, as HTTP gets it.
        typed = text.encode("utf-8", "surrogateescape")
        if '"' not in text and not _is_json(typed):
            click.echo(_UNQUOTED, err=True)
        return typed


def _is_json(text: bytes) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


JSON_SOURCE = JsonSource()

_UNQUOTED = (
    "No double quotes arrived, and JSON has them around names and texts. A shell takes them away unless single quotes "
    'stand around the whole: \'{"name": "Ada"}\'.'
)

WAIT_FOR = click.option(
    "--wait-for",
    type=DURATION,
    default="10s",
    show_default=True,
    help="Leave a run that would sleep longer than this.",
)

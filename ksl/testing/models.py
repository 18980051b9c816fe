"""Models that say what a test has for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ksl.agent.scripted import put_script

Turn = str | dict[str, Any] | list[dict[str, Any]] | Callable[[Sequence[dict[str, Any]]], Any]


def script(name: str, turns: Sequence[Turn]) -> str:
    """The name of a model, "test/script/NAME", that says these turns one after the other, in each prompt anew.

    A turn is a text, or a dict with `text`, `calls` (of tools: `{"name": ..., "args": {...}}`), `output` (the
    structured answer) and `usage` (`{"input_tokens": ..., "output_tokens": ...}`), or a list of such dicts, of which
    the first counts whose `if_heard` (a regular expression) is found in the newest message, or a function of the
    messages so far that returns one. Given the same name again, the newest turns count.
    """
    return put_script(name, turns)

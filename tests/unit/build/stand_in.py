"""Small steps that note where they are called from, for tests of the site table."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import CodeType
from typing import Any

from ksl.build.sites import DefinitionKind, SiteTable, site_table

Call = tuple[Any, CodeType, int]


class Done(Coroutine[Any, Any, Any]):
    """A coroutine that has its value already and does not mind never being awaited."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def send(self, value: Any) -> Any:
        raise StopIteration(self.value)

    def throw(self, *error: Any) -> Any:
        raise error[0]

    def close(self) -> None: ...

    def __await__(self) -> Any:
        return self.value
        yield


class Step:
    def __init__(self, slug: str, kind: DefinitionKind = "action", calls: list[Call] | None = None) -> None:
        self.slug = slug
        self.kind: DefinitionKind = kind
        self.calls: list[Call] = [] if calls is None else calls

    def run(self, tag: Any = None, *rest: Any, **options: Any) -> Any:
        frame = sys._getframe(1)
        self.calls.append((tag, frame.f_code, frame.f_lasti))
        return Done(tag)

    prompt = run

    def scope(self, name: str) -> Scoped:
        return Scoped(self)


class Scoped:
    def __init__(self, step: Step) -> None:
        self.step = step

    def run(self, tag: Any = None) -> Any:
        frame = sys._getframe(1)
        self.step.calls.append((tag, frame.f_code, frame.f_lasti))
        return Done(tag)


class Ctx:
    def __init__(self, calls: list[Call] | None = None) -> None:
        self.calls: list[Call] = [] if calls is None else calls

    def sleep(self, tag: Any = None) -> Any:
        frame = sys._getframe(1)
        self.calls.append((tag, frame.f_code, frame.f_lasti))
        return Done(tag)

    hook = sleep


def prompt_llm(tag: Any = None) -> Any:
    return Done(tag)


def kind_of(value: object) -> tuple[DefinitionKind, str] | None:
    if isinstance(value, Step):
        return (value.kind, value.slug)
    return ("llm", "prompt-llm") if value is prompt_llm else None


def is_context(value: object) -> bool:
    return value is Ctx


def load(path: Path, text: str, **names: Any) -> dict[str, Any]:
    """Write `text` to `path` and run it, with a, b (actions), w (a workflow) and g (an agent) at hand."""
    path.write_text(text, encoding="utf-8")
    calls: list[Call] = []
    steps = {"a": Step("a", calls=calls), "b": Step("b", calls=calls)}
    others = {"w": Step("w", "workflow", calls), "g": Step("g", "agent", calls)}
    space: dict[str, Any] = {
        **steps,
        **others,
        "Context": Ctx,
        "prompt_llm": prompt_llm,
        "calls": calls,
        **names,
    }
    exec(compile(text, str(path), "exec"), space)
    return space


def table_of(function: Callable[..., object], workflow: str = "test") -> SiteTable:
    return site_table(workflow, function, kind_of=kind_of, is_context=is_context)


def call_at(table: SiteTable, code: CodeType, lasti: int) -> ast.Call | None:
    """The call in the source that the table names for a frame."""
    site = table.find(code, lasti)
    if site is None:
        return None
    wanted = (site.line, site.col, site.end_line, site.end_col)
    for node in ast.walk(table.source.tree):
        if isinstance(node, ast.Call):
            place = (node.lineno, node.col_offset, node.end_lineno, node.end_col_offset)
            if place == wanted:
                return node
    raise AssertionError(f"{site} is no call")

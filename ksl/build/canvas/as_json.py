"""A canvas as JSON. Here lines and columns count from 1, and columns are characters."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

from ksl.build.canvas.blocks import Block, Canvas, Input, Lane, Range
from ksl.build.failure import relative
from ksl.build.site import Site
from ksl.build.sites import SiteTable
from ksl.build.source import SourceFile


def as_json(canvas: Canvas, root: Path | None = None) -> dict[str, Any]:
    """The file is named relative to `root`. Every block says in `block` what it is."""
    place = _Places(canvas.source)
    path = canvas.source.path
    return {
        "workflow": canvas.workflow,
        "file": relative(path, root) if root is not None else path,
        "version": canvas.source.version,
        "at": place(canvas.at),
        "blocks": [_block(block, place) for block in canvas.blocks],
        "unplaced": [_site(site, place) for site in canvas.unplaced],
    }


def sites_json(table: SiteTable) -> list[dict[str, Any]]:
    """Every step call of a workflow, in the order of its file."""
    place = _Places(table.source)
    return [_site(site, place) for site in table.sites]


class _Places:
    def __init__(self, source: SourceFile) -> None:
        self._lines = source.text.splitlines()

    def __call__(self, at: Range) -> dict[str, int]:
        return {
            "line": at.line,
            "column": self._column(at.line, at.col),
            "end_line": at.end_line,
            "end_column": self._column(at.end_line, at.end_col),
        }

    def _column(self, line: int, col: int) -> int:
        text = self._lines[line - 1] if 0 < line <= len(self._lines) else ""
        return len(text.encode("utf-8", "surrogatepass")[:col].decode("utf-8", "replace")) + 1


def _site(site: Site, place: _Places) -> dict[str, Any]:
    return {
        "id": site.key,
        "kind": site.kind,
        "callee": site.callee,
        "function": site.function,
        "scope": site.scope,
        "ordinal": site.ordinal,
        "at": place(Range.of(site)),
    }


def _block(block: Block | Lane, place: _Places) -> dict[str, Any]:
    kind = {} if isinstance(block, Lane) else {"block": type(block).__name__.lower()}
    return kind | {each.name: _value(getattr(block, each.name), place) for each in fields(block)}


def _value(value: Block | Lane | Range | Input | tuple[Any, ...] | str | bool | None, place: _Places) -> Any:
    match value:
        case Range():
            return place(value)
        case Input():
            return {"field": value.field, "expression": value.expression}
        case tuple():
            return [_value(item, place) for item in value]
        case None | str() | bool():
            return value
        case _:
            return _block(value, place)

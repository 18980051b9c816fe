"""A canvas back from its JSON, as it was stored with a version of the code. What is not known is passed over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ksl.build.canvas.blocks import (
    Block,
    Canvas,
    Decision,
    Helper,
    Input,
    Lane,
    Loop,
    Opaque,
    Parallel,
    Range,
    Scope,
    Step,
    Terminal,
    Try,
    Wait,
)
from ksl.build.site import Site
from ksl.build.source import SourceFile

Json = Mapping[str, Any]


def from_json(shown: Json, text: str) -> Canvas:
    """`text` is that of the file the canvas was drawn from. Errors: ValueError for what is no canvas."""
    try:
        source = SourceFile(shown["file"], text)
        return _Reading(source).canvas(shown)
    except (KeyError, TypeError, SyntaxError) as error:
        raise ValueError(f"this is not the JSON of a canvas: {error!r}") from error


class _Reading:
    def __init__(self, source: SourceFile) -> None:
        self._source = source
        self._lines = source.text.splitlines()

    def canvas(self, shown: Json) -> Canvas:
        return Canvas(
            shown["workflow"],
            self._source,
            self._at(shown["at"]),
            self._blocks(shown["blocks"]),
            tuple(self._site(each) for each in shown["unplaced"]),
        )

    def _blocks(self, shown: list[Json]) -> tuple[Block, ...]:
        return tuple(self._block(each) for each in shown)

    def _block(self, shown: Json) -> Block:
        at = self._at(shown["at"])
        match shown["block"]:
            case "step" | "wait":
                return self._step(shown)
            case "decision":
                return Decision(shown["label"], shown["form"], self._lanes(shown["lanes"]), at)
            case "loop":
                return Loop(shown["label"], self._blocks(shown["blocks"]), self._lane(shown["no_break"]), at)
            case "parallel":
                lanes = self._lanes(shown["lanes"])
                return Parallel(shown["form"], shown["label"], lanes, shown["collects_errors"], at)
            case "try":
                handlers = self._lanes(shown["handlers"])
                return Try(self._blocks(shown["blocks"]), handlers, self._lane(shown["always"]), at)
            case "scope":
                return Scope(shown["label"], self._blocks(shown["blocks"]), at)
            case "helper":
                return Helper(shown["name"], self._blocks(shown["blocks"]), at)
            case "terminal":
                return Terminal(shown["kind"], shown["label"], at)
            case "opaque":
                steps = tuple(self._step(each) for each in shown["steps"])
                return Opaque(shown["code"], shown["label"], steps, at, shown.get("breaks", False))
            case other:
                raise ValueError(f"a canvas has no block {other!r}")

    def _step(self, shown: Json) -> Step | Wait:
        inputs = tuple(Input(each["field"], each["expression"]) for each in shown["inputs"])
        at = self._at(shown["at"])
        if shown["block"] == "wait":
            return Wait(shown["id"], shown["kind"], inputs, at)
        return Step(shown["id"], shown["kind"], shown["callee"], inputs, shown["inputs_hidden"], at)

    def _lanes(self, shown: list[Json]) -> tuple[Lane, ...]:
        return tuple(
            Lane(each["label"], self._blocks(each["blocks"]), self._at(each["at"])) for each in shown
        )

    def _lane(self, shown: Json | None) -> Lane | None:
        return None if shown is None else self._lanes([shown])[0]

    def _site(self, shown: Json) -> Site:
        at = self._at(shown["at"])
        return Site(
            key=shown["id"],
            kind=shown["kind"],
            callee=shown["callee"],
            file=self._source.path,
            line=at.line,
            col=at.col,
            end_line=at.end_line,
            end_col=at.end_col,
            function=shown["function"],
            scope=shown["scope"],
            ordinal=shown["ordinal"],
        )

    def _at(self, shown: Json) -> Range:
        return Range(
            shown["line"],
            self._bytes(shown["line"], shown["column"]),
            shown["end_line"],
            self._bytes(shown["end_line"], shown["end_column"]),
        )

    def _bytes(self, line: int, column: int) -> int:
        text = self._lines[line - 1] if 0 < line <= len(self._lines) else ""
        return len(text[: column - 1].encode("utf-8", "surrogatepass"))

"""A canvas to move about on: as an outline, or as boxes where they fit."""

from __future__ import annotations

from textwrap import wrap
from typing import cast

from rich.text import Text
from textual.geometry import Region

from ksl.build.canvas.boxes import Place
from ksl.tui import safe, words
from ksl.tui.lines import Lines
from ksl.tui.words import Json, Look
from ksl.views.drawings import drawn_boxes, drawn_lines


class CanvasLines(Lines):
    """The cursor is on a node; in boxes it goes from one to the next in the order of the source."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.boxed = False
        self.fits = True  # the boxes, in the room there is
        self._places: tuple[Place, ...] = ()
        self._at = 0

    @property
    def key(self) -> str | None:
        if self._places:
            return self._places[self._at].id if self._at < len(self._places) else None
        return super().key

    def draw(self, shown: Json, look: Look, *, faint: bool = False) -> None:
        """`faint`: of code that is not the code at hand."""
        states = node_states(shown)
        before = self.key
        self._places = ()
        if self.boxed and not faint:
            boxes = drawn_boxes(shown, ascii=look.ascii)
            self.fits = boxes.width <= max(self.size.width - 2, 0)
            if self.fits:
                self._draw_boxes(boxes.text.splitlines(), boxes.places, states, before)
                return
        drawn = drawn_lines(shown, ascii=look.ascii)

        def paint(place: int, _width: int) -> Text:
            each = drawn[place]
            state = states.get(each.id or "", "pending" if each.id and states else "")
            return Text(safe.line(each.text), "dim" if faint else words.COLOURS.get(state, ""))

        wide = max((len(each.text) for each in drawn), default=0) + 1
        self.show([each.id for each in drawn], paint, wide=wide)
        self.select(before)

    def tell(self, told: str) -> None:
        """Why there is no canvas."""
        rows = wrap(safe.line(told), max(self.size.width - 1, 20))
        self.show([None] * len(rows), lambda place, _width: Text(rows[place]))

    def _draw_boxes(
        self, rows: list[str], places: tuple[Place, ...], states: dict[str, str], before: str | None
    ) -> None:
        self.show([None] * len(rows), lambda _place, _width: Text(), wide=max(map(len, rows), default=0) + 1)
        self._places = places
        self._at = next((at for at, place in enumerate(places) if place.id == before), 0)

        def paint(row: int, _width: int) -> Text:
            text = Text(safe.line(rows[row]))
            for at, place in enumerate(places):
                if place.row <= row < place.row + place.height:
                    state = states.get(place.id, "pending" if states else "")
                    style = f"{words.COLOURS.get(state, '')} {'reverse' if at == self._at else ''}".strip()
                    if style:
                        text.stylize(style, place.column, place.column + place.width)
            return text

        self.show([None] * len(rows), paint, wide=max(map(len, rows), default=0) + 1)

    def select(self, key: str | None) -> None:
        if not self._places:
            super().select(key)
        elif (at := next((at for at, place in enumerate(self._places) if place.id == key), None)) is not None:
            self._choose(at)

    def _step(self, direction: int) -> None:
        if self._places:
            self._choose(max(0, min(self._at + direction, len(self._places) - 1)))
        else:
            super()._step(direction)

    def _choose(self, at: int) -> None:
        if at == self._at:
            return
        self._at = at
        place = self._places[at]
        self.scroll_to_region(Region(place.column, place.row, place.width, place.height), animate=False)
        self.refresh()
        self.post_message(self.Moved(self, place.id))


def node_states(shown: Json) -> dict[str, str]:
    """By node; empty where the canvas is not lit by a run."""
    found = {id: node["state"] for id, node in shown.get("nodes", {}).items()}
    for path, inner in shown.get("insides", {}).items():
        found |= {f"{path}/{id}": node["state"] for id, node in inner.get("nodes", {}).items()}
    return found


def node_lines(shown: Json) -> dict[str, tuple[str, int]]:
    """File and line of each node."""
    found: dict[str, tuple[str, int]] = {}

    def collect(blocks: list[Json], file: str, under: str) -> None:
        for block in blocks:
            if block.get("id") and block.get("at"):
                found[f"{under}{block['id']}"] = (file, block["at"]["line"])
            for inner in ("blocks", "steps"):
                collect(block.get(inner) or [], file, under)
            for lanes in ("lanes", "handlers"):
                for lane in cast("list[Json]", block.get(lanes) or []):
                    collect(lane["blocks"], file, under)
            for lane in (block.get("no_break"), block.get("always")):
                if lane:
                    collect(lane["blocks"], file, under)

    collect(shown["blocks"], shown["file"], "")
    for path, inner in shown.get("insides", {}).items():
        collect(inner["blocks"], inner["file"], f"{path}/")
    return found

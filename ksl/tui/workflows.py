"""The project's workflows: each drawn beside its source, with one cursor for both."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widget import Widget

from ksl.tui import safe
from ksl.tui.acting import start_a_run
from ksl.tui.canvas_lines import CanvasLines, node_lines
from ksl.tui.client import Json, Lost, Refused, part
from ksl.tui.editor import edit
from ksl.tui.frame import NARROW, Framed, Line
from ksl.tui.lines import Lines
from ksl.tui.link import Change
from ksl.tui.workflow_lines import WorkflowRow, figures, painted, rows_of

REFRESH_S = 2.0  # while runs change, their figures are asked for this often at most


class WorkflowsScreen(Framed):
    tab = "workflows"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "new", "New run", id="workflows.new"),
        Binding("enter", "choose", "Canvas", id="workflows.canvas"),
        Binding("v", "boxes", "Boxes", id="workflows.boxes"),
        Binding("s", "source", "Source", id="workflows.source"),
        Binding("E", "edit", "Edit", id="workflows.edit"),
        Binding("y", "copy", "Copy the slug", show=False, id="workflows.copy"),
        Binding("o", "browse", "Open it in the browser", show=False, id="workflows.browse"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[WorkflowRow] = []
        self.canvas: Json | None = None
        self.source: list[str] = []
        self.nodes: dict[str, tuple[str, int]] = {}
        self._shown: str | None = None
        self._with_source = False  # in place of the canvas, where only one has room
        self._wake = asyncio.Event()

    def body(self) -> Iterator[Widget]:
        with Horizontal(id="workflows-body"):
            with Vertical(classes="pane", id="workflows-pane"):
                yield Lines(id="workflows")
            with Vertical(classes="pane", id="drawn-pane"):
                yield Line(id="description", classes="dim")
                yield Line(id="of-today")
                yield CanvasLines(id="drawn")
            with Vertical(classes="pane", id="source-pane"):
                yield Lines(id="source")

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one("#workflows").focus()
        self.run_worker(self._refreshing(), group="refreshing")

    def resized(self) -> None:
        super().resized()
        width = self.ksl.size.width
        self.set_class(width >= 170, "wide")
        has_figures = width >= 170 or 75 <= width < NARROW
        told = "workflows: steps, runs of 24 hours, failed" if has_figures else "workflows"
        self.query_one("#workflows-pane").border_title = told
        self._show_panes()
        if self.canvas is not None:
            self.call_after_refresh(self._draw)

    def _show_panes(self) -> None:
        width = self.ksl.size.width
        at_list = self.query_one("#workflows").has_focus
        roomy = width >= 110
        self.query_one("#workflows-pane").display = width >= 90 or at_list
        self.query_one("#drawn-pane").display = roomy or (
            not self._with_source and (width >= 90 or not at_list)
        )
        self.query_one("#source-pane").display = roomy or (self._with_source and (width >= 90 or not at_list))

    def on_descendant_focus(self) -> None:
        self._show_panes()

    @property
    def workflows(self) -> list[Json]:
        return [row.shown for row in self.rows if row.failure is None]

    @property
    def chosen(self) -> WorkflowRow | None:
        key = self.query_one("#workflows", Lines).key
        return next((row for row in self.rows if row.key == key), None)

    @property
    def slug(self) -> str | None:
        """Of the chosen workflow, where it loaded."""
        row = self.chosen
        return None if row is None or row.failure is not None else row.key

    async def load(self) -> None:
        await self._load_rows()
        self._shown = None
        await self._load_canvas(self.query_one("#workflows", Lines).key)

    async def _load_rows(self) -> None:
        assert self.client is not None
        self.rows = rows_of(await self.client.get("/workflows", figures="true"))
        lines = self.query_one("#workflows", Lines)
        if not self.rows:
            told = "No workflows yet: they belong in the folder workflows/."
            lines.show([None], lambda _place, _width: Text(told))
        else:
            lines.show([row.key for row in self.rows], partial(self._paint, self.rows))
        self._show_figures()

    def changes(self, changes: list[Change]) -> None:
        if not changes and not self.ksl.link.read_only:
            self.reload()  # a server that is back may have other code
        else:
            self._wake.set()

    async def _refreshing(self) -> None:
        """The figures, while runs come and end. What is drawn stays: code changes with the server alone."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self.client is not None:
                with suppress(
                    Lost, Refused
                ):  # the link notices, and everything is asked again when it is back
                    await self._load_rows()
            await asyncio.sleep(REFRESH_S)

    def _paint(self, rows: list[WorkflowRow], place: int, width: int) -> Text:
        return painted(rows[place], width, self.ksl.look)

    def _show_figures(self) -> None:
        row = self.chosen
        line = self.query_one("#of-today", Line)
        line.display = row is not None and row.failure is None
        if row is not None and row.failure is None:
            line.show(figures(row, self.ksl.look))

    @on(Lines.Moved, "#workflows")
    def _moved(self, event: Lines.Moved) -> None:
        self.run_worker(partial(self._canvas_of, event.key), group="canvas", exclusive=True)

    async def _canvas_of(self, slug: str | None) -> None:
        try:
            await self._load_canvas(slug)
        except Refused as refused:
            self.refused(refused)

    async def _load_canvas(self, slug: str | None) -> None:
        if slug is None or self.client is None or slug == self._shown:
            return
        row = self.chosen
        if row is not None and row.failure is not None:
            self._show_failure(row, row.failure)
            return
        at = f"/workflows/{part(slug)}"
        self.canvas = await self.client.get(f"{at}/canvas")
        self.nodes = node_lines(self.canvas)
        self.source = [*safe.lines(await self.client.text(f"{at}/source"))]
        self._shown = slug
        shown = next((each["description"] for each in self.workflows if each["slug"] == slug), "")
        self._describe(safe.line(shown or "", 300))
        self.query_one("#drawn-pane").border_title = safe.line(slug, 60)
        self._show_figures()
        self.query_one("#source-pane").border_title = safe.line(self.canvas["file"], 80).replace("[", "(")
        self._draw()

    def _describe(self, told: str) -> None:
        line = self.query_one("#description", Line)
        line.display = bool(told)
        line.show(told)

    def _show_failure(self, row: WorkflowRow, failure: Json) -> None:
        """The traceback in the place of the source, beside the canvas that was drawn last."""
        self._shown, self.canvas, self.nodes = row.key, None, {}
        self._show_figures()
        drawn, version = self.query_one("#drawn", CanvasLines), ""
        if row.drawn is not None:
            drawn.draw(row.drawn, self.ksl.look, faint=True)
            version = ": as it was drawn last"
        else:
            drawn.tell("No workflow of this module was run before, so there is no canvas of it.")
        self.query_one("#drawn-pane").border_title = safe.line(f"{row.name}{version}", 60).replace("[", "(")
        self._describe("It cannot be imported, and starts no runs.")
        self.query_one("#source-pane").border_title = safe.line(f"{failure['file']}:{failure['line']}", 80)
        told = [*safe.lines(failure["traceback"] or failure["error"])]
        wide = max(map(len, told), default=0) + 1
        self.query_one("#source", Lines).show(
            [str(place + 1) for place in range(len(told))], lambda place, _width: Text(told[place]), wide=wide
        )

    def _draw(self) -> None:
        if self.canvas is None:
            return
        self.query_one("#drawn", CanvasLines).draw(self.canvas, self.ksl.look)
        at = self.canvas["at"]
        lines = self.source

        def paint(place: int, _width: int) -> Text:
            inside = at["line"] <= place + 1 <= at["end_line"]
            return Text.assemble((f"{place + 1:>4}  ", "dim"), (lines[place], "" if inside else "dim"))

        wide = max(map(len, lines), default=0) + 7
        source = self.query_one("#source", Lines)
        source.show([str(place + 1) for place in range(len(lines))], paint, wide=wide)
        self._to_line(at["line"])

    def _to_line(self, line: int) -> None:
        source = self.query_one("#source", Lines)
        source.select(str(line))
        source.scroll_to(y=max(line - 1 - source.size.height // 3, 0), animate=False)

    @on(Lines.Moved, "#drawn")
    def _on_node(self, event: Lines.Moved) -> None:
        if self.query_one("#drawn").has_focus and event.key in self.nodes:
            self._to_line(self.nodes[event.key][1])

    @on(Lines.Moved, "#source")
    def _on_line(self, event: Lines.Moved) -> None:
        if self.query_one("#source").has_focus and event.key is not None:
            line = int(event.key)
            above = [(at, id) for id, (_, at) in self.nodes.items() if at <= line]
            if above:
                self.query_one("#drawn", Lines).select(max(above)[1])

    @on(Lines.Chosen, "#workflows")
    def _to_canvas(self) -> None:
        self._with_source = False
        self._to("drawn")

    def action_source(self) -> None:
        self._with_source = True
        self._to("source")

    def _to(self, pane: str) -> None:
        self.query_one(f"#{pane}-pane").display = True
        self.query_one(f"#{pane}").focus()

    def action_back(self) -> None:
        self.query_one("#workflows-pane").display = True
        self.query_one("#workflows").focus()

    def action_boxes(self) -> None:
        drawn = self.query_one("#drawn", CanvasLines)
        drawn.boxed = not drawn.boxed
        self._draw()
        if drawn.boxed and not drawn.fits:
            self.say("The boxes need a wider pane than this; the outline stays.")

    def action_new(self) -> None:
        if self.slug is not None:
            start_a_run(self, self.slug)
        elif self.chosen is not None:
            self.say("It cannot be imported, so it starts no runs.", wrong=True)

    def action_edit(self) -> None:
        if (row := self.chosen) is not None and row.failure is not None:
            edit(self, row.failure["file"], row.failure["line"])
        elif self.canvas is not None:
            key = self.query_one("#source", Lines).key
            edit(self, self.canvas["file"], int(key) if key else self.canvas["at"]["line"])

    def action_copy(self) -> None:
        if (row := self.chosen) is not None:
            self.copy(row.name)

    def action_browse(self) -> None:
        if self.slug is not None:
            self.ksl.browse(f"/ui/workflows/{part(self.slug)}")

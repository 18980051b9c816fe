"""One run: its canvas lit, its timeline, and what there is to know of the step that is chosen in either."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from textwrap import wrap
from typing import ClassVar

import msgspec
from rich.text import Text
from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widget import Widget

from ksl.tui import inspection, safe, timeline, words
from ksl.tui.acting import act_on_runs, fork_from, start_a_run
from ksl.tui.canvas_lines import CanvasLines, node_lines
from ksl.tui.client import Json, Lost, Refused, part
from ksl.tui.dialogs import View
from ksl.tui.editor import edit
from ksl.tui.frame import Framed, Line, TabLine
from ksl.tui.lines import Lines
from ksl.tui.link import Change
from ksl.views.drawings import drawn_from
from ksl.views.lights import node_path

REFRESH_S = 0.3
EVENTS_MAX = 20_000  # of a run's events; more are not drawn
PANES = ("canvas", "timeline", "inspect")


class RunScreen(Framed):
    tab = "run"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "pane(1)", "Pane", id="run.pane", priority=True),
        Binding("shift+tab", "pane(-1)", "Pane before", show=False, id="run.pane-before", priority=True),
        Binding("enter", "choose", "Inspect, then show whole", show=False, id="run.choose"),
        Binding(
            "left_square_bracket",
            "inspect(-1)",
            "Tab before",
            key_display="[",
            show=False,
            id="run.tab-before",
        ),
        Binding("right_square_bracket", "inspect(1)", "Next tab", key_display="]", id="run.tab"),
        Binding("v", "boxes", "Boxes", id="run.boxes"),
        Binding("z", "scale", "True scale", show=False, id="run.scale"),
        Binding("h", "hide", "Hide done", id="run.hide"),
        Binding("i", "itself", "The run itself, not a step", show=False, id="run.itself"),
        Binding("e", "error", "Error", id="run.error"),
        Binding("E", "edit", "Edit the line", show=False, id="run.edit"),
        Binding("d", "replay", "Replay", id="run.replay"),
        Binding("n", "position(1)", "Replay: next event", show=False, id="run.next"),
        Binding("p", "position(-1)", "Replay: event before", show=False, id="run.previous"),
        Binding("a", "answer", "Answer its hook", show=False, id="run.answer"),
        Binding("r", "rerun", "Run it again, as a new run", show=False, id="run.rerun"),
        Binding("R", "fork", "From here", id="run.fork"),
        Binding("t", "act('retry')", "Retry", show=False, id="run.retry"),
        Binding("c", "act('cancel')", "Cancel", show=False, id="run.cancel"),
        Binding("P", "act('pause')", "Pause", show=False, id="run.pause"),
        Binding("L", "act('release')", "Release", show=False, id="run.release"),
        Binding("w", "write", "Write the events to a file", show=False, id="run.write"),
        Binding("y", "copy", "Copy the run's id", show=False, id="run.copy"),
        Binding("o", "browse", "Open it in the browser", show=False, id="run.browse"),
    ]

    def __init__(self, run_id: str) -> None:
        super().__init__()
        self.run_id = run_id
        self.run_json: Json | None = None
        self.events: list[Json] = []
        self.canvas: Json | None = None
        self.rows: list[timeline.Row] = []
        self.selected = ""  # a step's id; empty for the run itself
        self.inspected = "error"
        self.hiding = False
        self.true_scale = False
        self.position: Json | None = None
        self.seen_at_ms: int | None = None
        self.gone = ""
        self._pane = "canvas"
        self._stale = asyncio.Event()
        self._chose_tab = False
        self._no_canvas = "loading"  # or why there is none

    def body(self) -> Iterator[Widget]:
        yield Line(id="heading", classes="heading")
        yield TabLine(id="panes")
        with Horizontal(id="run"):
            with Vertical(id="canvas-pane", classes="pane"):
                yield CanvasLines(id="canvas")
            with Vertical(id="right"):
                with Vertical(id="timeline-pane", classes="pane"):
                    yield Line(id="axis", classes="dim")
                    yield Lines(id="timeline")
                with Vertical(id="inspect-pane", classes="pane"):
                    yield TabLine(id="inspect-tabs")
                    yield Lines(id="inspect")

    def on_mount(self) -> None:
        super().on_mount()
        for name in PANES:
            self.query_one(f"#{name}-pane").border_title = name if name != "inspect" else ""
        self.query_one("#canvas", Lines).focus()
        self.run_worker(self._refreshing(), group="refreshing")

    def resized(self) -> None:
        super().resized()
        self._show_panes()
        if self.run_json is not None:
            self.call_after_refresh(self._show)

    # asking

    async def load(self) -> None:
        assert self.client is not None
        client, at = self.client, f"/runs/{part(self.run_id)}"
        try:
            run = await client.get(at, include="steps,trace")
            while len(self.events) < EVENTS_MAX:
                after = self.events[-1]["seq"] if self.events else 0
                page = await client.get(f"{at}/events", after=after)
                self.events += page["events"]
                if page["next_cursor"] is None:
                    break
        except Refused as refused:
            if refused.status == 404 and self.run_json is not None:
                self.gone = f"{self.run_id} was removed by retention; what is shown is what it was"
                self._show()
                return
            raise
        try:
            asked = f"/workflows/{part(run['workflow'])}/canvas"
            self.canvas = await client.get(asked, run=self.run_id, expand="true")
        except Refused as refused:
            self.canvas = None
            self._no_canvas = refused.detail
        first = self.run_json is None
        self.run_json, self.seen_at_ms = run, self.ksl.now_ms()
        if first and not self._chose_tab:
            self.inspected = (
                "error" if run["error"] else "output" if run["status"] == "succeeded" else "input"
            )
        self._show()

    def changes(self, changes: list[Change]) -> None:
        if not changes or any(change.run_id == self.run_id for change in changes):
            self._stale.set()

    async def _refreshing(self) -> None:
        while True:
            await self._stale.wait()
            self._stale.clear()
            await self._loading()
            await asyncio.sleep(REFRESH_S)

    def second(self) -> None:
        if self.run_json is not None and self.run_json["status"] not in words.ENDED:
            self._show_heading()
            if self.ksl.link.state == "live":
                self._show_timeline()

    # showing

    @property
    def now_ms(self) -> int:
        """Where the link is lost, time stands still: what is shown was so then."""
        return self.seen_at_ms or 0 if self.ksl.link.state == "lost" else self.ksl.now_ms()

    @property
    def step(self) -> Json | None:
        steps: list[Json] = (self.run_json or {}).get("steps", [])
        return next((each for each in steps if each["id"] == self.selected), None)

    def _show(self) -> None:
        self._show_heading()
        if self.run_json is None:
            return
        lines = self.query_one("#canvas", CanvasLines)
        pane = self.query_one("#canvas-pane")
        if self.canvas is not None:
            lines.draw(self.canvas, self.ksl.look)
            pane.border_subtitle = safe.line(drawn_from(self.canvas), 60).replace("[", "(")
        else:
            told = wrap(safe.line(self._no_canvas), max(lines.size.width - 1, 20))
            lines.show([None] * len(told), lambda place, _width: Text(told[place]))
        self._show_timeline()
        self._show_inspected()

    def _show_heading(self) -> None:
        run = self.run_json
        heading = self.query_one("#heading", Line)
        if run is None:
            heading.show(f" {self.run_id}  loading")
            return
        began, ended = words.moment(run["started_at"]), words.moment(run["finished_at"])
        lasted = "" if began is None else words.took((ended or self.now_ms) - began)
        text = Text.assemble(
            (f" {run['run_id']}", "bold"),
            f"  {safe.line(run['workflow'])}  ",
            (
                f"{self.ksl.look.states.get(run['status'], '?')} {run['status']}",
                words.COLOURS.get(run["status"], ""),
            ),
            f"  {lasted}",
            (f"   {run['trigger']}   version {str(run['code_version'] or 'unknown')[:8]}", "dim"),
        )
        if run.get("forked_from"):
            text.append(f"   from {run['forked_from']}", "dim")
        if self.ksl.link.state != "live" and self.seen_at_ms:
            text.append("   as of " + _clock(self.seen_at_ms), "yellow")
        if self.gone:
            text = Text(f" {self.gone}", "yellow")
        heading.show(text)

    def _show_timeline(self) -> None:
        assert self.run_json is not None
        lines = self.query_one("#timeline", Lines)
        rows = timeline.rows_of(self.events, self.run_json["steps"], self.now_ms)
        if self.hiding:
            rows = [row for row in rows if row.state != "succeeded" or row.tries > 1]
        self.rows = rows
        axis = self.query_one("#axis", Line)
        if not rows:
            told = "Everything that is recorded is done." if self.hiding else "No step is recorded yet."
            axis.show("")
            lines.show([None], lambda _place, _width: Text(told, "dim"))
            return
        width = max(lines.size.width - 1, 10)
        label = min(max(len(row.label) for row in rows) + 2, max(width * 2 // 5, 8))
        scale = timeline.Scale(rows, self.now_ms, max(width - label, 1), true=self.true_scale)
        axis.show(timeline.axis(scale, width, label))
        now_ms, look = self.now_ms, self.ksl.look

        def paint(place: int, _width: int) -> Text:
            return timeline.painted(rows[place], scale, now_ms, width, label, look)

        keys = [f"{row.key}@{place}" for place, row in enumerate(rows)]
        lines.show(keys, paint)

    def _show_inspected(self) -> None:
        assert self.run_json is not None
        step = self.step
        names = [(name, name.capitalize()) for name in inspection.TABS]
        self.query_one("#inspect-tabs", TabLine).tabs(names, self.inspected)
        self.query_one("#inspect-pane").border_title = safe.line(self._about(), 60).replace("[", "(")
        shown = [*self._inspected_lines(step)]
        lines = self.query_one("#inspect", Lines)
        wide = max((each.cell_len for each in shown), default=0) + 1
        lines.show([str(place) for place in range(len(shown))], lambda place, _width: shown[place], wide=wide)

    def _about(self) -> str:
        assert self.run_json is not None
        step = self.step
        if step is None:
            return "the run" if not self.selected else f"{self.selected}: not reached"
        same = [
            each["id"] for each in self.run_json["steps"] if node_path(each["id"]) == node_path(step["id"])
        ]
        which = f"  {same.index(step['id']) + 1} of {len(same)}" if len(same) > 1 else ""
        tries = f"  {step['attempts']} tries" if step["attempts"] > 1 else ""
        return f"{step['id']}  {step['status']}{tries}{which}"

    def _inspected_lines(self, step: Json | None) -> Iterator[Text]:
        run = self.run_json
        assert run is not None
        of: Json = step or (run if not self.selected else {})
        match self.inspected:
            case "error":
                yield from inspection.error_lines(of.get("error"), self.ksl.folder)
            case "input":
                yield from inspection.value_lines(of.get("input"), "No input.")
            case "output":
                yield from inspection.value_lines(of.get("output"), "No output yet.")
            case "attempts":
                yield from inspection.attempt_lines(self.events, self.selected, self.ksl.look)
            case "trace":
                yield from inspection.span_lines(run["trace"]["spans"], self.selected, self.ksl.look)
            case "events":
                for event in self.events:
                    if not self.selected or words.bare(event.get("step")) == self.selected:
                        yield inspection.event_line(event, 200)
            case _:
                if self.position is None:
                    yield Text("n and p step through the run's events, without doing anything again.", "dim")
                else:
                    yield from inspection.position_lines(self.position)

    def _show_panes(self) -> None:
        """Side by side where there is room, else one at a time."""
        narrow = self.has_class("narrow")
        panes = self.query_one("#panes", TabLine)
        panes.display = narrow
        panes.tabs([(name, name.capitalize()) for name in PANES], self._pane)
        for name in PANES:
            self.query_one(f"#{name}-pane").display = not narrow or name == self._pane
        self.query_one("#right").display = not narrow or self._pane != "canvas"

    # one selection for all panes

    @on(Lines.Moved, "#canvas")
    def _in_canvas(self, event: Lines.Moved) -> None:
        if not self.query_one("#canvas").has_focus or event.key is None or self.run_json is None:
            return
        ids = [each["id"] for each in self.run_json["steps"] if node_path(each["id"]) == event.key]
        self._select(ids[-1] if ids else event.key)

    @on(Lines.Moved, "#timeline")
    def _in_timeline(self, event: Lines.Moved) -> None:
        if self.query_one("#timeline").has_focus and event.key is not None:
            self._select(event.key.rpartition("@")[0])

    @on(Lines.Chosen)
    def _chosen(self, event: Lines.Chosen) -> None:
        if event.lines.id == "inspect":
            self._whole()
            return
        if event.lines.id == "canvas":
            self._in_canvas(event)
        self._focus("inspect")

    def _select(self, step: str) -> None:
        if step == self.selected:
            return
        self.selected = step
        self._point()
        self._show_inspected()

    def _point(self, *, all: bool = False) -> None:
        """The other panes follow; `all`: the one that the cursor is in, too."""
        if all or not self.query_one("#canvas").has_focus:
            self.query_one("#canvas", Lines).select(node_path(self.selected) or self.selected)
        lines = self.query_one("#timeline", Lines)
        if all or not lines.has_focus:
            lines.select(
                next((key for key in lines.keys if key and key.rpartition("@")[0] == self.selected), None)
            )

    def _focus(self, pane: str) -> None:
        self._pane = pane
        self._show_panes()
        self.query_one(f"#{pane}").focus()
        self.call_after_refresh(self._show)

    # what a person asks for

    def action_itself(self) -> None:
        self.selected = ""
        if self.run_json is not None:
            self._show_inspected()

    def action_pane(self, direction: int) -> None:
        self._focus(PANES[(PANES.index(self._pane) + direction) % len(PANES)])

    def tab_chosen(self, line: TabLine, name: str) -> None:
        if line.id == "panes":
            self._focus(name)
        elif line.id == "inspect-tabs":
            self._inspect(name)
        else:
            super().tab_chosen(line, name)

    def _inspect(self, name: str) -> None:
        self.inspected, self._chose_tab = name, True
        if self.has_class("narrow") and self._pane != "inspect":
            self._focus("inspect")
        if name == "replay" and self.position is None:
            self.run_worker(partial(self._go_to, None), group="position", exclusive=True)
        if self.run_json is not None:
            self._show_inspected()

    def action_inspect(self, direction: int) -> None:
        tabs = inspection.TABS
        self._inspect(tabs[(tabs.index(self.inspected) + direction) % len(tabs)])

    def action_replay(self) -> None:
        self._inspect("replay")

    def action_position(self, direction: int) -> None:
        if self.inspected != "replay":
            self._inspect("replay")
        elif self.position is not None:
            first, last = self.position["first_seq"], self.position["last_seq"]
            wanted = max(first, min(self.position["seq"] + direction, last))
            if wanted != self.position["seq"]:
                self.run_worker(partial(self._go_to, wanted), group="position", exclusive=True)

    async def _go_to(self, seq: int | None) -> None:
        if self.client is None:
            return
        try:
            self.position = await self.client.get(f"/runs/{part(self.run_id)}/position", seq=seq)
        except (Lost, Refused) as error:
            self.say(str(error), wrong=True)
            return
        step = words.bare(self.position["event"].get("step"))
        if step:
            self.selected = step
            self._point(all=True)
        self._show_inspected()

    def action_boxes(self) -> None:
        lines = self.query_one("#canvas", CanvasLines)
        lines.boxed = not lines.boxed
        if self.canvas is not None:
            lines.draw(self.canvas, self.ksl.look)
            if lines.boxed and not lines.fits:
                self.say("The boxes need a wider pane than this; the outline stays.")

    def action_scale(self) -> None:
        self.true_scale = not self.true_scale
        if self.run_json is not None:
            self._show_timeline()

    def action_hide(self) -> None:
        self.hiding = not self.hiding
        if self.run_json is not None:
            self._show_timeline()

    def action_error(self) -> None:
        """To the first failure that nothing handled; to the run's own where no step has one."""
        if self.run_json is None:
            return
        error: Json = self.run_json["error"] or {}
        known = words.bare(error.get("step"))
        failed = [each["id"] for each in self.run_json["steps"] if each["status"] == "failed"]
        self.selected = known if known in failed else failed[0] if failed else ""
        self._point(all=True)
        self._inspect("error")

    def _whole(self) -> None:
        run = self.run_json
        if run is None:
            return
        of: Json = self.step or (run if not self.selected else {})
        values: dict[str, object] = {
            "attempts": None,
            "trace": run["trace"],
            "events": self.events,
            "replay": self.position,
        }
        name = self.inspected
        value = of.get(name) if name in ("error", "input", "output") else values.get(name)
        if name == "events" and self.selected:
            value = [each for each in self.events if words.bare(each.get("step")) == self.selected]
        if value is not None:
            self.ksl.push_screen(View(f"{name.capitalize()} of {self._about()}", value))

    def action_edit(self) -> None:
        place = inspection.place_of((self.step or {}).get("error")) if self.inspected == "error" else None
        if place is None and self.canvas is not None:
            nodes = node_lines(self.canvas)
            place = (
                nodes.get(node_path(self.selected))
                or nodes.get(self.selected)
                or (self.canvas["file"], self.canvas["at"]["line"])
            )
        if place is not None:
            edit(self, *place)

    def action_answer(self) -> None:
        self.ksl.answer(self.run_id)

    def action_rerun(self) -> None:
        if self.run_json is not None:
            start_a_run(self, self.run_json["workflow"], given=self.run_json["input"])

    def action_fork(self) -> None:
        if self.step is None or self.run_json is None:
            self.say("Choose the step that is to run again.")
            return
        steps: list[str] = [each["id"] for each in self.run_json["steps"]]
        fork_from(self, self.run_id, self.selected, steps[steps.index(self.selected) :])

    def action_act(self, verb: str) -> None:
        if self.run_json is not None:
            act_on_runs(self, verb, [(self.run_id, self.run_json["workflow"])])

    def action_write(self) -> None:
        target = Path(f"{self.run_id}-events.json")
        try:
            target.write_bytes(msgspec.json.format(msgspec.json.encode(self.events), indent=2))
        except OSError as error:
            self.say(f"{target} was not written: {error}", wrong=True)
            return
        self.say(f"{words.count(len(self.events), 'event')} written to {target.resolve()}")

    def action_copy(self) -> None:
        self.copy(self.run_id)

    def action_browse(self) -> None:
        self.ksl.browse(f"/ui/runs/{part(self.run_id)}")


def _clock(at_ms: int) -> str:
    import datetime as dt

    return dt.datetime.fromtimestamp(at_ms / 1000, dt.UTC).strftime("%H:%M:%S")

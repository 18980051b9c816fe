"""One run: its canvas lit, its timeline, and what there is to know of the step that is chosen in either."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widget import Widget

from ksl.tui import run_heading, safe, words
from ksl.tui.acting import act_on_runs, fork_from, start_a_run, wake_sleep, write_events
from ksl.tui.canvas_lines import CanvasLines, node_lines, node_states
from ksl.tui.client import Json, Lost, Refused, part
from ksl.tui.dialogs import View
from ksl.tui.editor import edit
from ksl.tui.error_lines import place_of
from ksl.tui.frame import Framed, Line, TabLine
from ksl.tui.inspector import TABS, Inspected, Inspector
from ksl.tui.lines import Lines
from ksl.tui.link import Change
from ksl.tui.run_known import Known
from ksl.tui.session import SessionScreen
from ksl.tui.timeline_pane import TimelinePane, step_of
from ksl.views.drawings import drawn_from
from ksl.views.forking import run_again
from ksl.views.lights import node_path

REFRESH_S = 0.3
PANES = ("canvas", "timeline", "inspect")
_SKELETON = (0.5, 0.3, 0.6, 0.4)  # how wide the lines are that stand there until the first answer


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
        Binding(
            "slash", "search", "Search, or filter the events", key_display="/", show=False, id="run.search"
        ),
        Binding("e", "error", "Error", id="run.error"),
        Binding("E", "edit", "Edit the line", show=False, id="run.edit"),
        Binding("d", "replay", "Replay", id="run.replay"),
        Binding("n", "position(1)", "Replay: next event", show=False, id="run.next"),
        Binding("p", "position(-1)", "Replay: event before", show=False, id="run.previous"),
        Binding("a", "answer", "Answer its hook", show=False, id="run.answer"),
        Binding("m", "session", "The session of its agent", show=False, id="run.session"),
        Binding("r", "rerun", "Run it again, as a new run", show=False, id="run.rerun"),
        Binding("R", "fork", "From here", id="run.fork"),
        Binding("t", "act('retry')", "Retry", show=False, id="run.retry"),
        Binding("c", "act('cancel')", "Cancel", show=False, id="run.cancel"),
        Binding("P", "act('pause')", "Pause", show=False, id="run.pause"),
        Binding("W", "wake", "Wake its sleep", show=False, id="run.wake"),
        Binding("L", "act('release')", "Release", show=False, id="run.release"),
        Binding("w", "write", "Write the events to a file", show=False, id="run.write"),
        Binding("y", "copy", "Copy the run's id", show=False, id="run.copy"),
        Binding("o", "browse", "Open it in the browser", show=False, id="run.browse"),
    ]

    def __init__(self, run_id: str) -> None:
        super().__init__()
        self.run_id = run_id
        self.known = Known(run_id)
        self.selected = ""  # a step's id, or that of a node; empty for the run itself
        self._pane = "canvas"
        self._stale = asyncio.Event()
        self._chose_tab = False

    def body(self) -> Iterator[Widget]:
        yield Line(id="heading", classes="heading")
        yield Line(id="waits", classes="heading")
        yield TabLine(id="panes")
        with Horizontal(id="run"):
            with Vertical(id="canvas-pane", classes="pane"):
                yield CanvasLines(id="canvas")
            with Vertical(id="right"):
                yield TimelinePane()
                yield Inspector(self.ksl.look, self.ksl.folder)

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one("#canvas-pane").border_title = "canvas"
        self.query_one("#canvas", Lines).focus()
        self.run_worker(self._refreshing(), group="refreshing")
        self._show()

    def resized(self) -> None:
        super().resized()
        self._show_panes()
        self.call_after_refresh(self._show)

    @property
    def run_json(self) -> Json | None:
        return self.known.run

    @property
    def timeline(self) -> TimelinePane:
        return self.query_one(TimelinePane)

    @property
    def inspector(self) -> Inspector:
        return self.query_one(Inspector)

    # asking

    async def load(self) -> None:
        assert self.client is not None
        first = self.known.run is None
        await self.known.ask(self.client, self.ksl.now_ms())
        if (run := self.known.run) is not None and first and not self._chose_tab:
            self.inspector.tab = (
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
        if self.known.run is not None and self.known.run["status"] not in words.ENDED:
            self._show_heading()
            if self.ksl.link.state == "live":
                self._show_timeline()

    # showing

    @property
    def now_ms(self) -> int:
        """Where nobody tells what happens, time stands still: what is shown was so then."""
        return self.ksl.now_ms() if self.ksl.link.state == "live" else self.known.at_ms or self.ksl.now_ms()

    @property
    def step(self) -> Json | None:
        return None if self.known.run is None else self._inspected(self.known.run).step

    def _show(self) -> None:
        self._show_heading()
        known = self.known
        lines = self.query_one("#canvas", CanvasLines)
        if known.canvas is not None:
            lines.draw(known.canvas, self.ksl.look)
            subtitle = safe.line(drawn_from(known.canvas), 60).replace("[", "(")
            self.query_one("#canvas-pane").border_subtitle = subtitle
        elif known.run is None and not known.gone:
            lines.show([None] * len(_SKELETON), self._skeleton)
        else:
            lines.tell(known.no_canvas)
        self._show_timeline()
        self._show_inspected()

    def _skeleton(self, place: int, width: int) -> Text:
        return Text(self.ksl.look.idle * int(width * _SKELETON[place]), "bright_black")

    def _show_heading(self) -> None:
        known, look = self.known, self.ksl.look
        run, told = known.run, Text()
        if known.gone:
            text = Text(f" {known.gone}", "yellow")
        elif run is None:
            text = Text(f" {self.run_id}  loading")
        else:
            still = known.at_ms if self.ksl.link.state != "live" else None
            text = run_heading.heading(run, look, now_ms=self.now_ms, still_at_ms=still)
            if run["status"] not in words.ENDED:
                told = run_heading.waits(run, look, now_ms=self.now_ms)
        self.query_one("#heading", Line).show(text)
        waits = self.query_one("#waits", Line)
        waits.display = bool(told.plain)
        waits.show(told)

    def _show_timeline(self) -> None:
        if (run := self.known.run) is not None:
            self.timeline.show(run["steps"], run["trace"]["spans"], self.ksl.look, now_ms=self.now_ms)

    def _show_inspected(self) -> None:
        if self.known.run is not None:
            self.inspector.show(self._inspected(self.known.run))

    def _inspected(self, run: Json) -> Inspected:
        return Inspected(run, self.known.events, self.selected)

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
        if not self.query_one("#canvas").has_focus or event.key is None or self.known.run is None:
            return
        ids = [each["id"] for each in self.known.run["steps"] if node_path(each["id"]) == event.key]
        self._select(ids[-1] if ids else event.key)

    @on(Lines.Moved, "#timeline")
    def _in_timeline(self, event: Lines.Moved) -> None:
        if self.query_one("#timeline").has_focus and event.key is not None:
            self._select(step_of(event.key))

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
        if all or not self.timeline.lines.has_focus:
            self.timeline.select(self.selected)

    def _focus(self, pane: str) -> None:
        self._pane = pane
        self._show_panes()
        self.query_one(f"#{pane}").focus()
        self.call_after_refresh(self._show)

    # what a person asks for

    def action_back(self) -> None:
        if self.inspector.filter.has_focus:
            self.inspector.filter.value = ""
            self.inspector.leave_filter()
        else:
            super().action_back()

    def action_itself(self) -> None:
        self.selected = ""
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
        self.inspector.tab, self._chose_tab = name, True
        if self.has_class("narrow") and self._pane != "inspect":
            self._focus("inspect")
        if name == "replay" and self.inspector.position is None:
            self.run_worker(partial(self._go_to, None), group="position", exclusive=True)
        self._show_inspected()

    def action_inspect(self, direction: int) -> None:
        self._inspect(TABS[(TABS.index(self.inspector.tab) + direction) % len(TABS)])

    def action_search(self) -> None:
        if self.known.run is not None and self.inspector.tab == "events":
            self._focus("inspect")
            self.inspector.search()
        else:
            self._whole(searching=True)

    def action_replay(self) -> None:
        self._inspect("replay")

    def action_position(self, direction: int) -> None:
        position = self.inspector.position
        if self.inspector.tab != "replay":
            self._inspect("replay")
        elif position is not None:
            first, last = position["first_seq"], position["last_seq"]
            wanted = max(first, min(position["seq"] + direction, last))
            if wanted != position["seq"]:
                self.run_worker(partial(self._go_to, wanted), group="position", exclusive=True)

    async def _go_to(self, seq: int | None) -> None:
        if self.client is None:
            return
        try:
            position = await self.client.get(f"/runs/{part(self.run_id)}/position", seq=seq)
        except (Lost, Refused) as error:
            self.say(str(error), wrong=True)
            return
        self.inspector.position = position
        step = words.bare(position["event"].get("step"))
        if step:
            self.selected = step
            self._point(all=True)
        self._show_inspected()

    def action_boxes(self) -> None:
        lines = self.query_one("#canvas", CanvasLines)
        lines.boxed = not lines.boxed
        if self.known.canvas is not None:
            lines.draw(self.known.canvas, self.ksl.look)
            if lines.boxed and not lines.fits:
                self.say("The boxes need a wider pane than this; the outline stays.")

    def action_scale(self) -> None:
        self.timeline.true_scale = not self.timeline.true_scale
        self._show_timeline()

    def action_hide(self) -> None:
        self.timeline.hiding = not self.timeline.hiding
        self._show_timeline()

    def action_error(self) -> None:
        """To the first failure that nothing handled; to the run's own where no step has one."""
        if self.known.run is None:
            return
        error: Json = self.known.run["error"] or {}
        known = words.bare(error.get("step"))
        states = node_states(self.known.canvas or {})
        failed = [each["id"] for each in self.known.run["steps"] if each["status"] == "failed"]
        unhandled = [id for id in failed if states.get(node_path(id)) != "caught"]
        self.selected = known if known in failed else next(iter(unhandled or failed), "")
        self._point(all=True)
        self._inspect("error")

    def _whole(self, *, searching: bool = False) -> None:
        if self.known.run is not None and (shown := self.inspector.whole()) is not None:
            self.ksl.push_screen(View(*shown, searching=searching))

    def action_edit(self) -> None:
        error = (self.step or {}).get("error") if self.inspector.tab == "error" else None
        place = place_of(error, self.ksl.folder)
        if place is None and self.known.canvas is not None:
            nodes = node_lines(self.known.canvas)
            place = (
                nodes.get(node_path(self.selected))
                or nodes.get(self.selected)
                or (self.known.canvas["file"], self.known.canvas["at"]["line"])
            )
        if place is not None:
            edit(self, *place)

    def action_answer(self) -> None:
        self.ksl.answer(self.run_id)

    def action_session(self) -> None:
        """Of the chosen step, or of the run's first agent."""
        run = self.run_json
        steps: list[Json] = run["steps"] if run else []
        chosen = [step for step in steps if step["id"] == self.selected] or steps
        session = next((step["session_id"] for step in chosen if step["session_id"]), None)
        if session is None:
            self.say("No agent is at work here.")
        else:
            self.ksl.push_screen(SessionScreen(session))

    def action_rerun(self) -> None:
        if self.known.run is not None:
            run = self.known.run
            start_a_run(self, run["workflow"], given=run["input"], again=self.run_id)

    def action_fork(self) -> None:
        if self.step is None:
            self.say("Choose the step that is to run again.")
        elif not (again := run_again(self.known.events, self.selected)):
            self.say(f"Nothing is recorded of {self.selected} yet, so there is nothing to run again.")
        else:
            fork_from(self, self.run_id, self.selected, again)

    def action_act(self, verb: str) -> None:
        if self.known.run is not None:
            act_on_runs(self, verb, [(self.run_id, self.known.run["workflow"])])

    def action_wake(self) -> None:
        if self.known.run is not None:
            wake_sleep(self, self.known.run, self.selected)

    def action_write(self) -> None:
        write_events(self, self.run_id, self.known.events)

    def action_copy(self) -> None:
        self.copy(self.run_id)

    def action_browse(self) -> None:
        self.ksl.browse(f"/ui/runs/{part(self.run_id)}")

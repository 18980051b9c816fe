"""One conversation of an agent: what was said, what tools did, what it used; live, word by word, while it goes on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.binding import Binding, BindingType
from textual.widget import Widget

from ksl.tui import safe, words
from ksl.tui.client import Json, Refused, part
from ksl.tui.dialogs import View
from ksl.tui.frame import Framed, Line
from ksl.tui.lines import Lines
from ksl.tui.link import Change
from ksl.tui.prompting import prompt
from ksl.tui.transcript_lines import Heard, Row, rows_of
from ksl.views.agent_steps import used


class SessionScreen(Framed):
    tab = "sessions"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "Unfold", id="session.unfold"),
        Binding("p", "prompt", "Prompt in it", id="session.prompt"),
        Binding("r", "run", "Its run", id="session.run"),
        Binding("v", "view", "Whole", id="session.view"),
        Binding("f", "follow", "Follow", id="session.follow"),
        Binding("y", "copy", "Copy id", id="session.copy"),
        Binding("a", "answer", "Answer what it waits for", show=False, id="session.answer"),
        Binding("o", "browse", "Open it in the browser", show=False, id="session.browse"),
    ]

    def __init__(self, session_id: str, run_id: str | None = None) -> None:
        """`run_id`: of a prompt that may not have begun yet."""
        super().__init__()
        self.session_id = session_id
        self.run_id = run_id
        self.session: Json | None = None
        self.following = True
        self._unfolded: set[str] = set()
        self._heard: list[Heard] = []
        self._rows: list[Row] = []
        self._missing = ""

    def body(self) -> Iterator[Widget]:
        yield Line(id="heading", classes="heading")
        yield Lines(id="transcript")

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one(Lines).focus()
        self._show()

    def resized(self) -> None:
        super().resized()
        if self.session is not None:
            self.call_after_refresh(self._show)

    # asking

    async def load(self) -> None:
        assert self.client is not None
        try:
            self.session = await self.client.get(f"/sessions/{part(self.session_id)}")
            self._missing = ""
        except Refused as refused:
            if refused.status != 404:
                raise
            self._missing = await self._why_missing()
        self._listen()
        self._show()

    async def _why_missing(self) -> str:
        """A session is there when the first step of its run is recorded; and it goes when its last run is deleted."""
        assert self.client is not None
        if self.session is None and self.run_id is not None:
            run = await self.client.get(f"/runs/{part(self.run_id)}")
            if run["status"] not in words.ENDED:
                return f"The prompt is stored, and its run is {run['status']}."
            return f"Run {self.run_id} {run['status']} before the session began: r shows it."
        self.session = None
        return f"{self.session_id} was removed by retention, with its runs."

    def changes(self, changes: list[Change]) -> None:
        known = {each["run_id"] for each in self.session["prompts"]} if self.session else {self.run_id}
        if not changes or any(
            change.run_id in known or "/session#" in (change.step or "") for change in changes
        ):
            self.reload()

    def heard(self) -> None:
        """Models have said something."""
        before = self._heard
        self._listen()
        # What was said stays until the turn is here as it was recorded.
        spoken = {each.turn for each in self._heard}
        self._heard += [each for each in before if each.turn not in spoken]
        if before != self._heard:
            self._show()

    def _listen(self) -> None:
        self._heard = [
            Heard((turn.run_id, turn.step), turn.text, turn.attempt)
            for turn in self.ksl.link.spoken.of_session(self.session_id)
        ]

    # showing

    def _show(self) -> None:
        heading, lines = self.query_one("#heading", Line), self.query_one(Lines)
        if self.session is None:
            heading.show(Text(f" {safe.line(self.session_id, 60)}", "bold"))
            told = ["", f"  {self._missing}"] if self._missing else [""]
            lines.show([None] * len(told), lambda place, width: Text(safe.line(told[place], width)))
            return
        heading.show(self._heading(self.session))
        place = lines.place
        self._rows = rows_of(
            self.session, self._heard, self._unfolded, max(self.ksl.size.width - 2, 20), self.ksl.look
        )
        lines.show([row.key for row in self._rows], lambda at, _width: self._rows[at].text)
        if self.following:
            lines.action_last()
        elif lines.place != place and lines.key is None:
            lines.select(self._rows[min(place, len(self._rows) - 1)].key)

    def _heading(self, session: Json) -> Text:
        status = words.of_session(session["status"])
        sign = self.ksl.look.states.get(status, "?")
        is_live = self.following and session["status"] == "running"
        return Text.assemble(
            (f" {sign} ", words.COLOURS.get(status, "")),
            (safe.line(session["agent"], 40), "bold"),
            f"  {session['status']}{', following' if is_live else ''}  ",
            (f"{used(session['usage'])}  {session['session_id']}", "dim"),
        )

    @on(Lines.Moved, "#transcript")
    def _moved(self) -> None:
        lines = self.query_one(Lines)
        self.following = lines.place >= len(self._rows) - 1

    @on(Lines.Chosen, "#transcript")
    def _unfold(self, event: Lines.Chosen) -> None:
        row = self._row
        if row is not None and row.folds:
            self._unfolded ^= {row.folds}
            self.following = False
            self._show()
        elif row is not None:
            self.action_view()

    @property
    def _row(self) -> Row | None:
        place = self.query_one(Lines).place
        return self._rows[place] if place < len(self._rows) else None

    # what a person asks for

    def action_prompt(self) -> None:
        if self.session is not None:
            prompt(self, self.session["agent"], self.session_id, opened=self._prompted)

    def _prompted(self, _session_id: str, run_id: str) -> None:
        self.run_id = run_id
        self.following = True
        self.reload()

    def action_view(self) -> None:
        """The whole of what the line is about: long texts are cut here."""
        if (row := self._row) is not None and row.whole is not None:
            self.ksl.push_screen(View(row.title, row.whole))

    def action_follow(self) -> None:
        self.following = True
        self._show()

    def action_run(self) -> None:
        run_id = row.run_id if (row := self._row) is not None and row.run_id else self.run_id
        if run_id is None and self.session is not None:
            run_id = self.session["prompts"][-1]["run_id"]
        if run_id is not None:
            self.ksl.open_run(run_id)

    def action_answer(self) -> None:
        if self.session is not None and self.session["status"] == "waiting":
            self.ksl.answer(self.session["prompts"][-1]["run_id"])
        else:
            self.say("It waits for nobody's answer.")

    def action_copy(self) -> None:
        self.copy(self.session_id)

    def action_browse(self) -> None:
        self.ksl.browse(f"/ui/sessions/{part(self.session_id)}")

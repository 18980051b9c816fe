"""Conversations of agents, those with the newest prompts first."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.binding import Binding, BindingType
from textual.widget import Widget

from ksl.tui import safe, words
from ksl.tui.client import Json, Lost, Refused
from ksl.tui.frame import Framed, Line
from ksl.tui.lines import Lines
from ksl.tui.link import Change
from ksl.tui.prompting import prompt
from ksl.tui.session import SessionScreen
from ksl.views.agent_steps import price

PAGE = 200
AHEAD = 40  # the next page is asked for when the cursor is so near to the end
# Name, cells, and from which width on there is room for it.
COLUMNS = (
    ("agent", 18, 0),
    ("state", 10, 60),
    ("turns", 7, 70),
    ("tokens", 9, 70),
    ("cost", 10, 100),
    ("prompts", 8, 130),
    ("started", 9, 120),
    ("prompted", 10, 0),
    ("run", 26, 130),
    ("session", 26, 0),
)


class SessionsScreen(Framed):
    tab = "sessions"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "Open", id="sessions.open"),
        Binding("n", "new", "New prompt", id="sessions.new"),
        Binding("p", "prompt", "Prompt in it", id="sessions.prompt"),
        Binding("r", "run", "Its run", id="sessions.run"),
        Binding("y", "copy", "Copy id", id="sessions.copy"),
        Binding("o", "browse", "Open it in the browser", show=False, id="sessions.browse"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.sessions: list[Json] = []
        self.loaded = False
        self.agents: list[str] = []
        self._cursor: str | None = None
        self._is_stale = False
        self._more = False

    def body(self) -> Iterator[Widget]:
        yield Line(id="heading", classes="heading")
        yield Lines(id="sessions")

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one(Lines).focus()

    def resized(self) -> None:
        super().resized()
        if self.loaded:
            self._show()

    @property
    def chosen(self) -> Json | None:
        key = self.query_one(Lines).key
        return next((each for each in self.sessions if each["session_id"] == key), None)

    # asking

    async def load(self) -> None:
        assert self.client is not None
        found: list[Json] = []
        cursor: str | None = None
        while True:
            page = await self.client.get("/sessions", limit=PAGE, cursor=cursor)
            found += page["sessions"]
            cursor = page["next_cursor"]
            if cursor is None or len(found) >= len(self.sessions):
                break
        if not found:
            self.agents = [each["slug"] for each in (await self.client.get("/agents"))["agents"]]
        self.sessions, self._cursor, self.loaded = found, cursor, True
        self._show()

    def changes(self, changes: list[Change]) -> None:
        if not changes:
            self.reload()
        elif any("/" in (change.step or "") or change.type.startswith("run_") for change in changes):
            self._is_stale = True  # for the next second: a busy server changes them all the time

    def second(self) -> None:
        if self._is_stale:
            self._is_stale = False
            self.reload()
        else:
            self.query_one(Lines).refresh()

    @on(Lines.Moved, "#sessions")
    def _ahead(self) -> None:
        lines = self.query_one(Lines)
        if self._cursor is not None and not self._more and lines.place + AHEAD >= len(self.sessions):
            self._more = True
            self.run_worker(self._load_more, group="more")

    async def _load_more(self) -> None:
        try:
            if self.client is not None and self._cursor is not None:
                page = await self.client.get("/sessions", limit=PAGE, cursor=self._cursor)
                known = {each["session_id"] for each in self.sessions}
                self.sessions += [each for each in page["sessions"] if each["session_id"] not in known]
                self._cursor = page["next_cursor"]
                self._show()
        except (Lost, Refused):
            pass  # the cursor's next move asks again
        finally:
            self._more = False

    # showing

    def _show(self) -> None:
        width = self.ksl.size.width
        heading = "".join(name.ljust(cells) for name, cells, least in COLUMNS if width >= least).rstrip()
        self.query_one("#heading", Line).show(Text(f"   {heading}" if self.sessions else "", "bold dim"))
        lines = self.query_one(Lines)
        if self.sessions:
            keys = [each["session_id"] for each in self.sessions]
            lines.show(keys, partial(self._paint, self.sessions))
            return
        told = self._none()
        lines.show([None] * len(told), lambda place, room: Text(safe.line(told[place], room)))

    def _none(self) -> list[str]:
        if not self.agents:
            return ["", "  No sessions yet, and no agents: they belong in the folder agents/."]
        command = f"ksl agents prompt {self.agents[0]} --message '...'"
        return ["", "  No sessions yet. Press n to prompt an agent, or:", "", f"  {command}"]

    def _paint(self, sessions: list[Json], place: int, width: int) -> Text:
        session, now_ms, use = sessions[place], self.ksl.now_ms(), sessions[place]["usage"]
        status = words.of_session(session["status"])
        shown = {
            "agent": session["agent"],
            "state": session["status"],
            "turns": f"{use['turns']:,}",
            "tokens": f"{use['input_tokens'] + use['output_tokens']:,}",
            "cost": "" if use["usd"] is None else price(use["usd"]),
            "prompts": f"{session['prompts']:,}",
            "started": words.ago(words.moment(session["started_at"]), now_ms).removesuffix(" ago"),
            "prompted": words.ago(words.moment(session["prompted_at"]), now_ms),
            "run": session["run_id"],
            "session": session["session_id"],
        }
        text = Text(f" {self.ksl.look.states.get(status, '?')[:4]} ", words.COLOURS.get(status, ""))
        for name, cells, least in COLUMNS:
            if self.ksl.size.width >= least:
                dim = "dim" if name in ("prompts", "started", "run", "session") else ""
                text.append(safe.padded(safe.line(shown[name], cells - 1), cells), dim)
        return text

    # what a person asks for

    @on(Lines.Chosen, "#sessions")
    def _opened(self, event: Lines.Chosen) -> None:
        if event.key is not None:
            self.ksl.push_screen(SessionScreen(event.key))

    def action_new(self) -> None:
        prompt(self, opened=self._to)

    def action_prompt(self) -> None:
        if (session := self.chosen) is not None:
            prompt(self, session["agent"], session["session_id"], opened=self._to)

    def _to(self, session_id: str, run_id: str) -> None:
        self.ksl.push_screen(SessionScreen(session_id, run_id))

    def action_run(self) -> None:
        if (session := self.chosen) is not None:
            self.ksl.open_run(session["run_id"])

    def action_copy(self) -> None:
        if (session := self.chosen) is not None:
            self.copy(session["session_id"])

    def action_browse(self) -> None:
        if (session := self.chosen) is not None:
            self.ksl.browse(f"/ui/sessions/{session['session_id']}")

"""Where the filter of runs is typed: it completes words, underlines what is wrong, and tells what is meant."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import ClassVar

from rich.highlighter import Highlighter
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.suggester import Suggester
from textual.widgets import Input

from ksl.errors import BadRequest
from ksl.tui import safe
from ksl.tui.frame import Line
from ksl.views.run_query import KEYS, STATES, TRIGGERS, BadQuery, run_query

DEBOUNCE_S = 0.15
_PLACEHOLDER = 'filter, like state:failed since:1d took:>5s "o-118"'


class Words(Suggester):
    """Completes the word at the end of the filter: a key, a state, a workflow's slug."""

    def __init__(self) -> None:
        super().__init__(use_cache=False)
        self.slugs: list[str] = []

    async def get_suggestion(self, value: str) -> str | None:
        head, _, last = value.rpartition(" ")
        before = f"{head} " if head else ""
        key, colon, begun = last.lstrip("-").partition(":")
        minus = "-" if last.startswith("-") else ""
        if not key:
            return None
        if not colon:
            return next((f"{before}{minus}{known}:" for known in KEYS if known.startswith(key)), None)
        done, comma, begun = begun.rpartition(",")
        options = {"state": STATES, "trigger": TRIGGERS, "workflow": self.slugs}.get(key, [])
        found = next((each for each in options if begun and each.startswith(begun)), None)
        return f"{before}{minus}{key}:{done}{comma}{found}" if found else None


class _Wrong(Highlighter):
    span: tuple[int, int] | None = None

    def highlight(self, text: Text) -> None:
        if self.span is not None:
            text.stylize("underline red", *self.span)


class _Typed(Input):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "complete", "Take the completion", show=False, id="filter.complete"),
    ]

    def action_complete(self) -> None:
        if self.cursor_at_end and self.value:
            self.action_cursor_right()
        else:
            self.screen.focus_next()


class FilterBox(Vertical):
    """Hidden until it is opened, and while it is left empty. `now_ms` reads the words about time."""

    class Meant(Message):
        """What was typed can be read, and is another than before."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Left(Message):
        """The typing is done."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        super().__init__(id="filter")
        self._now_ms = now_ms
        self._words = Words()
        self._mark = _Wrong()
        self._meant = ""

    def compose(self) -> ComposeResult:
        yield _Typed(
            placeholder=_PLACEHOLDER,
            suggester=self._words,
            highlighter=self._mark,
            id="query",
            compact=True,
            select_on_focus=False,
        )
        yield Line(id="wrong", classes="wrong")

    def on_mount(self) -> None:
        self.display = False
        self.wrong("")

    @property
    def typed(self) -> Input:
        return self.query_one("#query", Input)

    def know(self, slugs: list[str]) -> None:
        self._words.slugs = slugs

    def open(self) -> None:
        self.display = True
        self.typed.focus()

    def put(self, text: str) -> None:
        """As if it had been typed, but at once."""
        self._meant = text
        with self.prevent(Input.Changed):
            self.typed.value = text
        self.wrong("")
        self.display = bool(text)

    def wrong(self, text: str, at: tuple[int, int] | None = None) -> None:
        self._mark.span = at
        self.typed.refresh()
        line = self.query_one("#wrong", Line)
        line.display = bool(text)
        line.show(safe.line(text, 300))

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        text = event.value.strip()
        try:
            run_query(event.value, now_ms=self._now_ms())
        except BadQuery as wrong:
            self._refuse(str(wrong), (wrong.start, wrong.end))
            return
        except BadRequest as wrong:
            self._refuse(str(wrong), None)
            return
        self.wrong("")
        self.run_worker(partial(self._rest, text), group="search", exclusive=True)

    def _refuse(self, why: str, at: tuple[int, int] | None) -> None:
        # For what was typed on the way here.
        self.workers.cancel_group(self, "search")  # pyright: ignore[reportUnknownMemberType]
        self.wrong(f"{why} The list is that of the filter before.", at)

    async def _rest(self, text: str) -> None:
        await asyncio.sleep(DEBOUNCE_S)
        self._tell(text)

    def _tell(self, text: str) -> None:
        if text != self._meant:
            self._meant = text
            self.post_message(self.Meant(text))

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.leave()

    def leave(self) -> None:
        self.display = bool(self.typed.value)
        self.post_message(self.Left())

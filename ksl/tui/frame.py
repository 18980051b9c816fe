"""What every screen has around it: the tabs above, the state of the link and the keys below."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, cast

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.css.query import NoMatches
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Footer, Static

from ksl.tui import safe
from ksl.tui.client import Client, Lost, Refused
from ksl.tui.lines import Lines
from ksl.tui.link import Change

if TYPE_CHECKING:
    from ksl.tui.app import KslApp

# What each screen is called, and where there is little room.
TABS = {
    "runs": "Runs",
    "run": "Run",
    "hooks": "Hooks",
    "triggers": "Trig",
    "workflows": "Flows",
    "sessions": "Sess",
    "system": "Sys",
}
NARROW = 90  # below so many columns panes become tabs
TINY = (60, 15)


class Line(Static):
    """Text that is never read as markup. One of a single line is cut where there is no room for all of it."""

    plain: ClassVar[bool] = False  # ASCII alone, for every line of the app

    def __init__(self, text: str = "", *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes, markup=False)
        self.show(text)

    @property
    def shown(self) -> str:
        content = self.content
        return content.plain if isinstance(content, Text) else str(content)

    def show(self, text: Text | str) -> None:
        shown = text if isinstance(text, Text) else Text(text)
        if self.plain:
            shown = Text(safe.plain(shown.plain), shown.style, spans=shown.spans)
        self.update(shown)


class TabLine(Line):
    """Names to choose from on one line, with the chosen one lit."""

    DEFAULT_CSS = "TabLine { height: 1; width: 1fr; text-wrap: nowrap; text-overflow: ellipsis; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._names: list[tuple[str, str]] = []
        self._blank = " "

    def tabs(self, names: list[tuple[str, str]], chosen: str, *, dense: bool = False) -> None:
        """`names`: what each is called in actions, and what is shown of it. `dense`: one cell between two of them."""
        self._names = names
        self._blank = "" if dense else " "
        text = Text()
        for name, shown in names:
            text.append(" " if dense else "")
            text.append(f"{self._blank}{shown}{self._blank}", "reverse bold" if name == chosen else "")
            text.append(self._blank)
        self.show(text)

    def places(self) -> list[tuple[str, int]]:
        """What each is called, and how many cells it takes."""
        return [(name, len(shown) + (3 if self._blank else 1)) for name, shown in self._names]

    def on_click(self, event: events.Click) -> None:
        x = 0
        for name, width in self.places():
            x += width
            if event.x < x:
                cast("Framed", self.screen).tab_chosen(self, name)
                return


class Framed(Screen[None]):
    """A screen of the app. `load` asks for everything; `changes` gets what happened while it is in front."""

    tab: ClassVar[str] = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Back", show=False, id="frame.back"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._is_composed = False
        self._one_at_a_time = asyncio.Lock()
        self._refused = ""  # why the newest question was refused
        self._wanted: str | None = None  # key of a line that somebody wants to go to

    @property
    def alive(self) -> bool:
        """Composed, and not yet being removed."""
        return self._is_composed and self.is_running and bool(self.query("#status"))

    @property
    def ksl(self) -> KslApp:
        return cast("KslApp", self.app)  # pyright: ignore[reportUnknownMemberType]

    @property
    def client(self) -> Client | None:
        return self.ksl.link.client

    def compose(self) -> ComposeResult:
        yield TabLine(id="tabs")
        yield Line(id="banner")
        yield from self.body()
        yield Line(id="status")
        yield Footer(show_command_palette=False, compact=True)

    def body(self) -> Iterator[Widget]:
        raise NotImplementedError

    def on_mount(self) -> None:
        self._is_composed = True
        self.resized()
        self.tell()
        self.reload()

    def on_screen_resume(self) -> None:
        self.resized()
        self.tell()
        self.reload()

    def on_resize(self) -> None:
        self.resized()
        if self._is_composed:
            self.tell()

    def resized(self) -> None:
        size = self.ksl.size
        self.ksl.set_class(size.width < NARROW, "narrow")  # for dialogs
        self.set_class(size.width < NARROW, "narrow")
        self.set_class(size.width < TINY[0] or size.height < TINY[1], "tiny")
        self.set_class(size.height < 30, "low")
        self.set_class(self.ksl.look.ascii, "ascii")

    def turn_to(self, list: str, *, second: bool) -> None:
        """Puts the cursor into one of two lists. A tiny terminal has room for that one alone."""
        self.set_class(second, "second")
        self.ksl.stylesheet.update(self)  # at once: what is hidden cannot have the cursor
        self.query_one(f"#{list}").focus()

    def reload(self) -> None:
        """Asks anew for what is shown. Questions that were under way are dropped."""
        if self.client is not None:
            self.run_worker(self._loading, group="load", exclusive=True)

    async def _loading(self) -> None:
        try:
            async with self._one_at_a_time:
                await self.load()
            self._refused = ""
            self._choose_wanted()
        except Lost:
            return  # the link will notice, and everything is asked again when it is back
        except Refused as refused:
            self.refused(refused)
        except NoMatches:
            if self.is_running:
                raise  # else the screen is going, and what was asked for has no place any more

    async def load(self) -> None:
        raise NotImplementedError

    def want(self, key: str) -> None:
        """Chooses what is called so in the list of this screen, now or when it has been loaded."""
        self._wanted = key
        self._choose_wanted()

    def _choose_wanted(self) -> None:
        for lines in self.query(f"#{self.tab}").results(Lines):
            if self._wanted is not None and self._wanted in lines.keys:
                lines.focus()
                lines.select(self._wanted)
                self._wanted = None

    def changes(self, changes: list[Change]) -> None:
        """Of the last tenth of a second; an empty list means that anything may have changed."""
        self.reload()

    def second(self) -> None:
        """A second has passed."""

    def refused(self, refused: Refused) -> None:
        """Once: what cannot be read is asked for again every few seconds."""
        if refused.detail != self._refused:
            self._refused = refused.detail
            self.say(refused.detail, wrong=True)

    def say(self, text: str, *, wrong: bool = False) -> None:
        self.ksl.notify(
            safe.line(text, 600), severity="error" if wrong else "information", timeout=8, markup=False
        )

    def copy(self, text: str) -> None:
        self.ksl.copy_to_clipboard(text)
        self.say(f"Copied {safe.line(text, 80)}")

    def action_choose(self) -> None:
        """What enter does, wherever the cursor is. A key of the screen's own: one of the list would overtake others."""
        if isinstance(self.focused, Lines):
            self.focused.choose()

    def action_back(self) -> None:
        if len(self.ksl.screen_stack) > 1:
            self.ksl.pop_screen()

    def tab_chosen(self, line: TabLine, name: str) -> None:
        if line.id == "tabs":
            self.ksl.action_tab(name)

    def tell(self) -> None:
        """The tabs, the banner and the line of state, from what the app knows."""
        app, tiny = self.ksl, self.has_class("tiny")
        self._tell_tabs()
        banner = self.query_one("#banner", Line)
        banner.show(app.banner())
        banner.display = bool(app.banner())
        status = self.query_one("#status", Line)
        status.display = not tiny
        status.show(app.status())

    def _tell_tabs(self) -> None:
        """All of them, with as much of their names as there is room for."""
        app, line = self.ksl, self.query_one("#tabs", TabLine)
        for short, dense in ((False, False), (False, True), (True, True)):
            names = [(name, app.tab_label(place, name, short=short)) for place, name in enumerate(TABS, 1)]
            line.tabs(names, self.tab, dense=dense)
            if sum(width for _, width in line.places()) <= app.size.width:
                return

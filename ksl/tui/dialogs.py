"""What stands before a screen until it is answered: a question, a choice, a form, a long text."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, ClassVar, cast

from rich.text import Text
from textual import on
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Footer, Input

from ksl.tui import safe
from ksl.tui.client import Json, Lost, Refused
from ksl.tui.form import Form
from ksl.tui.frame import Line
from ksl.tui.lines import Lines

if TYPE_CHECKING:
    from ksl.tui.app import KslApp


class Ask(ModalScreen[str | None]):
    """Yes or no; with `reason` the answer is what was typed. None: no."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "no", "No", id="ask.no"),
        Binding("enter,y", "yes", "Yes", id="ask.yes"),
    ]

    def __init__(self, question: str, told: Sequence[str] = (), *, reason: str | None = None) -> None:
        super().__init__()
        self.question = question
        self.told = told
        self.reason = reason

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog", classes="small"):
            yield Line(safe.line(self.question, 300), classes="title")
            for each in self.told:
                yield Line(safe.line(each, 400), classes="told")
            if self.reason is not None:
                yield Input(placeholder=self.reason, id="reason", compact=True)
            yield Footer(show_command_palette=False, compact=True)

    def action_no(self) -> None:
        self.dismiss(None)

    def action_yes(self) -> None:
        self.dismiss(self.query_one(Input).value if self.reason is not None else "")

    @on(Input.Submitted)
    def _submitted(self) -> None:
        self.action_yes()


class Choose(ModalScreen[str | None]):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Close", id="choose.close"),
        Binding("enter", "choose", "Choose", id="choose.choose"),
    ]

    def __init__(self, question: str, options: Sequence[tuple[str, str]]) -> None:
        super().__init__()
        self.question = question
        self.options = options

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog"):
            yield Line(self.question, classes="title")
            yield Lines(id="options")
            yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        def paint(place: int, width: int) -> Text:
            name, told = self.options[place]
            shown = safe.padded(safe.line(name, 30), 32)
            return Text.assemble(f" {shown}", (safe.line(told, max(width - 33, 1)), "dim"))

        lines = self.query_one(Lines)
        lines.show([name for name, _ in self.options], paint)
        lines.focus()

    def action_choose(self) -> None:
        if (key := self.query_one(Lines).key) is not None:
            self.dismiss(key)

    @on(Lines.Chosen)
    def _chosen(self) -> None:
        self.action_choose()


class Fill(ModalScreen[Json | None]):
    """A form over a screen. It stays, with what was typed, until the server has taken it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Close", id="fill.close"),
        Binding("ctrl+s", "send", "Send", priority=True, id="fill.send"),
        Binding("ctrl+t", "raw", "JSON or form", priority=True, id="fill.raw"),
    ]

    def __init__(
        self,
        title: str,
        schema: Json | None,
        send: Callable[[object], Awaitable[Json]],
        *,
        given: object = None,
        verb: str = "Send",
    ) -> None:
        super().__init__()
        self.heading = title
        self.form = Form(schema, given=given, whole="Input")
        self._send = send
        self._verb = verb

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog"):
            yield Line(safe.line(self.heading, 200), classes="title")
            yield self.form
            key_of = cast("KslApp", self.app).key_of  # pyright: ignore[reportUnknownMemberType]
            yield Line(
                f"{key_of('fill.send')} {self._verb.lower()}   tab next field   {key_of('fill.raw')} JSON   "
                f"{key_of('fill.close')} close",
                classes="dim",
            )

    def on_mount(self) -> None:
        self.form.focus_first()

    def action_raw(self) -> None:
        self.form.toggle_raw()

    def action_send(self) -> None:
        self.run_worker(self._sending, group="send", exclusive=True)

    async def _sending(self) -> None:
        if (payload := self.form.payload()) is None:
            return
        try:
            self.dismiss(await self._send(payload[0]))
        except Refused as refused:
            self.form.refused(refused)
        except Lost as lost:
            self.form.problem(f"{lost}. Nothing is known to have been done; what you typed is kept.")


class View(ModalScreen[None]):
    """A long text, with a search."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "leave", "Close", id="view.close"),
        Binding("slash", "search", "Search", key_display="/", id="view.search"),
        Binding("n", "next(1)", "Next", id="view.next"),
        Binding("N", "next(-1)", "Before", id="view.before"),
        Binding("y", "copy", "Copy", id="view.copy"),
    ]

    def __init__(self, title: str, value: object, *, searching: bool = False) -> None:
        super().__init__()
        self._searching = searching
        self.heading = title
        self.value = value
        self.shown = list(safe.value_lines(value))

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog", classes="whole"):
            yield Line(safe.line(self.heading, 200), classes="title")
            yield Lines(id="text")
            yield Input(placeholder="search", id="search", compact=True)
            yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        self.query_one("#search").display = False
        wide = min(max(map(len, self.shown), default=0), safe.LINE_MAX) + 2
        lines = self.query_one(Lines)
        lines.show(
            [str(place) for place in range(len(self.shown))],
            lambda place, _: Text(self.shown[place]),
            wide=wide,
        )
        lines.focus()
        if self._searching:
            self.action_search()

    def action_leave(self) -> None:
        if self.query_one("#search").has_focus:
            self._searched()
        else:
            self.dismiss()

    def action_search(self) -> None:
        self.query_one("#search").display = True
        self.query_one("#search").focus()

    def action_next(self, direction: int) -> None:
        """To the next line that has what was searched for, or the one before; round the end and the beginning."""
        wanted = self.query_one("#search", Input).value.lower()
        lines = self.query_one(Lines)
        count = len(self.shown)
        for step in range(1, count + 1):
            place = (lines.place + step * direction) % count
            if wanted and wanted in self.shown[place].lower():
                lines.select(str(place))
                return

    def action_copy(self) -> None:
        app = cast("App[None]", self.app)  # pyright: ignore[reportUnknownMemberType]
        app.copy_to_clipboard("\n".join(self.shown))

    @on(Input.Submitted)
    def _searched(self) -> None:
        self.query_one("#search").display = False
        self.query_one(Lines).focus()
        self.action_next(1)

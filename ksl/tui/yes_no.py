"""Yes or no, and neither until one of them is chosen."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.reactive import reactive
from textual.widget import Widget


class YesNo(Widget, can_focus=True):
    DEFAULT_CSS = """
    YesNo { height: 1; width: 40; }
    YesNo:focus { background: $primary 45%; text-style: bold; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y,left", "choose(True)", "Yes", show=False, id="yes-no.yes"),
        Binding("n,right", "choose(False)", "No", show=False, id="yes-no.no"),
        Binding("space", "other", "The other", show=False, id="yes-no.other"),
    ]
    value: reactive[bool | None] = reactive(None)

    def __init__(self, value: bool | None = None) -> None:
        super().__init__()
        self.set_reactive(YesNo.value, value)

    def render(self) -> Text:
        def box(of: bool) -> str:
            return "(x)" if self.value is of else "( )"

        hint = "   press y or n" if self.has_focus else ""
        return Text.assemble(f"{box(True)} yes   {box(False)} no", (hint, "dim"))

    def action_choose(self, value: bool) -> None:
        self.value = value

    def action_other(self) -> None:
        self.value = not self.value

    def on_click(self, event: events.Click) -> None:
        self.value = event.x < 9

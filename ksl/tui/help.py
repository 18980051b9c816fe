"""All keys of the screen behind it."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen, Screen

from ksl.tui.frame import Line
from ksl.tui.keys import shown
from ksl.tui.lines import Lines


class HelpScreen(ModalScreen[None]):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark", "dismiss", "Close", id="help.close"),
    ]

    def __init__(self, of: Screen[object]) -> None:
        super().__init__()
        self._rows = rows_of(of)

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog"):
            yield Line("Keys here", classes="title")
            yield Lines(id="keys")

    def on_mount(self) -> None:
        rows = self._rows

        def paint(place: int, _width: int) -> Text:
            key, description = rows[place]
            return Text.assemble((f" {key:<16}", "bold"), description)

        self.query_one(Lines).show([key for key, _ in rows], paint)
        self.query_one(Lines).focus()


def rows_of(screen: Screen[object]) -> list[tuple[str, str]]:
    """Keys and what they do, those of the focused part first."""
    grouped: dict[tuple[str, str], list[str]] = {}
    for key, active in screen.active_bindings.items():
        binding = active.binding
        if binding.description and binding.id:
            grouped.setdefault((binding.id, binding.description), []).append(
                binding.key_display or shown(key)
            )
    return [(" ".join(dict.fromkeys(keys)), description) for (_, description), keys in grouped.items()]

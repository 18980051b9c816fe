"""A letter on every part of a screen that takes keys; the letter goes there, anything else leaves all as it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import cast

from textual import events
from textual.app import ComposeResult
from textual.errors import NoWidget
from textual.geometry import Offset
from textual.screen import ModalScreen, Screen
from textual.widget import Widget

from ksl.tui.frame import Framed, Line, TabLine

LETTERS = "asdfghjklqwertyuiopzxcvbnm"


@dataclass(frozen=True)
class Target:
    at: Offset
    width: int  # of its sign
    go: Callable[[], object]


class JumpScreen(ModalScreen[None]):
    def __init__(self, of: Screen[object]) -> None:
        super().__init__()
        self.targets = dict(zip(LETTERS, targets_of(of), strict=False))

    def compose(self) -> ComposeResult:
        for letter, target in self.targets.items():
            line = Line(letter.center(target.width))
            line.styles.offset = target.at
            line.styles.width = target.width
            yield line

    def on_key(self, event: events.Key) -> None:
        event.stop()
        event.prevent_default()
        target = self.targets.get(event.key)
        self.dismiss()
        if target is not None:
            self.call_later(target.go)

    def on_click(self) -> None:
        self.dismiss()


def targets_of(screen: Screen[object]) -> list[Target]:
    """Tabs of the screen's own, and whatever can have the focus, from the top left."""
    found: list[Target] = []
    for line in screen.query(TabLine):
        if line.id != "tabs" and _is_seen(screen, line):
            x, y = line.region.offset
            for name, width in line.places():
                if x >= line.region.right:
                    break
                found.append(Target(Offset(x, y), 1, partial(_choose, screen, line, name)))
                x += width
    borders: set[Offset] = set()
    for widget in screen.focus_chain:
        if not _is_seen(screen, widget):
            continue
        go = cast("Callable[[], object]", widget.focus)
        pane = widget.parent
        if isinstance(pane, Widget) and pane.styles.border_top[0] and pane.region.offset not in borders:
            # On the border of its pane a letter hides nothing.
            borders.add(pane.region.offset)
            found.append(Target(Offset(pane.region.x + 1, pane.region.y), 3, go))
        else:
            found.append(Target(screen.find_widget(widget).visible_region.offset, 1, go))
    return sorted(found, key=lambda target: (target.at.y, target.at.x))


def _choose(screen: Screen[object], line: TabLine, name: str) -> None:
    if isinstance(screen, Framed):
        screen.tab_chosen(line, name)


def _is_seen(screen: Screen[object], widget: Widget) -> bool:
    try:
        return bool(screen.find_widget(widget).visible_region)
    except NoWidget:  # of a pane that is not shown
        return False

"""A list of lines with a cursor. Only the lines in sight are painted, so its length costs nothing."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from ksl.tui import safe

Paint = Callable[[int, int], Text]  # of a line, by its place and the width there is


class Lines(ScrollView, can_focus=True):
    """`keys` names what each line is about; None for one that the cursor passes over. The cursor is kept by its key:
    lines may come and go around it."""

    plain: ClassVar[bool] = False  # ASCII alone, for every list of the app
    COMPONENT_CLASSES: ClassVar[set[str]] = {"lines--cursor", "lines--away"}
    DEFAULT_CSS = """
    Lines { background: transparent; scrollbar-size-vertical: 1; scrollbar-size-horizontal: 0; }
    Lines > .lines--cursor { background: $primary 45%; text-style: bold; }
    Lines > .lines--away { background: $primary 20%; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "up", "Up", show=False, id="list.up"),
        Binding("down,j", "down", "Down", show=False, id="list.down"),
        Binding("pageup", "page_up_lines", "Page up", show=False, id="list.page-up"),
        Binding("pagedown", "page_down_lines", "Page down", show=False, id="list.page-down"),
        Binding("home,g", "first", "First", show=False, id="list.first"),
        Binding("end,G", "last", "Last", show=False, id="list.last"),
        Binding("left", "side_left", "Left", show=False, id="list.left"),
        Binding("right", "side_right", "Right", show=False, id="list.right"),
    ]

    class Moved(Message):
        """The cursor is on another line."""

        def __init__(self, lines: Lines, key: str | None) -> None:
            super().__init__()
            self.lines = lines
            self.key = key

        @property
        def control(self) -> Lines:
            return self.lines

    class Chosen(Moved):
        """A line was chosen, by enter or by a second click."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._keys: Sequence[str | None] = ()
        self._paint: Paint = lambda _place, _width: Text()
        self._place = 0
        self._wide: int | None = None

    @property
    def key(self) -> str | None:
        return self._keys[self._place] if self._place < len(self._keys) else None

    @property
    def place(self) -> int:
        return self._place

    @property
    def keys(self) -> Sequence[str | None]:
        return self._keys

    def show(self, keys: Sequence[str | None], paint: Paint, *, wide: int | None = None) -> None:
        """`wide`: how many cells the longest line takes, where the list can be moved sideways."""
        before, offset = self.key, self._place - self.scroll_offset.y
        self._keys, self._paint, self._wide = keys, paint, wide
        if before is not None and self._place < len(keys) and keys[self._place] == before:
            found = self._place
        else:
            found = _index(keys, before) if before is not None else None
        self._place = found if found is not None else _near(keys, min(self._place, len(keys) - 1))
        self.virtual_size = Size(wide or 0, len(keys))
        if found is not None and found != offset + self.scroll_offset.y:
            self.scroll_to(y=max(found - offset, 0), animate=False, force=True)
        self.refresh()
        if before is not None and self.key != before:
            self.post_message(self.Moved(self, self.key))

    def select(self, key: str | None) -> None:
        if key is not None and key != self.key and (found := _index(self._keys, key)) is not None:
            self._go(found)

    def paint(self, place: int, width: int = 200) -> str:
        return self._paint(place, width).plain

    def render_line(self, y: int) -> Strip:
        x, top = self.scroll_offset
        width = self.scrollable_content_region.width
        place = top + y
        style = self.rich_style
        if place >= len(self._keys):
            return Strip.blank(width, style)
        segments = _segments(self._paint(place, self._wide or width))
        if self.plain:
            segments = [Segment(safe.plain(each.text), each.style) for each in segments]
        strip = Strip(segments)
        if place == self._place and self._keys[place] is not None:
            chosen = "lines--cursor" if self.has_focus else "lines--away"
            style = self.get_component_rich_style(chosen)
            strip = strip.adjust_cell_length(max(self._wide or width, width), style).apply_style(style)
        return strip.crop_extend(x, x + width, style).apply_style(self.rich_style)

    def action_up(self) -> None:
        self._step(-1)

    def action_down(self) -> None:
        self._step(1)

    def action_page_up_lines(self) -> None:
        self._go(_near(self._keys, max(self._place - self._page, 0)))

    def action_page_down_lines(self) -> None:
        self._go(_near(self._keys, min(self._place + self._page, len(self._keys) - 1)))

    def action_first(self) -> None:
        self._go(_near(self._keys, 0))
        self.scroll_to(y=0, animate=False)

    def action_last(self) -> None:
        self._go(_near(self._keys, len(self._keys) - 1))

    def action_side_left(self) -> None:
        self.scroll_relative(x=-8, animate=False)

    def action_side_right(self) -> None:
        self.scroll_relative(x=8, animate=False)

    def choose(self) -> None:
        if self.key is not None:
            self.post_message(self.Chosen(self, self.key))

    def on_click(self, event: events.Click) -> None:
        place = self.scroll_offset.y + event.y - self.gutter.top
        if 0 <= place < len(self._keys) and self._keys[place] is not None:
            if place == self._place and event.chain == 2:
                self.post_message(self.Chosen(self, self.key))
            self._go(place)

    @property
    def _page(self) -> int:
        return max(self.scrollable_content_region.height - 1, 1)

    def _step(self, direction: int) -> None:
        place = self._place + direction
        while 0 <= place < len(self._keys) and self._keys[place] is None:
            place += direction
        if 0 <= place < len(self._keys):
            self._go(place)
        else:
            self.scroll_relative(y=direction, animate=False)

    def _go(self, place: int) -> None:
        if not 0 <= place < len(self._keys) or place == self._place:
            return
        before, self._place = self._place, place
        x = self.scroll_offset.x
        self.scroll_to_region(Region(x, place, 1, 1), animate=False, force=True, x_axis=False)
        self.refresh_lines(before - self.scroll_offset.y, 1)
        self.refresh()
        self.post_message(self.Moved(self, self.key))


def _segments(text: Text) -> list[Segment]:
    """Of one line. Styles of parts win over that of the whole."""
    base = _style(text.style)
    if not text.spans:
        return [Segment(text.plain, base)]
    edges = sorted(
        {0, len(text.plain), *(span.start for span in text.spans), *(span.end for span in text.spans)}
    )
    found: list[Segment] = []
    for start, end in itertools.pairwise(edges):
        style = base
        for span in text.spans:
            if span.start <= start and end <= span.end:
                style += _style(span.style)
        found.append(Segment(text.plain[start:end], style))
    return found


def _style(style: str | Style) -> Style:
    return Style.parse(style) if isinstance(style, str) else style


def _index(keys: Sequence[str | None], key: str) -> int | None:
    try:
        return keys.index(key)
    except ValueError:
        return None


def _near(keys: Sequence[str | None], place: int) -> int:
    """The nearest line that is about something, downward first."""
    after = (each for each in range(max(place, 0), len(keys)) if keys[each] is not None)
    before = (each for each in range(min(place, len(keys) - 1), -1, -1) if keys[each] is not None)
    return next(after, next(before, 0))

"""One hook: what it asks, who asks and until when, where each answer leads, and the form to give one."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical

from ksl.tui import safe, words
from ksl.tui.form import Form
from ksl.tui.frame import Line
from ksl.tui.lines import Lines
from ksl.tui.words import Json
from ksl.views.lights import left_of
from ksl.views.links import told_of_link

_DETAILS_MOST = 6  # lines
_LANES_MOST = 5


class HookPane(Vertical):
    def __init__(self) -> None:
        super().__init__(id="form-pane", classes="pane")
        self.hook: Json | None = None
        self.form: Form | None = None

    def compose(self) -> ComposeResult:
        yield Line(id="question", classes="title")
        yield Line(id="about", classes="dim")
        yield Line(id="limit", classes="dim")
        yield Line(id="used", classes="dim")
        yield Lines(id="hook-details")
        yield Lines(id="leads")
        yield Vertical(id="form-place")

    @property
    def is_filling(self) -> bool:
        return self.form is not None and self.form.has_focus_within

    def show(self, hook: Json | None, now_ms: int) -> None:
        """With a form that is empty; what was typed into the one before is gone."""
        self.hook = hook
        # Neither is awaited: whoever is cancelled while a part is being removed takes that part's own task along.
        place = self.query_one("#form-place", Vertical)
        place.remove_children()
        self.query_one("#question", Line).show("" if hook is None else safe.line(title_of(hook), 300))
        told = [] if hook is None else [*_told(hook["details"])]
        _fill(self.query_one("#hook-details", Lines), [Text(each) for each in told], _DETAILS_MOST)
        self.leads([])
        self.form = None if hook is None else Form(hook["schema"])
        if self.form is not None:
            place.mount(self.form)
        self.tell(now_ms)

    def tell(self, now_ms: int) -> None:
        """Who asks and how long there is left."""
        hook = self.hook
        about, limit, used = (self.query_one(f"#{name}", Line) for name in ("about", "limit", "used"))
        link = "" if hook is None else told_of_link(hook["link"])
        used.display = bool(link)
        used.show(f"link {link}")
        if hook is None:
            about.show("")
            limit.show("")
            return
        about.show(safe.line(f"{hook['workflow']}  {hook['run_id']}  {words.bare(hook['step'])}", 300))
        asked = f"asked {words.ago(words.moment(hook['created_at']), now_ms)}"
        until = words.moment(hook["expires_at"])
        limit.show(
            f"{asked}   {time_left(hook, now_ms)}" + ("" if until is None else f" (until {_clock(until)})")
        )

    def leads(self, lanes: Sequence[tuple[str, str]]) -> None:
        """Where each answer leads: what is asked of it, and what comes then."""
        wide = min(max((len(asked) for asked, _ in lanes), default=0), 40)
        rows = [
            Text.assemble(
                (safe.padded(safe.line(asked, wide), wide), "bold"),
                f" → {safe.line(leads_to, 60)}",
            )
            for asked, leads_to in lanes
        ]
        _fill(self.query_one("#leads", Lines), rows, _LANES_MOST)


def title_of(hook: Json) -> str:
    return str(hook["title"] or hook["name"] or words.bare(hook["step"]))


def time_left(hook: Json, now_ms: int) -> str:
    until = words.moment(hook["expires_at"])
    if until is None:
        return "no limit"
    left = left_of(until - now_ms)
    return f"{left} left" if left else "due"


def what_became(step: Json | None) -> str:
    """Of a hook that takes no answer any more, by its step in the run."""
    if step is None or not step["finished_at"]:
        return "its run has ended."
    at = _clock(words.moment(step["finished_at"]) or 0)
    by = f" by {safe.line(step['by'], 60)}" if step["by"] else ""
    if step["status"] == "succeeded":
        return f"already answered{by} at {at}: {safe.short(step['output'], 100)}"
    error: Json = step["error"] or {}
    if "reason" in error:
        return f"already rejected{by} at {at}: {safe.line(error['reason'] or 'no reason given', 100)}"
    return f"nobody answered it until {at}." if step["status"] == "failed" else "its run has ended."


def _told(details: object) -> Iterator[str]:
    if isinstance(details, dict):
        for name, value in details.items():  # pyright: ignore[reportUnknownVariableType]
            yield f"{safe.line(name, 24)}: {safe.short(value, 300)}"  # pyright: ignore[reportUnknownArgumentType]
    elif details is not None:
        yield safe.short(details, 300)


def _fill(lines: Lines, rows: Sequence[Text], most: int) -> None:
    lines.show([None] * len(rows), lambda place, _width: rows[place])
    lines.styles.height = min(len(rows), most)
    lines.display = bool(rows)


def _clock(at_ms: int) -> str:
    """In UTC, as everything that ksl writes."""
    return f"{dt.datetime.fromtimestamp(at_ms / 1000, dt.UTC):%Y-%m-%d %H:%M} UTC"

"""How the server and its database are, and what a server at hand says of itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widget import Widget
from textual.widgets import Input

from ksl import __version__
from ksl.tui import safe, words
from ksl.tui.client import Json, Refused
from ksl.tui.frame import Framed
from ksl.tui.lines import Lines
from ksl.tui.link import Change

_FIGURE = re.compile(r"(?P<name>ksl_\w+)(?:\{(?P<labels>[^}]*)\})? (?P<value>\S+)")
_LEVELS = ("everything", "warnings", "errors")
_WARNING = re.compile(r"warning|error|critical|KSL\d{3}|traceback", re.IGNORECASE)
_ERROR = re.compile(r"error|critical|traceback", re.IGNORECASE)


class SystemScreen(Framed):
    tab = "system"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("l", "level", "Log level", id="system.level"),
        Binding("slash", "search", "Search the log", key_display="/", id="system.search"),
        Binding("f", "follow", "Follow", id="system.follow"),
        Binding("y", "copy", "Copy the log", show=False, id="system.copy"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.figures: dict[str, float] = {}
        self.database: Json = {}
        self.ready: Json = {}
        self.level = 0
        self.wanted = ""

    def body(self) -> Iterator[Widget]:
        with Vertical(id="system-pane", classes="pane"):
            yield Lines(id="figures")
        with Vertical(id="log-pane", classes="pane"):
            yield Input(placeholder="search the log", id="search", compact=True)
            yield Lines(id="log")

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one("#search").display = False
        self.query_one("#system-pane").border_title = "server"
        self.query_one("#figures").focus()
        self.ksl.narration.heard = self._heard
        self._show_log()

    async def load(self) -> None:
        assert self.client is not None
        client = self.client
        self.ready = (
            await client.get("/readyz")
            if not client.door.read_only
            else {"ready": False, "reason": "no server runs"}
        )
        try:
            self.database = await client.get("/db/size")
        except Refused:
            self.database = {}
        try:
            self.figures = _figures(await client.text("/metrics"))
        except Refused:
            self.figures = {}
        self._show()

    def changes(self, changes: list[Change]) -> None:
        """Figures are asked for once a second, whatever happens."""

    def second(self) -> None:
        if self.ksl.link.state == "live":
            self.reload()

    def _show(self) -> None:
        told = [*self._told()]

        def paint(place: int, width: int) -> Text:
            name, value = told[place]
            return Text.assemble((f" {name:<16}", "dim"), safe.line(value, max(width - 17, 1)))

        self.query_one("#figures", Lines).show([name for name, _ in told], paint)

    def _told(self) -> Iterator[tuple[str, str]]:
        get, link = self.figures.get, self.ksl.link
        state = "ready" if self.ready.get("ready") else f"not ready: {self.ready.get('reason')}"
        yield (
            "server",
            f"{link.name}  {state}" if not link.read_only else "none: the database is shown, read-only",
        )
        yield "version", f"ksl {__version__} here"
        if self.figures:
            yield (
                "runs",
                "  ".join(
                    f"{status} {get(f'ksl_runs/{status}', 0):,.0f}"
                    for status in (
                        "queued",
                        "running",
                        "sleeping",
                        "waiting",
                        "held",
                        "failed",
                        "succeeded",
                        "cancelled",
                    )
                ),
            )
            yield (
                "queue",
                f"{get('ksl_queue_depth', 0):,.0f} wait for a slot, {get('ksl_slots_used', 0):,.0f} are being advanced",
            )
            yield (
                "in flight",
                f"{get('ksl_steps_in_flight', 0):,.0f} attempts, {get('ksl_resident_runs', 0):,.0f} runs in memory",
            )
            yield "timers", f"{get('ksl_timers', 0):,.0f} set, {get('ksl_timers_due', 0):,.0f} due"
            yield "hooks", f"{get('ksl_hooks_waiting', 0):,.0f} wait for an answer"
            yield "loop lag", words.took(round(get("ksl_loop_lag_seconds", 0) * 1000))
            yield (
                "commits",
                f"{get('ksl_commits_total', 0):,.0f} with {get('ksl_events_total', 0):,.0f} events since start",
            )
        if self.database:
            size = self.database
            yield (
                "database",
                (
                    f"{words.size(size['database_bytes'])}, log ahead {words.size(size['wal_bytes'])}, "
                    f"free {words.size(size['free_bytes'])}"
                ),
            )
            yield "rows", "  ".join(f"{name} {number:,}" for name, number in size["rows"].items())
            for each in size["workflows"][:5]:
                yield (
                    "",
                    f"{each['workflow']}: {words.count(each['runs'], 'run')}, {words.count(each['events'], 'event')}",
                )

    # the log

    def _heard(self) -> None:
        if self.alive:
            self._show_log()

    def _show_log(self) -> None:
        kept = [each for each in self.ksl.narration.lines if self._is_wanted(each)]
        lines = self.query_one("#log", Lines)
        pane = self.query_one("#log-pane")
        pane.border_title = f"log: {_LEVELS[self.level]}" + (
            f", with {safe.line(self.wanted, 30)}" if self.wanted else ""
        )
        if not kept:
            told = (
                "Nothing said yet."
                if self.ksl.narration.lines
                else "The log is where the server was started; ksl dev shows it here."
            )
            lines.show([None], lambda _place, _width: Text(f" {told}", "dim"))
            return
        at_end = lines.place >= len(lines.keys) - 1
        wide = max(map(len, kept)) + 1
        lines.show(
            [str(place) for place in range(len(kept))], lambda place, _width: Text(kept[place]), wide=wide
        )
        if at_end:
            lines.action_last()

    def _is_wanted(self, text: str) -> bool:
        if self.wanted and self.wanted.lower() not in text.lower():
            return False
        return self.level == 0 or (_WARNING if self.level == 1 else _ERROR).search(text) is not None

    def action_level(self) -> None:
        self.level = (self.level + 1) % len(_LEVELS)
        self._show_log()

    def action_search(self) -> None:
        self.query_one("#search").display = True
        self.query_one("#search").focus()

    @on(Input.Changed, "#search")
    def _typed(self, event: Input.Changed) -> None:
        self.wanted = event.value
        self._show_log()

    @on(Input.Submitted, "#search")
    def action_back(self) -> None:
        self.query_one("#search").display = False
        self.query_one("#log").focus()

    def action_follow(self) -> None:
        self.query_one("#log").focus()
        self.query_one("#log", Lines).action_last()

    def action_copy(self) -> None:
        self.ksl.copy_to_clipboard("\n".join(self.ksl.narration.lines))


def _figures(text: str) -> dict[str, float]:
    """By name, with the value of a label behind a slash."""
    found: dict[str, float] = {}
    for line in text.splitlines():
        if known := _FIGURE.fullmatch(line):
            label = (known["labels"] or "").partition('"')[2].rstrip('"')
            try:
                found[known["name"] + (f"/{label}" if label else "")] = float(known["value"])
            except ValueError:
                continue
    return found

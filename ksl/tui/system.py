"""How the server and its database are, and what the server says."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import wrap
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
from ksl.tui.dialogs import View
from ksl.tui.frame import Framed
from ksl.tui.lines import Lines
from ksl.tui.link import Change
from ksl.tui.server_log import SHOWN, painted, plain

_LEVELS = ("debug", "warning", "error")
_SIZED_EVERY = 30  # seconds: the rows of a large database are not counted in no time
_UNFINISHED = ("queued", "running", "sleeping", "waiting", "held")
_LAG_S = 0.5  # a loop that is so late is at fault
_WAIT_S = 10.0  # likewise a run that waits so long for a slot
_ROOM = 1 << 30  # bytes; with less the disk is nearly full


class SystemScreen(Framed):
    tab = "system"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "Whole line", id="system.open"),
        Binding("l", "level", "Log level", id="system.level"),
        Binding("slash", "search", "Search the log", key_display="/", id="system.search"),
        Binding("f", "follow", "Follow", id="system.follow"),
        Binding("r", "run", "Its run", id="system.run"),
        Binding("y", "copy", "Copy the log", show=False, id="system.copy"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.how: Json = {}  # GET /system
        self.database: Json = {}  # GET /db/size
        self.level = "debug"
        self.wanted = ""
        self.following = True
        self._sized_s = 0

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
        self.turn_to("figures" if self.has_class("tiny") else "log", second=False)
        self.ksl.log_of_server.heard = self._heard
        self._show_log()

    async def load(self) -> None:
        assert self.client is not None
        client = self.client
        self.how = await client.get("/system")
        if self._sized_s <= 0 or not self.database:
            self._sized_s = _SIZED_EVERY
            try:
                self.database = await client.get("/db/size")
            except Refused:
                self.database = {}
        self._show()
        if not self.ksl.hears_server and await self.ksl.log_of_server.ask(client):
            self._show_log()

    def changes(self, changes: list[Change]) -> None:
        """Once a second, whatever happens. When a link is new, everything."""
        if not changes:
            self._sized_s = 0
            self.reload()
            self._show_log()

    def second(self) -> None:
        self._sized_s -= 1
        if self.ksl.link.state == "live":
            self.reload()

    # how it is

    def _show(self) -> None:
        told = [*self._told()]

        def paint(place: int, width: int) -> Text:
            name, value, colour = told[place]
            return Text.assemble((f" {name:<10}", "dim"), (safe.line(value, max(width - 12, 1)), colour))

        self.query_one("#figures", Lines).show([str(place) for place in range(len(told))], paint)

    def _told(self) -> Iterator[tuple[str, str, str]]:
        """What, how it is, and the colour of what is at fault."""
        if self.ksl.link.read_only:
            yield "server", "none: the database is shown, read-only", "yellow"
        if not self.how:
            return
        if not self.ksl.link.read_only:
            yield from self._told_of_server(self.how)
        yield from self._told_of_store(self.how)

    def _told_of_server(self, how: Json) -> Iterator[tuple[str, str, str]]:
        state = "ready" if how["ready"] else f"not ready: {how['reason']}"
        process = f"pid {how['pid']}, up {words.took(how['uptime_s'] * 1000)}"
        yield "server", f"{self.ksl.link.name}  {process}  {state}", "green" if how["ready"] else "red"
        yield "advancing", f"{words.count(how['advancing'], 'run')} in {how['slots']:,} slots", ""
        oldest: float = how["oldest_wait_s"] or 0.0
        line = "nothing waits for a slot"
        if how["queue_depth"]:
            line = f"{words.count(how['queue_depth'], 'run')} in line, the oldest for {_took(oldest)}"
        flight = f"{words.count(how['steps_in_flight'], 'attempt')} in flight"
        memory = f"{words.count(how['resident_runs'], 'run')} in memory"
        yield "queue", f"{line}; {flight}, {memory}", "yellow" if oldest > _WAIT_S else ""
        lags = [f"event loop {_took(how['loop_lag_s'])}"]
        lags += [
            f"newest {kind} {_took(lag)}" for kind, lag in how["trigger_lag_s"].items() if lag is not None
        ]
        yield "late by", ", ".join(lags), "yellow" if how["loop_lag_s"] > _LAG_S else ""

    def _told_of_store(self, how: Json) -> Iterator[tuple[str, str, str]]:
        counts: dict[str, int] = how["runs"]
        unfinished = sum(counts[status] for status in _UNFINISHED)
        yield "runs", f"{unfinished:,} unfinished of {sum(counts.values()):,}", ""
        if any(counts.values()):
            yield "", "  ".join(f"{status} {number:,}" for status, number in counts.items() if number), ""
        due = f" ({how['timers_due']:,} due)" if how["timers_due"] else ""
        yield (
            "waits",
            f"{words.count(how['timers'], 'timer')}{due}, {words.count(how['hooks_waiting'], 'hook')}",
            "",
        )
        size, ahead = words.size(how["database_bytes"]), words.size(how["wal_bytes"])
        free = f" ({words.size(self.database['free_bytes'])} free in it)" if self.database else ""
        yield "database", f"{size}{free}, write-ahead log {ahead}, durability {how['durability']}", ""
        room: int = how["disk_free_bytes"]
        yield "disk", f"{words.size(room)} free", "red" if room < _ROOM else ""
        versions = how["versions"]
        here = "" if versions["ksl"] == __version__ else f" (here {__version__})"
        known = f"ksl {versions['ksl']}{here}, Python {versions['python']}, SQLite {versions['sqlite']}"
        yield "versions", known, "yellow" if here else ""
        if not self.ksl.link.read_only:
            commits = f"{how['commits']:,} with {how['events']:,} events since the start"
            yield "commits", f"{commits}, {how['changes_pending']:,} changes under way", ""
        if self.database:
            yield (
                "rows",
                "  ".join(f"{name} {number:,}" for name, number in self.database["rows"].items()),
                "",
            )
            for place, each in enumerate(self.database["workflows"][:5]):
                told = f"{words.count(each['runs'], 'run')}, {words.count(each['events'], 'event')}"
                yield "" if place else "largest", f"{each['workflow']}: {told}", ""

    # the log

    def _heard(self) -> None:
        if self.alive:
            self._show_log()

    def _show_log(self) -> None:
        log = self.ksl.log_of_server
        kept = [*log.numbered(self.level, self.wanted)]
        lines = self.query_one("#log", Lines)
        title = f"log: {SHOWN[self.level]}"
        if self.wanted:
            title += f', with "{safe.line(self.wanted, 30)}"'.replace("[", "(")
        pane = self.query_one("#log-pane")
        pane.border_title = title
        pane.border_subtitle = "following" if self.following and kept else ""
        if not kept:
            told = self._nothing_told()
            lines.show([None], lambda _place, _width: Text(f" {told}", "dim"))
            return
        lines.show([str(number) for number, _ in kept], lambda place, width: painted(kept[place][1], width))
        if self.following:
            lines.action_last()

    def _nothing_told(self) -> str:
        if self.ksl.log_of_server.lines:
            return f"No line fits. {self.ksl.key_of('system.level')} shows more levels, esc ends the search."
        return "No server runs." if self.ksl.link.read_only else "Nothing said yet."

    @on(Lines.Moved, "#log")
    def _moved(self, event: Lines.Moved) -> None:
        """Whoever goes up wants to read there; at the end it goes on by itself."""
        following = event.lines.place >= len(event.lines.keys) - 1
        if following != self.following and event.lines.has_focus:
            self.following = following
            self.query_one("#log-pane").border_subtitle = "following" if following else ""

    @on(Lines.Chosen, "#log")
    def _chosen(self, event: Lines.Chosen) -> None:
        if event.key is not None and (line := self.ksl.log_of_server.line(int(event.key))) is not None:
            at = line.get("at")
            self.ksl.push_screen(
                View(f"Said at {at}" if at else "Said", _read(line, self.ksl.size.width * 9 // 10))
            )

    def action_level(self) -> None:
        self.level = _LEVELS[(_LEVELS.index(self.level) + 1) % len(_LEVELS)]
        self.turn_to("log", second=True)
        self._show_log()

    def action_search(self) -> None:
        self.query_one("#search").display = True
        self.turn_to("search", second=True)

    @on(Input.Changed, "#search")
    def _typed(self, event: Input.Changed) -> None:
        self.wanted = event.value
        self._show_log()

    @on(Input.Submitted, "#search")
    def _searched(self) -> None:
        self.query_one("#search").display = bool(self.wanted)
        self.turn_to("log", second=True)

    def action_back(self) -> None:
        search = self.query_one("#search", Input)
        if search.display:
            search.value = ""
            search.display = False
            self.turn_to("log", second=True)
        elif self.has_class("tiny", "second"):
            self.turn_to("figures", second=False)
        else:
            super().action_back()

    def action_follow(self) -> None:
        self.turn_to("log", second=True)
        self.following = not self.following
        self._show_log()

    def action_run(self) -> None:
        key = self.query_one("#log", Lines).key
        line = self.ksl.log_of_server.line(int(key)) if key is not None else None
        if line is not None and line.get("run_id"):
            self.ksl.open_run(str(line["run_id"]))
        else:
            self.say("This line is about no run.")

    def action_copy(self) -> None:
        lines = [plain(line) for _, line in self.ksl.log_of_server.numbered(self.level, self.wanted)]
        self.ksl.copy_to_clipboard("\n".join(lines))
        self.say(f"Copied {words.count(len(lines), 'line')}")


def _took(seconds: float) -> str:
    return words.took(round(seconds * 1000))


def _read(line: Json, width: int) -> str:
    """A line with all its fields, a traceback as it is."""
    rest = {key: value for key, value in line.items() if key not in ("at", "message", "traceback")}
    message = str(line.get("message", ""))
    told = [each for part in message.splitlines() for each in wrap(part, max(width - 4, 20)) or [""]]
    told += ["", *(f"{key}: {value}" for key, value in rest.items())]
    if traceback := line.get("traceback"):
        told += ["", str(traceback)]
    return "\n".join(told)

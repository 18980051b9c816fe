"""The list of runs: newest first, live, by the filter that the CLI and HTTP have too."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from typing import ClassVar

import msgspec
from rich.text import Text
from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.suggester import Suggester
from textual.widget import Widget
from textual.widgets import Input

from ksl.errors import BadRequest
from ksl.tui import safe, words
from ksl.tui.acting import act_on_runs, start_a_run
from ksl.tui.client import Json, Lost, Refused, part
from ksl.tui.frame import Framed, Line
from ksl.tui.lines import Lines
from ksl.tui.link import Change
from ksl.views.run_query import KEYS, STATES, BadQuery, run_query

PAGE = 200
AHEAD = 40  # the next page is asked for when the cursor is so near to the end
DEBOUNCE_S = 0.15
CLOSER = 4  # running runs that are looked at closer, once a second
REFRESH_S = 0.5  # while runs change, their first page is asked for this often at most


class RunLine(msgspec.Struct):
    """What a line shows; the inputs and outputs that come along are not even read."""

    run_id: str
    workflow: str
    status: str
    trigger: str
    triggered_at: str
    started_at: str | None = None
    finished_at: str | None = None
    attempt: int = 1
    error: Json | None = None
    waiting_on: list[Json] = []


class Count(msgspec.Struct):
    runs: int
    exact: bool


class Page(msgspec.Struct):
    runs: list[RunLine]
    next_cursor: str | None
    count: Count | None = None


class _Step(msgspec.Struct):
    id: str
    status: str
    attempts: int


class _Steps(msgspec.Struct):
    steps: list[_Step]


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
        options = {"state": list(STATES), "workflow": self.slugs}.get(key, [])
        found = next((each for each in options if begun and each.startswith(begun)), None)
        return f"{before}{minus}{key}:{done}{comma}{found}" if found else None


class RunsScreen(Framed):
    tab = "runs"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "Open", id="runs.open"),
        Binding("n", "new", "New run", id="runs.new"),
        Binding("r", "rerun", "Rerun", id="runs.rerun"),
        Binding("c", "cancel", "Cancel", id="runs.cancel"),
        Binding("t", "retry", "Retry", show=False, id="runs.retry"),
        Binding("slash", "filter", "Filter", key_display="/", id="runs.filter"),
        Binding("x", "mark", "Mark", id="runs.mark"),
        Binding("X", "unmark", "Unmark all, clear the filter", show=False, id="runs.clear"),
        Binding("f", "follow", "Follow", id="runs.follow"),
        Binding("y", "copy", "Copy the run's id", show=False, id="runs.copy"),
        Binding("o", "browse", "Open the run in the browser", show=False, id="runs.browse"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[RunLine] = []
        self.marked: set[str] = set()
        self.unseen: set[str] = set()  # runs that came while the cursor was elsewhere
        self.query_text = ""
        self.loaded = False
        self._count: Count | None = None
        self._whole: Count | None = None  # without the filter
        self._cursor: str | None = None
        self._stale = asyncio.Event()
        self._anew = False  # the filter is another: the lines shown go when those of the new one are here
        self._more = False
        self._slugs: list[str] = []
        self._under_way: dict[str, str] = {}  # by run: the steps it is at, of the running ones in sight

    def body(self) -> Iterator[Widget]:
        self._words = Words()
        with Vertical(id="filter"):
            yield Input(
                placeholder='filter, like state:failed since:1d took:>5s "o-118"',
                suggester=self._words,
                id="query",
                compact=True,
            )
            yield Line(id="wrong", classes="wrong")
        yield Line(id="heading", classes="heading")
        yield Lines(id="runs")
        yield Line(id="news", classes="news")

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one("#filter").display = False
        self.query_one("#news").display = False
        self.query_one(Lines).focus()
        self.run_worker(self._refreshing(), group="refreshing")

    def resized(self) -> None:
        super().resized()
        if self.loaded:
            self._show()

    def second(self) -> None:
        self.query_one(Lines).refresh()
        if any(run.status == "running" for run in self._in_sight()):
            self.run_worker(self._look_closer, group="closer", exclusive=True)

    def _in_sight(self) -> list[RunLine]:
        lines = self.query_one(Lines)
        top = lines.scroll_offset.y
        return self.rows[top : top + lines.size.height]

    async def _look_closer(self) -> None:
        """At which steps the running ones are: their rows do not say."""
        running = [run for run in self._in_sight() if run.status == "running"][:CLOSER]
        found: dict[str, str] = {}
        for run in running:
            try:
                assert self.client is not None
                steps = (await self.client.typed(_Steps, f"/runs/{part(run.run_id)}", include="steps")).steps
            except (Lost, Refused):
                return
            at = [step for step in steps if step.status in ("running", "retrying")]
            found[run.run_id] = ", ".join(
                step.id + (f" try {step.attempts}" if step.attempts > 1 else "") for step in at
            )
        self._under_way = found
        self.query_one(Lines).refresh()

    @property
    def following(self) -> bool:
        return self.query_one(Lines).place == 0

    @property
    def chosen(self) -> RunLine | None:
        key = self.query_one(Lines).key
        return next((run for run in self.rows if run.run_id == key), None)

    # asking

    async def load(self) -> None:
        assert self.client is not None
        page = await self.client.typed(Page, "/runs", q=self.query_text or None, limit=PAGE, count="true")
        if self.query_text and self._whole is None:
            self._whole = (await self.client.typed(Page, "/runs", limit=1, count="true")).count
        self._count, self.loaded = page.count, True
        if self.following or self._anew or not self.rows:
            self.rows, self._cursor, self._anew = page.runs, page.next_cursor, False
            self.unseen.clear()
        else:
            self._merge(page)
        self._show()
        if not self._slugs:
            self._slugs = self._words.slugs = await self._named()
            if not self.rows:
                self._show()

    async def _named(self) -> list[str]:
        assert self.client is not None
        return [each["slug"] for each in (await self.client.get("/workflows"))["workflows"]]

    def _merge(self, page: Page) -> None:
        """The lines stay where they are; what is in them is made new, and new runs are counted."""
        fresh = {run.run_id: run for run in page.runs}
        here = {run.run_id for run in self.rows}
        self.rows = [fresh.get(run.run_id, run) for run in self.rows]
        newest = self.rows[0].triggered_at if self.rows else ""
        self.unseen = {
            run.run_id for run in page.runs if run.run_id not in here and run.triggered_at >= newest
        }

    def changes(self, changes: list[Change]) -> None:
        self._stale.set()

    async def _refreshing(self) -> None:
        while True:
            await self._stale.wait()
            self._stale.clear()
            await self._loading()
            await asyncio.sleep(REFRESH_S)

    def refused(self, refused: Refused) -> None:
        if self.query_text:
            self._wrong(refused.detail)
        else:
            super().refused(refused)

    @on(Lines.Moved)
    def _moved(self) -> None:
        lines = self.query_one(Lines)
        if self._cursor is not None and not self._more and lines.place + AHEAD >= len(self.rows):
            self._more = True
            self.run_worker(self._next_page(), group="more")
        if lines.place == 0 and self.unseen:
            self.reload()

    async def _next_page(self) -> None:
        try:
            if self.client is not None and self._cursor is not None:
                page = await self.client.typed(
                    Page, "/runs", q=self.query_text or None, limit=PAGE, cursor=self._cursor
                )
                here = {run.run_id for run in self.rows}
                self.rows += [run for run in page.runs if run.run_id not in here]
                self._cursor = page.next_cursor
                self._show()
        except (Lost, Refused):
            pass  # the cursor's next move asks again
        finally:
            self._more = False

    # showing

    def _show(self) -> None:
        lines, rows = self.query_one(Lines), self.rows
        if rows:
            lines.show([run.run_id for run in rows], lambda place, width: self._painted(rows[place], width))
        else:
            told = self._empty()
            lines.show([None] * len(told), lambda place, width: Text(safe.line(told[place], width)))
        heading = self.query_one("#heading", Line)
        heading.display = not self.has_class("tiny")
        heading.show(self._heading())
        news = self.query_one("#news", Line)
        news.display = bool(self.unseen)
        rule = self.ksl.look.rule * 2
        news.show(f"{rule} {words.count(len(self.unseen), 'new run')}: f to follow {rule}")

    def _empty(self) -> list[str]:
        if self.query_text:
            whole = "" if self._whole is None else f" of {self._whole.runs:,}"
            return ["", f"  0{whole} match. X clears the filter."]
        slug = self._slugs[0] if self._slugs else "SLUG"
        return [
            "",
            "  No runs yet. Press n to start one, or:",
            "",
            f"    ksl workflows run {slug} --input '{{…}}'",
        ]

    def _heading(self) -> Text:
        where = self._columns("run", "workflow", "by", "started", "took", "now at")
        figure = ""
        if self.query_text and self._count is not None:
            whole = "" if self._whole is None else f" of {self._whole.runs:,}"
            figure = f"{self._count.runs:,}{'' if self._count.exact else '+'}{whole}"
        elif self.marked:
            figure = f"{len(self.marked)} marked"
        width = self.ksl.size.width
        if figure:
            where = safe.padded(where, max(width - len(figure) - 2, 0)) + figure
        return Text(where, style="bold dim")

    def _columns(self, run: str, workflow: str, by: str, started: str, took: str, at: str) -> str:
        """The heading, laid out as the lines are."""
        sign = " " * (len(self.ksl.look.states["running"]) + 3)
        cells = [sign, safe.padded(run, 9)]
        width = self.ksl.size.width
        cells.append(safe.padded(workflow, self._name_width(width)))
        if width >= NARROW_LIST:
            cells.append(safe.padded(by, 8))
        if width >= 60:
            cells.append(safe.padded(started, 9))
        return "".join([*cells, safe.padded(took, 9), at])

    def _name_width(self, width: int) -> int:
        return 16 if width < 60 else 22 if width < NARROW_LIST else 26 if width < 140 else 34

    def _painted(self, run: RunLine, width: int) -> Text:
        look, now_ms = self.ksl.look, self.ksl.now_ms()
        colour = words.COLOURS.get(run.status, "")
        text = Text()
        mark = "x" if run.run_id in self.marked else " "
        text.append(f"{mark} ")
        text.append(f"{look.states.get(run.status, '?')} ", colour)
        text.append(safe.padded(safe.line(run.run_id)[-8:], 9), "dim")
        name = self._name_width(self.ksl.size.width)
        text.append(safe.padded(safe.line(run.workflow, name - 1), name))
        if self.ksl.size.width >= NARROW_LIST:
            text.append(safe.padded(run.trigger, 8), "dim")
        if self.ksl.size.width >= 60:
            begun = words.moment(run.triggered_at)
            text.append(safe.padded(words.ago(begun, now_ms), 9), "dim")
        text.append(safe.padded(self._took(run, now_ms), 9))
        room = max(width - text.cell_len, 0)
        text.append(safe.line(self._now_at(run, now_ms), room) if room else "", colour)
        return text

    def _took(self, run: RunLine, now_ms: int) -> str:
        began = words.moment(run.started_at)
        if began is None:
            return ""
        ended = words.moment(run.finished_at)
        return (
            words.took(now_ms - began) + self.ksl.look.glyphs.more[:1]
            if ended is None
            else words.took(ended - began)
        )

    def _now_at(self, run: RunLine, now_ms: int) -> str:
        if run.status in ("failed", "held") and run.error:
            step = words.bare(run.error.get("step"))
            return " ".join(
                filter(None, [step, str(run.error.get("type") or ""), str(run.error.get("message") or "")])
            )
        waits: list[str] = []
        for each in run.waiting_on:
            until = words.left(words.moment(each.get("due")), now_ms)
            kind, name = str(each.get("kind")), str(each.get("name") or words.bare(each.get("step")))
            what = name if name.startswith(kind) else f"{kind} {name}"
            waits.append(what + (f", {until.removeprefix('in ')} left" if until else ""))
        if waits:
            return "; ".join(waits)
        if run.status == "running" and run.run_id in self._under_way:
            return self._under_way[run.run_id]
        return f"attempt {run.attempt}" if run.attempt > 1 and run.status not in words.ENDED else ""

    # the filter

    def action_filter(self) -> None:
        self.query_one("#filter").display = True
        self.query_one("#query", Input).focus()

    @on(Input.Changed, "#query")
    def _typed(self, event: Input.Changed) -> None:
        try:
            run_query(event.value, now_ms=self.ksl.now_ms())
        except BadQuery as wrong:
            self._wrong(str(wrong), at=(wrong.start, wrong.end))
            return
        except BadRequest as wrong:
            self._wrong(str(wrong))
            return
        self._wrong("")
        self.run_worker(partial(self._search, event.value), group="search", exclusive=True)

    async def _search(self, text: str) -> None:
        await asyncio.sleep(DEBOUNCE_S)
        if text.strip() != self.query_text:
            self.query_text, self._whole, self._anew = text.strip(), None, True
            self.reload()

    def _wrong(self, text: str, at: tuple[int, int] | None = None) -> None:
        line = self.query_one("#wrong", Line)
        shown = Text()
        if text and at is not None:
            typed = self.query_one("#query", Input).value
            shown.append(safe.line(typed[at[0] : at[1]], 40), "underline red")
            shown.append("  ")
        shown.append(safe.line(text, 300), "red")
        line.display = bool(text)
        line.show(shown)

    @on(Input.Submitted, "#query")
    def _submitted(self) -> None:
        self.query_one(Lines).focus()
        if not self.query_text:
            self.query_one("#filter").display = False

    def action_back(self) -> None:
        if self.query_one("#query", Input).has_focus:
            self._submitted()
        elif self.query_text or self.marked:
            self.action_unmark()

    # what a person asks for

    @on(Lines.Chosen)
    def _chosen(self, event: Lines.Chosen) -> None:
        if event.key is not None:
            self.ksl.open_run(event.key)

    def action_mark(self) -> None:
        if (run := self.chosen) is not None:
            self.marked ^= {run.run_id}
            self.query_one(Lines).action_down()
            self._show()

    def action_unmark(self) -> None:
        self.marked.clear()
        self.query_one("#query", Input).value = ""
        self.query_one("#filter").display = False
        if self.query_text:
            self.query_text, self._anew = "", True
            self.reload()
        self._show()

    def action_follow(self) -> None:
        self.query_one(Lines).action_first()
        self.reload()

    def action_new(self) -> None:
        start_a_run(self)

    def action_rerun(self) -> None:
        self._act("rerun")

    def action_cancel(self) -> None:
        self._act("cancel")

    def action_retry(self) -> None:
        self._act("retry")

    def _act(self, verb: str) -> None:
        meant = [run for run in self.rows if run.run_id in self.marked]
        if not meant and (run := self.chosen) is not None:
            meant = [run]
        if meant:
            act_on_runs(self, verb, [(run.run_id, run.workflow) for run in meant], done=self.marked.clear)

    def action_copy(self) -> None:
        if (run := self.chosen) is not None:
            self.copy(run.run_id)

    def action_browse(self) -> None:
        if (run := self.chosen) is not None:
            self.ksl.browse(f"/ui/runs/{part(run.run_id)}")


NARROW_LIST = 96  # below so many columns the list leaves out how runs were started

"""The list of runs: newest first, live, by the filter that the CLI and HTTP have too."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.binding import Binding, BindingType
from textual.command import Provider
from textual.widget import Widget

from ksl.tui import safe, words
from ksl.tui.acting import act_on_runs, start_a_run
from ksl.tui.client import Lost, Refused, part
from ksl.tui.filter_box import FilterBox
from ksl.tui.filter_commands import FilterCommands
from ksl.tui.frame import Framed, Line
from ksl.tui.lines import Lines
from ksl.tui.link import Change
from ksl.tui.run_line import RunColumns
from ksl.tui.run_rows import ORDERS, Count, Order, Page, RunLine, RunRows

PAGE = 200
AHEAD = 40  # the next page is asked for when the cursor is so near to the end
REFRESH_S = 0.5  # while runs change, their first page is asked for this often at most
LOOK_AGAIN_S = 30  # for what no event tells: runs that were deleted, words of the filter that go on with time
SLOW_S = 0.15  # from here on it is told that an answer is waited for


class RunsScreen(Framed):
    tab = "runs"
    COMMANDS: ClassVar[set[type[Provider] | Callable[[], type[Provider]]]] = {FilterCommands}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "Open", id="runs.open"),
        Binding("n", "new", "New run", id="runs.new"),
        Binding("r", "rerun", "Rerun", id="runs.rerun"),
        Binding("c", "cancel", "Cancel", id="runs.cancel"),
        Binding("t", "retry", "Retry", show=False, id="runs.retry"),
        Binding("slash", "filter", "Filter", key_display="/", id="runs.filter"),
        Binding("s", "sort", "Sort", id="runs.sort"),
        Binding("x", "mark", "Mark", show=False, id="runs.mark"),
        Binding("X", "unmark", "Unmark all, clear the filter", show=False, id="runs.clear"),
        Binding("f", "follow", "Follow", id="runs.follow"),
        Binding("y", "copy", "Copy the run's id", show=False, id="runs.copy"),
        Binding("o", "browse", "Open the run in the browser", show=False, id="runs.browse"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.runs = RunRows()
        self.rows: list[RunLine] = []  # as they are shown
        self.order: Order = "started"
        self.marked: set[str] = set()
        self.query_text = ""
        self.loaded = False
        self._whole: Count | None = None  # without the filter
        self._follows = True
        self._anew = False  # the filter is another: the lines shown go when those of the new one are here
        self._more = False
        self._wake = asyncio.Event()
        self._slugs: list[str] = []
        self._seconds = 0

    def body(self) -> Iterator[Widget]:
        yield FilterBox(self.ksl.now_ms)
        yield Line(id="heading", classes="heading")
        yield Lines(id="runs")
        yield Line(id="news", classes="news")

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one("#news").display = False
        self.query_one(Lines).focus()
        self.run_worker(self._refreshing(), group="refreshing")
        self.set_timer(SLOW_S, self._tell_of_waiting)

    def on_screen_resume(self) -> None:
        self.runs.anything_changed()  # what happened while another screen was in front was not told here
        super().on_screen_resume()

    def resized(self) -> None:
        super().resized()
        if self.loaded:
            self._show()

    def second(self) -> None:
        self.query_one(Lines).refresh()
        self._seconds += 1
        if self._seconds % LOOK_AGAIN_S == 0:
            self.runs.anything_changed()
            self._wake.set()
        elif self._stale_in_sight():
            self._wake.set()

    @property
    def following(self) -> bool:
        """New runs come in above: nobody has gone elsewhere in the list."""
        return self._follows and self.order == "started" and self.query_one(Lines).scroll_offset.y == 0

    @property
    def unseen(self) -> set[str]:
        return self.runs.unseen

    @property
    def chosen(self) -> RunLine | None:
        key = self.query_one(Lines).key
        return next((run for run in self.rows if run.run_id == key), None)

    # asking

    async def load(self) -> None:
        assert self.client is not None
        text = self.query_text
        page = await self.client.typed(Page, "/runs", q=text or None, limit=PAGE, count="true")
        if text and self._whole is None:
            self._whole = (await self.client.typed(Page, "/runs", limit=1, count="true")).count
        if text != self.query_text:
            return  # another filter was typed meanwhile, and is asked for
        self.loaded = True
        if self.following or self._anew or not self.runs.loaded:
            self._anew = False
            self.runs.begin(page)
        else:
            self.runs.renew(page, keep=self._kept())
            await self._again(text)
        self._show()
        if not self._slugs:
            self._slugs = await self._named()
            self.query_one(FilterBox).know(self._slugs)
            if not self.rows:
                self._show()

    async def _again(self, text: str) -> None:
        """Those beyond the first page that have changed, as far as they are in sight, and what the filter has lost."""
        assert self.client is not None
        asked = sorted(self.runs.stale)[:PAGE] if self.order != "started" else self._stale_in_sight()
        if asked:
            page = await self.client.typed(Page, "/runs", q=f"{text} id:{','.join(asked)}", limit=len(asked))
            self.runs.take_again(asked, page.runs, keep=self._kept())
        if fallen := sorted(self.runs.fallen)[:PAGE]:
            page = await self.client.typed(Page, "/runs", q=f"id:{','.join(fallen)}", limit=len(fallen))
            self.runs.take_fallen(fallen, page.runs)

    def _kept(self) -> set[str]:
        """What a person has chosen stays on the screen, as long as it is chosen."""
        key = self.query_one(Lines).key
        return self.marked | ({key} if key is not None else set())

    def _stale_in_sight(self) -> list[str]:
        lines = self.query_one(Lines)
        top = lines.scroll_offset.y
        in_sight = self.rows[top : top + lines.size.height]
        return [run.run_id for run in in_sight if run.run_id in self.runs.stale]

    async def _named(self) -> list[str]:
        assert self.client is not None
        return [each["slug"] for each in (await self.client.get("/workflows"))["workflows"]]

    def changes(self, changes: list[Change]) -> None:
        if changes:
            self.runs.changed({change.run_id for change in changes})
        else:
            self.runs.anything_changed()
        self._wake.set()

    async def _refreshing(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self._loading()
            await asyncio.sleep(REFRESH_S)

    def refused(self, refused: Refused) -> None:
        if self.query_text:
            self.query_one(FilterBox).wrong(refused.detail)
        else:
            super().refused(refused)

    @on(Lines.Moved)
    def _moved(self) -> None:
        lines = self.query_one(Lines)
        self._follows = lines.place == 0
        if self.runs.cursor is not None and not self._more and lines.place + AHEAD >= len(self.rows):
            self._more = True
            self.run_worker(self._next_page(), group="more")
        if self.runs.fallen and self.runs.drop_fallen(keep=self._kept()):
            self._show()
        if (self._follows and self.unseen) or self._stale_in_sight():
            self._wake.set()

    async def _next_page(self) -> None:
        text = self.query_text
        try:
            if self.client is not None and self.runs.cursor is not None:
                page = await self.client.typed(
                    Page, "/runs", q=text or None, limit=PAGE, cursor=self.runs.cursor
                )
                if text == self.query_text:
                    self.runs.extend(page)
                    self._show()
        except (Lost, Refused):
            pass  # the cursor's next move asks again
        finally:
            self._more = False

    # showing

    def _tell_of_waiting(self) -> None:
        if not self.loaded and self.alive:
            self.query_one(Lines).show([None], lambda _place, _width: Text("  Asking for the runs", "dim"))

    def _show(self) -> None:
        lines = self.query_one(Lines)
        rows = self.rows = self.runs.in_order(self.order, self.ksl.now_ms())
        follows = self.following
        if rows:
            columns = RunColumns(self.ksl.look, self.ksl.size.width)
            lines.show(
                [run.run_id for run in rows], lambda place, width: self._painted(columns, rows[place], width)
            )
            if follows:
                self._stay_at_top(lines)
        else:
            told = self._empty()
            lines.show([None] * len(told), lambda place, width: Text(safe.line(told[place], width)))
        heading = self.query_one("#heading", Line)
        heading.display = not self.has_class("tiny")
        heading.show(self._heading())
        news = self.query_one("#news", Line)
        news.display = bool(self.unseen)
        rule, more = self.ksl.look.rule * 2, "+" if self.runs.more_unseen else ""
        new = "new run" if len(self.unseen) == 1 else "new runs"
        news.show(
            f"{rule} {len(self.unseen):,}{more} {new}: {self.ksl.key_of('runs.follow')} to follow {rule}"
        )

    def _stay_at_top(self, lines: Lines) -> None:
        """The chosen run stays chosen while new ones come in above it, until it would leave the screen."""
        if lines.place >= max(lines.size.height, 1):
            lines.action_first()
        lines.scroll_to(y=0, animate=False, force=True)

    def _painted(self, columns: RunColumns, run: RunLine, width: int) -> Text:
        return columns.line(
            run,
            width,
            self.ksl.now_ms(),
            marked=run.run_id in self.marked,
            fallen=run.run_id in self.runs.fallen,
        )

    def _empty(self) -> list[str]:
        if self.query_text:
            whole = "" if self._whole is None else f" of {self._whole}"
            return ["", f"  0{whole} match. {self.ksl.key_of('runs.mark')} clears the filter."]
        slug = self._slugs[0] if self._slugs else "SLUG"
        return [
            "",
            f"  No runs yet. Press {self.ksl.key_of('runs.new')} to start one, or:",
            "",
            f"    ksl workflows run {slug} --input '{{…}}'",
        ]

    def _heading(self) -> Text:
        told: list[str] = []
        if self.marked:
            told.append(f"{len(self.marked):,} marked")
        if self.order != "started":
            loaded = words.count(len(self.rows), "run")
            told.append(
                f"by {self.order}, of the newest {loaded}" if self.runs.cursor else f"by {self.order}"
            )
        if self.query_text and self.runs.count is not None:
            told.append(f"{self.runs.count}" + ("" if self._whole is None else f" of {self._whole}"))
        figure, width = "; ".join(told), self.ksl.size.width
        where = RunColumns(self.ksl.look, width).heading(self.order)
        if figure:
            where = safe.padded(where, max(width - len(figure) - 2, 0)) + figure
        return Text(where, style="bold dim")

    # the filter

    def action_filter(self) -> None:
        self.query_one(FilterBox).open()

    def filter_by(self, text: str) -> None:
        """As if it had been typed."""
        self.query_one(FilterBox).put(text)
        self.query_one(Lines).focus()
        self._mean(text)

    @on(FilterBox.Meant)
    def _meant(self, event: FilterBox.Meant) -> None:
        self._mean(event.text)

    def _mean(self, text: str) -> None:
        if text != self.query_text:
            self.query_text, self._whole, self._anew, self._follows = text, None, True, True
            self.reload()

    @on(FilterBox.Left)
    def _left(self) -> None:
        self.query_one(Lines).focus()

    def action_back(self) -> None:
        box = self.query_one(FilterBox)
        if box.typed.has_focus:
            box.leave()
        elif self.query_text or self.marked or box.display:
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
        elif self.query_text:
            self.action_unmark()

    def action_unmark(self) -> None:
        self.marked.clear()
        self.filter_by("")
        self._show()

    def action_sort(self) -> None:
        self.order = ORDERS[(ORDERS.index(self.order) + 1) % len(ORDERS)]
        self._show()
        if self.order != "started" and self.runs.stale:
            self._wake.set()

    def action_follow(self) -> None:
        self.order = "started"
        self.query_one(Lines).action_first()
        self._follows = True
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

"""What waits for an answer, and the form to give it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widget import Widget

from ksl.tui import safe, words
from ksl.tui.client import Json, Lost, Refused, part
from ksl.tui.dialogs import Ask, View
from ksl.tui.form import Form
from ksl.tui.frame import Framed
from ksl.tui.hook_pane import HookPane, time_left, title_of, what_became
from ksl.tui.lines import Lines
from ksl.tui.link import Change
from ksl.views.answer_lanes import answer_lanes


class HooksScreen(Framed):
    tab = "hooks"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "Fill in", id="hooks.fill"),
        Binding("ctrl+s", "answer", "Answer", priority=True, id="hooks.answer"),
        Binding("ctrl+r", "reject", "Reject", priority=True, id="hooks.reject"),
        Binding("ctrl+t", "raw", "JSON", priority=True, id="hooks.raw"),
        Binding("u", "copy", "Copy URL", id="hooks.copy"),
        Binding("r", "run", "Its run", id="hooks.run"),
        Binding("d", "details", "Details", id="hooks.details"),
        Binding("y", "copy_run", "Copy the run's id", show=False, id="hooks.copy-run"),
        Binding("o", "browse", "Open its page in the browser", show=False, id="hooks.browse"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.hooks: list[Json] = []
        self.loaded = False
        self.wanted_run: str | None = None

    def body(self) -> Iterator[Widget]:
        with Horizontal(id="hooks-body"):
            with Vertical(id="list-pane", classes="pane"):
                yield Lines(id="hooks")
            yield HookPane()

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one("#hooks").focus()

    def on_screen_resume(self) -> None:
        super().on_screen_resume()
        if self.form is None:
            self.query_one("#hooks").focus()

    def resized(self) -> None:
        super().resized()
        self._show_panes()

    @property
    def pane(self) -> HookPane:
        return self.query_one(HookPane)

    @property
    def shown(self) -> Json | None:
        """The hook whose form is there."""
        return self.pane.hook

    @property
    def form(self) -> Form | None:
        return self.pane.form

    def _show_panes(self) -> None:
        narrow, filling = self.has_class("narrow"), self.pane.is_filling
        self.query_one("#list-pane").display = not (narrow and filling)
        self.pane.display = not narrow or filling

    # asking

    async def load(self) -> None:
        assert self.client is not None
        self.hooks = (await self.client.get("/hooks"))["hooks"]
        self.loaded = True
        self._show()

    def changes(self, changes: list[Change]) -> None:
        if not changes or any(change.type.startswith(("hook_", "run_c", "run_f")) for change in changes):
            self.reload()

    def second(self) -> None:
        self.query_one("#hooks").refresh()
        if self.ksl.link.state != "lost":
            self.pane.tell(self.ksl.now_ms())

    # showing

    def _show(self) -> None:
        lines = self.query_one("#hooks", Lines)
        if not self.hooks:
            lines.show([None, None], lambda place, _width: Text("  Nothing waits for you." if place else ""))
        else:
            lines.show([_key(hook) for hook in self.hooks], partial(self._paint, self.hooks))
        self.query_one("#list-pane").border_title = f"waiting {len(self.hooks)}"
        if self.wanted_run is not None:
            wanted, self.wanted_run = self.wanted_run, None
            lines.select(next((_key(hook) for hook in self.hooks if hook["run_id"] == wanted), None))
        self._show_hook(lines.key)

    def _paint(self, hooks: list[Json], place: int, width: int) -> Text:
        hook = hooks[place]
        limit = time_left(hook, self.ksl.now_ms())
        sign = self.ksl.look.states["waiting"]
        room = max(width - len(limit) - len(sign) - 4, 4)
        return Text.assemble(
            (f"{sign} ", "yellow"), safe.padded(safe.line(title_of(hook)), room), "  ", (limit, "dim")
        )

    def _show_hook(self, key: str | None) -> None:
        pane = self.pane
        hook = next((hook for hook in self.hooks if _key(hook) == key), None)
        open_still = pane.hook is not None and any(_key(each) == _key(pane.hook) for each in self.hooks)
        if pane.hook is not None and pane.form is not None and pane.is_filling and not open_still:
            # Somebody else was quicker. What was typed stays to be read until the person leaves it.
            self.run_worker(partial(self._tell_of_end, pane.hook, pane.form), group="end", exclusive=True)
            return
        if hook is not None and pane.hook is not None and _key(hook) == _key(pane.hook):
            pane.hook = hook  # how its link was used may be new
            pane.tell(self.ksl.now_ms())
            return
        pane.show(hook, self.ksl.now_ms())
        if hook is not None:
            self.run_worker(partial(self._find_lanes, hook), group="lanes", exclusive=True)

    async def _tell_of_end(self, hook: Json, form: Form) -> None:
        told = "it was answered, or its run has ended."
        if self.client is not None:
            with suppress(Lost, Refused):
                run = await self.client.get(f"/runs/{part(hook['run_id'])}", include="steps")
                id = words.bare(hook["step"])
                told = what_became(next((step for step in run["steps"] if step["id"] == id), None))
        form.problem(f"This hook takes no answer any more: {told}")

    async def _find_lanes(self, hook: Json) -> None:
        if self.client is None:
            return
        with suppress(Lost, Refused):  # it is told beside; the form is there without it
            asked = f"/workflows/{part(hook['workflow'])}/canvas"
            canvas = await self.client.get(asked, run=hook["run_id"], expand="true")
            if self.shown is hook or (self.shown is not None and _key(self.shown) == _key(hook)):
                self.pane.leads(answer_lanes(canvas, words.bare(hook["step"]), hook["schema"]))

    @on(Lines.Moved, "#hooks")
    def _moved(self, event: Lines.Moved) -> None:
        self._show_hook(event.key)

    @on(Lines.Chosen, "#hooks")
    def _chosen(self) -> None:
        self.action_fill()

    def on_descendant_focus(self) -> None:
        self.call_later(self._show_panes)

    # what a person asks for

    def choose_run(self, run_id: str) -> None:
        self.wanted_run = run_id
        self.reload()

    def action_fill(self) -> None:
        if self.form is not None:
            self.pane.display = True
            self.form.focus_first()

    def action_back(self) -> None:
        self.query_one("#list-pane").display = True
        self.query_one("#hooks").focus()
        self.reload()

    def action_raw(self) -> None:
        if self.form is not None:
            self.form.toggle_raw()

    def action_answer(self) -> None:
        if self.form is not None and self.shown is not None:
            if not self.form.has_focus_within:
                self.action_fill()
                return
            if (payload := self.form.payload()) is not None:
                body = {"step": words.bare(self.shown["step"]), "payload": payload[0]}
                self.run_worker(partial(self._send, self.shown, "resume", body, self.form), group="act")

    def action_reject(self) -> None:
        if self.shown is not None and self.form is not None:
            self.run_worker(partial(self._reject, self.shown, self.form), group="act")

    async def _reject(self, hook: Json, form: Form) -> None:
        reason = await self.ksl.push_screen_wait(
            Ask(
                f"Reject {title_of(hook)}?", ["The run gets HookRejected."], reason="reason, shown to the run"
            )
        )
        if reason is not None:
            await self._send(hook, "reject", {"step": words.bare(hook["step"]), "reason": reason}, form)

    async def _send(self, hook: Json, verb: str, body: Json, form: Form) -> None:
        if self.client is None:
            return
        if self.client.door.read_only:
            form.problem(
                "No server runs, so nobody takes the answer; what you typed is kept. Start one with S, or answer "
                f"without: ksl hooks resume {hook['run_id']} --step {words.bare(hook['step'])} --data JSON"
            )
            return
        try:
            answered = await self.client.post(f"/runs/{part(hook['run_id'])}/hooks/{verb}", body)
        except Refused as refused:
            form.refused(refused)
            return
        except Lost as lost:
            form.problem(f"{lost}. Nothing is known to have been done; what you typed is kept.")
            return
        self.say(f"{title_of(hook)}: {answered['status']}")
        self.pane.show(None, self.ksl.now_ms())
        self.action_back()

    def action_copy(self) -> None:
        if self.shown is not None and self._has_link(self.shown):
            self.copy(self.shown["url"])

    def action_copy_run(self) -> None:
        if self.shown is not None:
            self.copy(self.shown["run_id"])

    def action_run(self) -> None:
        if self.shown is not None:
            self.ksl.open_run(self.shown["run_id"])

    def action_details(self) -> None:
        if self.shown is not None:
            self.ksl.push_screen(View("Details", self.shown["details"]))

    def action_browse(self) -> None:
        if self.shown is not None and self._has_link(self.shown):
            self.ksl.open_url(self.shown["url"])

    def _has_link(self, hook: Json) -> bool:
        if hook["url"] is None:
            self.say(hook["why_no_url"], wrong=True)
        return hook["url"] is not None


def _key(hook: Json) -> str:
    return f"{hook['run_id']} {hook['step']}"

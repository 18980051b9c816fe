"""What starts runs by itself: when next, what of late, and firing it now."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widget import Widget

from ksl.tui import safe, words
from ksl.tui.client import Json, Lost, Refused, part
from ksl.tui.dialogs import Ask, Fill, View
from ksl.tui.frame import Framed, Line
from ksl.tui.lines import Lines
from ksl.tui.link import Change
from ksl.tui.trigger_lines import TriggerColumns, about, firing_line

FIRINGS = 30
REFRESH_S = 1.0  # while runs start, the list is asked for this often at most
LOOK_AGAIN_S = 5  # for firings that started nothing


class TriggersScreen(Framed):
    tab = "triggers"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "Firings", id="triggers.history"),
        Binding("t", "fire", "Fire now", id="triggers.fire"),
        Binding("space", "pause", "Pause or resume", id="triggers.pause"),
        Binding("u", "copy", "Copy URL", id="triggers.copy"),
        Binding("y", "copy_slug", "Copy the slug", show=False, id="triggers.copy-slug"),
        Binding("r", "run", "Its run", id="triggers.run"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.triggers: list[Json] = []
        self.firings: dict[str, list[Json]] = {}  # of those that were chosen so far
        self._wake = asyncio.Event()
        self._seconds = 0

    def body(self) -> Iterator[Widget]:
        yield Line(id="heading", classes="heading")
        with Vertical(id="triggers-body"):
            yield Lines(id="triggers")
            with Horizontal(id="about-trigger"):
                with Vertical(classes="pane", id="trigger-pane"):
                    yield Lines(id="trigger")
                with Vertical(classes="pane", id="firings-pane"):
                    yield Lines(id="firings")

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one("#firings-pane").border_title = "firings"
        self.query_one("#triggers").focus()
        self.run_worker(self._refreshing(), group="refreshing")

    def resized(self) -> None:
        super().resized()
        if self.triggers:
            self._show()

    @property
    def chosen(self) -> Json | None:
        key = self.query_one("#triggers", Lines).key
        return next((each for each in self.triggers if each["slug"] == key), None)

    async def load(self) -> None:
        assert self.client is not None
        self.triggers = (await self.client.get("/triggers", figures="true"))["triggers"]
        self._show()
        if (trigger := self.chosen) is not None:
            slug = trigger["slug"]
            known, recent = self.firings.get(slug), trigger["recent"]
            if known is None or [each["firing_id"] for each in known[:1]] != _newest(recent):
                asked = await self.client.get(f"/triggers/{part(slug)}/runs", limit=FIRINGS)
                self.firings[slug] = asked["firings"]
            self._show_chosen()

    def changes(self, changes: list[Change]) -> None:
        if not changes or any(change.type == "run_created" for change in changes):
            self._wake.set()

    async def _refreshing(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self._loading()
            await asyncio.sleep(REFRESH_S)

    def second(self) -> None:
        self.query_one("#triggers").refresh()
        self._seconds += 1
        if self._seconds % LOOK_AGAIN_S == 0:
            self._wake.set()  # what starts no run tells of no event

    def _show(self) -> None:
        lines = self.query_one("#triggers", Lines)
        heading = TriggerColumns(self.ksl.look, self.ksl.size.width).heading()
        self.query_one("#heading", Line).show(Text(heading, "bold dim"))
        if not self.triggers:
            told = "  No triggers. A workflow is attached to one in the folder triggers/."
            lines.show([None, None], lambda place, _width: Text(told if place else ""))
        else:
            lines.show([each["slug"] for each in self.triggers], partial(self._paint, self.triggers))
        self._show_chosen()

    def _paint(self, triggers: list[Json], place: int, width: int) -> Text:
        return TriggerColumns(self.ksl.look, self.ksl.size.width).line(
            triggers[place], width, self.ksl.now_ms()
        )

    @on(Lines.Moved, "#triggers")
    def _moved(self) -> None:
        self._show_chosen()
        if (trigger := self.chosen) is not None and trigger["slug"] not in self.firings:
            self.reload()

    def _show_chosen(self) -> None:
        trigger = self.chosen
        told_of, firings = self.query_one("#trigger", Lines), self.query_one("#firings", Lines)
        if trigger is None:
            for each in (told_of, firings):
                each.show([], lambda _place, _width: Text())
            return
        look, now_ms = self.ksl.look, self.ksl.now_ms()
        told = [*about(trigger, now_ms)]
        self.query_one("#trigger-pane").border_title = safe.line(trigger["slug"], 40).replace("[", "(")
        kind = "deliveries" if trigger["kind"] == "webhook" else "firings"
        self.query_one("#firings-pane").border_title = kind
        told_of.show([None] * len(told), lambda place, width: Text(safe.line(told[place], width)))
        rows = self.firings.get(trigger["slug"])
        if rows:
            firings.show(
                [row["firing_id"] for row in rows],
                lambda place, width: firing_line(rows[place], width, look, now_ms),
            )
        elif trigger["recent"]:
            firings.show([None], lambda _place, _width: Text("Asking for them", "dim"))
        else:
            firings.show([None], lambda _place, _width: Text("It has not fired yet.", "dim"))

    @on(Lines.Chosen, "#triggers")
    def _history(self) -> None:
        self.turn_to("firings", second=True)

    @on(Lines.Chosen, "#firings")
    def _firing(self, event: Lines.Chosen) -> None:
        trigger = self.chosen
        rows = self.firings.get(trigger["slug"], []) if trigger else []
        firing = next((each for each in rows if each["firing_id"] == event.key), None)
        if firing is not None:
            self.ksl.push_screen(View("Firing", firing))

    def action_back(self) -> None:
        self.turn_to("triggers", second=False)

    def action_run(self) -> None:
        trigger = self.chosen
        key = self.query_one("#firings", Lines).key
        rows = self.firings.get(trigger["slug"], []) if trigger else []
        firing = next((each for each in rows if each["firing_id"] == key), None)
        if firing is not None and firing["run_ids"]:
            self.ksl.open_run(firing["run_ids"][0])

    def action_fire(self) -> None:
        if (trigger := self.chosen) is not None:
            self.run_worker(self._fire(trigger), group="act")

    async def _fire(self, trigger: Json) -> None:
        """Shows the payload first, whoever makes it."""
        slug = trigger["slug"]

        async def send(payload: object) -> Json:
            assert self.client is not None
            return await self.client.post(f"/triggers/{part(slug)}/invoke", {"input": payload})

        if trigger["kind"] == "webhook":
            fired = await self.ksl.push_screen_wait(
                Fill(f"Fire {slug} with", trigger.get("payload_schema"), send, verb="Fire")
            )
        else:
            payload = trigger.get("payload")
            told = (
                [f"Its payload: {safe.short(payload, 300)}"]
                if trigger["kind"] == "cron"
                else ["It looks at its source now."]
            )
            if await self.ksl.push_screen_wait(Ask(f"Fire {slug} now?", told)) is None or self.client is None:
                return
            try:
                fired = await self.client.post(f"/triggers/{part(slug)}/invoke", {})
            except (Lost, Refused) as error:
                self.say(str(error), wrong=True)
                return
        if fired is not None:
            self.say(f"{slug}: {fired['verdict']}, {words.count(len(fired['run_ids']), 'run')}")
            self.reload()

    def action_pause(self) -> None:
        if (trigger := self.chosen) is not None:
            self.run_worker(self._switch(trigger), group="act")

    async def _switch(self, trigger: Json) -> None:
        verb = "disable" if trigger["enabled"] else "enable"
        try:
            assert self.client is not None
            await self.client.post(f"/triggers/{part(trigger['slug'])}/{verb}", {})
        except (Lost, Refused) as error:
            self.say(str(error), wrong=True)
            return
        self.reload()

    def action_copy(self) -> None:
        if (trigger := self.chosen) is not None:
            if trigger.get("url"):
                self.copy(trigger["url"])
            else:
                self.say("Only a webhook has an address.")

    def action_copy_slug(self) -> None:
        if (trigger := self.chosen) is not None:
            self.copy(trigger["slug"])


def _newest(recent: list[Json]) -> list[str]:
    return [each["firing_id"] for each in recent[:1]]

"""What starts runs by itself: when next, what of late, and firing it now."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widget import Widget

from ksl.define.schedule import Schedule
from ksl.tui import safe, words
from ksl.tui.client import Json, Lost, Refused, part
from ksl.tui.dialogs import Ask, Fill, View
from ksl.tui.frame import Framed, Line
from ksl.tui.lines import Lines
from ksl.tui.link import Change

FIRINGS = 30
NEXT = 3


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
        self.firings: dict[str, list[Json]] = {}
        self.whole: dict[str, Json] = {}

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
        client = self.client
        self.triggers = (await client.get("/triggers"))["triggers"]
        for trigger in self.triggers:
            slug = trigger["slug"]
            self.whole[slug] = await client.get(f"/triggers/{part(slug)}")
            self.firings[slug] = (await client.get(f"/triggers/{part(slug)}/runs", limit=FIRINGS))["firings"]
        self._show()

    def changes(self, changes: list[Change]) -> None:
        if not changes or any(change.type == "run_created" for change in changes):
            self.reload()

    def second(self) -> None:
        self.query_one("#triggers").refresh()

    def _show(self) -> None:
        lines = self.query_one("#triggers", Lines)
        sign = " " * 4
        self.query_one("#heading", Line).show(
            Text(f"{sign}{'name':<22}{'kind':<9}{'workflow':<24}{'next':<12}last firings", "bold dim")
        )
        if not self.triggers:
            told = "  No triggers. A workflow is attached to one in the folder triggers/."
            lines.show([None, None], lambda place, _width: Text(told if place else ""))
        else:
            lines.show([each["slug"] for each in self.triggers], partial(self._paint, self.triggers))
        self._show_chosen()

    def _paint(self, triggers: list[Json], place: int, width: int) -> Text:
        trigger, look, now_ms = triggers[place], self.ksl.look, self.ksl.now_ms()
        on_ = trigger["enabled"]
        text = Text(style="" if on_ else "dim")
        text.append(f" {look.bullet if on_ else '-'}  ", "green" if on_ else "")
        text.append(safe.padded(safe.line(trigger["slug"], 21), 22))
        text.append(safe.padded(trigger["kind"], 9), "dim")
        targets = ", ".join(each["workflow"] for each in trigger["attachments"])
        text.append(safe.padded(safe.line(targets, 23), 24))
        nexts = next_times(trigger, now_ms, 1)
        text.append(
            safe.padded(words.left(nexts[0], now_ms) if nexts and on_ else "" if on_ else "paused", 12)
        )
        for firing in self.firings.get(trigger["slug"], [])[: max(width - text.cell_len, 0)]:
            verdict = firing["verdict"]
            text.append(look.states.get(verdict, "x")[:1], words.COLOURS.get(verdict, "red"))
        return text

    @on(Lines.Moved, "#triggers")
    def _show_chosen(self) -> None:
        trigger = self.chosen
        about, firings = self.query_one("#trigger", Lines), self.query_one("#firings", Lines)
        if trigger is None:
            for each in (about, firings):
                each.show([], lambda _place, _width: Text())
            return
        told = [*self._about(self.whole.get(trigger["slug"], trigger))]
        self.query_one("#trigger-pane").border_title = safe.line(trigger["slug"], 40).replace("[", "(")
        about.show([None] * len(told), lambda place, width: Text(safe.line(told[place], width)))
        rows = self.firings.get(trigger["slug"], [])
        if not rows:
            firings.show([None], lambda _place, _width: Text("It has not fired yet.", "dim"))
            return
        look, now_ms = self.ksl.look, self.ksl.now_ms()

        def paint(place: int, width: int) -> Text:
            firing = rows[place]
            verdict = firing["verdict"]
            text = Text.assemble(
                (f"{look.states.get(verdict, 'x')} ", words.COLOURS.get(verdict, "red")),
                safe.padded(words.ago(words.moment(firing["at"]), now_ms), 9),
                safe.padded(str(verdict), 9),
            )
            runs = ", ".join(each[-8:] for each in firing["run_ids"])
            why = firing["reason"] or "; ".join(str(each["message"]) for each in firing["errors"])
            text.append(safe.line(f"{runs}  {why}".strip(), max(width - text.cell_len, 1)), "dim")
            return text

        firings.show([row["firing_id"] for row in rows], paint)

    def _about(self, trigger: Json) -> Iterator[str]:
        now_ms = self.ksl.now_ms()
        if trigger["description"]:
            yield str(trigger["description"])
        if "schedule" in trigger:
            yield f"schedule   {trigger['schedule']}  {trigger['timezone']}"
            for at_ms in next_times(trigger, now_ms, NEXT):
                local = Schedule(trigger["schedule"], trigger["timezone"]).local(at_ms / 1000)
                yield f"next       {local:%a %d %b %H:%M:%S}  {words.left(at_ms, now_ms)}"
        for name in ("misfire", "overlap", "endpoint", "url", "verify", "error"):
            if trigger.get(name):
                yield f"{name:<10} {trigger[name]}"
        for attachment in trigger["attachments"]:
            state = "" if attachment["enabled"] else "  disabled"
            people = attachment["subscribers"]
            told = "" if people is None else f"  {words.count(people, 'subscriber')}"
            yield f"starts     {attachment['workflow']}{told}{state}"
        if trigger.get("refused"):
            yield f"refused    {words.count(trigger['refused'], 'delivery').replace('deliverys', 'deliveries')}"
        if trigger.get("state") is not None:
            yield f"stands at  {safe.short(trigger['state'], 200)}"

    @on(Lines.Chosen, "#triggers")
    def _history(self) -> None:
        self.query_one("#firings").focus()

    @on(Lines.Chosen, "#firings")
    def _firing(self, event: Lines.Chosen) -> None:
        trigger = self.chosen
        rows = self.firings.get(trigger["slug"], []) if trigger else []
        firing = next((each for each in rows if each["firing_id"] == event.key), None)
        if firing is not None:
            self.ksl.push_screen(View("Firing", firing))

    def action_back(self) -> None:
        self.query_one("#triggers").focus()

    def action_run(self) -> None:
        trigger = self.chosen
        key = self.query_one("#firings", Lines).key
        rows = self.firings.get(trigger["slug"], []) if trigger else []
        firing = next((each for each in rows if each["firing_id"] == key), None)
        if firing is not None and firing["run_ids"]:
            self.ksl.open_run(firing["run_ids"][0])

    def action_fire(self) -> None:
        if (trigger := self.chosen) is not None:
            self.run_worker(self._fire(self.whole.get(trigger["slug"], trigger)), group="act")

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


def next_times(trigger: Json, now_ms: int, number: int) -> list[int]:
    if "schedule" not in trigger:
        return []
    try:
        schedule = Schedule(trigger["schedule"], trigger["timezone"])
        return [instant_s * 1000 for instant_s in schedule.upcoming(now_ms / 1000, number)]
    except ValueError:  # a schedule of another version of ksl, or a zone that this machine has not
        return []

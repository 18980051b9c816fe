"""What a trigger's line says, what is told of the one that is chosen, and one firing on one line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.text import Text

from ksl.define.schedule import Schedule
from ksl.tui import safe, words

Json = dict[str, Any]
NEXT = 3  # times to come that are told of the chosen one
_ROOMY = 100  # cells from which on a line has the run of the last firing, and what was missed


class TriggerColumns:
    def __init__(self, look: words.Look, width: int) -> None:
        self._look = look
        self._roomy = width >= _ROOMY
        self._name, self._target = (20, 20) if self._roomy else (15, 14)

    def heading(self) -> str:
        cells = [" " * 4, safe.padded("name", self._name), safe.padded("kind", 8)]
        cells += [safe.padded("workflow", self._target), safe.padded("next", 9), safe.padded("last", 9)]
        if self._roomy:
            cells += [safe.padded("its run", 9), safe.padded("missed", 7)]
        return "".join([*cells, "last firings"])

    def line(self, trigger: Json, width: int, now_ms: int) -> Text:
        look, is_on = self._look, trigger["enabled"]
        text = Text(style="" if is_on else "dim")
        text.append(f" {look.bullet if is_on else '-'}  ", "green" if is_on else "")
        text.append(safe.padded(safe.line(trigger["slug"], self._name - 1), self._name))
        text.append(safe.padded(trigger["kind"], 8), "dim")
        targets = ", ".join(each["workflow"] for each in trigger["attachments"])
        text.append(safe.padded(safe.line(targets, self._target - 1), self._target))
        text.append(safe.padded(self._next(trigger, now_ms), 9))
        recent: list[Json] = trigger["recent"]
        last = recent[0] if recent else None
        text.append(safe.padded(words.ago(words.moment(last["at"]), now_ms) if last else "", 9), "dim")
        if self._roomy:
            text.append(safe.padded(last["run_ids"][0][-8:] if last and last["run_ids"] else "", 9), "dim")
            missed = sum(each["skipped"] for each in recent)
            text.append(safe.padded(f"{missed:,}" if missed else "", 7), "yellow")
        for firing in recent[: max(width - text.cell_len, 0)]:
            text.append(*_sign(firing, look))
        return text

    def _next(self, trigger: Json, now_ms: int) -> str:
        if not trigger["enabled"]:
            return "paused"
        nexts = next_times(trigger, now_ms, 1)
        return words.left(nexts[0], now_ms) if nexts else ""


def about(trigger: Json, now_ms: int) -> Iterator[str]:
    if trigger["description"]:
        yield str(trigger["description"])
    if "schedule" in trigger:
        yield f"schedule   {trigger['schedule']}  {trigger['timezone']}"
        for at_ms in next_times(trigger, now_ms, NEXT):
            local = Schedule(trigger["schedule"], trigger["timezone"]).local(at_ms / 1000)
            yield f"next       {local:%a %d %b %H:%M:%S}  {words.left(at_ms, now_ms)}"
    if last_ms := words.moment(trigger.get("last_at")):
        yield f"last due   {words.ago(last_ms, now_ms)}"
    if trigger.get("state") is not None:
        yield f"cursor     {safe.short(trigger['state'], 200)}"
    if trigger.get("failures"):
        yield f"failed     {words.count(trigger['failures'], 'time')} in a row"
    if retry_ms := words.moment(trigger.get("retry_at")):
        yield f"again      {words.left(retry_ms, now_ms)}"
    for name in ("error", "misfire", "overlap", "endpoint", "url", "verify"):
        if trigger.get(name):
            yield f"{name:<10} {trigger[name]}"
    for attachment in trigger["attachments"]:
        state = "" if attachment["enabled"] else "  disabled"
        people = attachment["subscribers"]
        told = "" if people is None else f"  {words.count(people, 'subscriber')}"
        yield f"starts     {attachment['workflow']}{told}{state}"
    for tick in trigger.get("buffered") or ():
        yield f"waiting    {tick['workflow']}, since {words.ago(words.moment(tick['triggered_at']), now_ms)}"
    if missed := sum(each["skipped"] for each in trigger["recent"]):
        yield f"missed     {words.count(missed, 'tick')}, over {words.count(len(trigger['recent']), 'firing')}"
    if refused := trigger.get("refused"):
        yield f"refused    {refused:,} {'delivery' if refused == 1 else 'deliveries'} in all"


def firing_line(firing: Json, width: int, look: words.Look, now_ms: int) -> Text:
    sign, colour = _sign(firing, look)
    text = Text.assemble(
        (f"{sign} ", colour),
        safe.padded(words.ago(words.moment(firing["at"]), now_ms), 9),
        safe.padded(str(firing["verdict"]), 9),
    )
    told = [", ".join(each[-8:] for each in firing["run_ids"][:3])]
    if len(firing["run_ids"]) > 3:
        told.append(f"and {len(firing['run_ids']) - 3:,} more")
    told.append(firing["reason"] or "; ".join(str(each["message"]) for each in firing["errors"]))
    if firing["skipped"]:
        told.append(f"for {words.count(firing['skipped'], 'missed tick')} too")
    if firing["verdict"] == "rejected" and firing["by"]:
        told.append(f"from {firing['by']}")
    line = "  ".join(filter(None, told))
    return text.append(safe.line(line, max(width - text.cell_len, 1)), "dim")


def next_times(trigger: Json, now_ms: int, number: int) -> list[int]:
    if "schedule" not in trigger:
        return []
    try:
        schedule = Schedule(trigger["schedule"], trigger["timezone"])
        return [instant_s * 1000 for instant_s in schedule.upcoming(now_ms / 1000, number)]
    except ValueError:  # a schedule of another version of ksl, or a zone that this machine has not
        return []


def _sign(firing: Json, look: words.Look) -> tuple[str, str]:
    verdict = firing["verdict"]
    return look.states.get(verdict, "x")[:1], words.COLOURS.get(verdict, "red")

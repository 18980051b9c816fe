"""The lines of a transcript: who said what, calls of tools folded to a line each, and what each turn used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from rich.text import Text

from ksl.build.canvas.glyphs import cells
from ksl.tui import safe, words
from ksl.tui.client import Json
from ksl.tui.words import Look
from ksl.views.agent_steps import tokens

SHOWN = 40  # lines of one text; the rest is behind a key
LABEL = 12  # cells of the name before what it said


@dataclass(frozen=True)
class Row:
    """`folds`: what enter folds or unfolds there. `whole`: what the line is of, to be looked at by itself."""

    key: str
    text: Text
    run_id: str = ""
    folds: str = ""
    title: str = ""
    whole: object = None


class Heard(NamedTuple):
    """What a model says in a turn that is not recorded yet."""

    turn: tuple[str, str]  # run and step
    text: str
    attempt: int


def rows_of(session: Json, heard: Sequence[Heard], unfolded: set[str], width: int, look: Look) -> list[Row]:
    rows: list[Row] = []
    for place, prompt in enumerate(session["prompts"]):
        rows += _Prompt(session["agent"], place, prompt, unfolded, width, look).rows(heard)
    return rows


class _Prompt:
    def __init__(
        self, agent: str, place: int, prompt: Json, unfolded: set[str], width: int, look: Look
    ) -> None:
        self.agent = agent
        self.place = place
        self.prompt = prompt
        self.unfolded = unfolded
        self.width = width
        self.look = look
        self.run_id: str = prompt["run_id"]

    def rows(self, heard: Sequence[Heard]) -> Iterator[Row]:
        yield self._head()
        messages: list[Json] = self.prompt["messages"]
        results = {message["id"]: message for message in messages if message["role"] == "result"}
        for place, message in enumerate(messages):
            key = f"{self.place}.{place}"
            match message["role"]:
                case "user":
                    yield from self._said(key, "you", message["text"], "cyan")
                case "assistant":
                    said = message["text"] if "text" in message else message.get("output")
                    yield from self._said(key, self.agent, said, "green")
                case "call":
                    yield from self._call(key, message, results.get(message["id"]))
                case _:
                    pass  # with its call
            if _is_last_of_turn(messages, place):
                yield self._turn(key, message["turn"])
        yield from self._end(heard)
        yield Row(f"{self.place}.end", Text(), self.run_id)

    def _head(self) -> Row:
        prompt = self.prompt
        at = prompt["at"][:19].replace("T", " ")
        told = f" prompt {self.place + 1}  {at}  {prompt['run_id']}  {words.bare(prompt['step'])} "
        shown = safe.line(told, self.width - 4)
        rule = self.look.rule
        text = f"{rule * 2}{shown}{rule * max(self.width - 2 - cells(shown), 0)}"
        return Row(f"{self.place}.head", Text(text, "dim"), self.run_id, title="Prompt", whole=prompt)

    def _said(self, key: str, who: str, said: object, colour: str) -> Iterator[Row]:
        wrapped = [*islice(wrapped_lines(safe.value_lines(said), self.width - LABEL), SHOWN + 1)]
        for number, line in enumerate(wrapped[:SHOWN]):
            label = safe.padded(safe.line(f" {who}", LABEL - 1), LABEL) if number == 0 else " " * LABEL
            text = Text.assemble((label, f"bold {colour}"), line)
            yield Row(f"{key}.{number}", text, self.run_id, title=who, whole=said)
        if len(wrapped) > SHOWN:
            text = Text(f"{' ' * LABEL}... it goes on: enter shows all of it", "dim italic")
            yield Row(f"{key}.more", text, self.run_id, title=who, whole=said)

    def _call(self, key: str, call: Json, result: Json | None) -> Iterator[Row]:
        is_open = key in self.unfolded
        sign = ("v" if is_open else ">") if self.look.ascii else ("▾" if is_open else "▸")
        name = f"{sign} {safe.line(call['tool'], 40)}"
        came = "..." if result is None else safe.short(result["result"], 400)
        gave = f"{'->' if self.look.ascii else '→'} {came}"
        room = max(self.width - LABEL - cells(name) - 4, 12)
        given = "" if call["arguments"] in (None, {}, "") else safe.short(call["arguments"], 400)
        given = safe.line(given, max(room - cells(gave), room // 2))
        told = f"{given}  {safe.line(gave, room - cells(given))}".lstrip()
        text = Text.assemble(" " * LABEL, (name, "yellow"), "  ", (told, "dim"))
        whole = {"tool": call["tool"], "arguments": call["arguments"], "result": result and result["result"]}
        yield Row(key, text, self.run_id, folds=key, title=call["tool"], whole=whole)
        if not is_open:
            return
        parts = [("gets", call["arguments"])] + ([] if result is None else [("gives", result["result"])])
        for label, value in parts:
            lines = [*islice(wrapped_lines(safe.value_lines(value), self.width - LABEL - 8), SHOWN + 1)]
            for number, line in enumerate(lines):
                if number == SHOWN:
                    line = "... it goes on: v shows all of it"
                head = label.ljust(6) if number == 0 else " " * 6
                text = Text.assemble(" " * (LABEL + 2), (head, "dim"), line)
                yield Row(
                    f"{key}.{label}.{number}", text, self.run_id, folds=key, title=call["tool"], whole=whole
                )

    def _turn(self, key: str, number: int) -> Row:
        turn = self.prompt["turns"][number]
        begin, end = words.moment(turn["started_at"]), words.moment(turn["finished_at"])
        took = words.took(end - begin) if begin is not None and end is not None else ""
        told = "  ".join(
            filter(None, [f"turn {number + 1}", tokens(turn["usage"]), took, turn["usage"]["model"] or ""])
        )
        text = Text(f"{' ' * LABEL}{safe.line(told, self.width - LABEL)}", "dim")
        return Row(f"{key}.turn", text, self.run_id, title="Turn", whole=turn)

    def _end(self, heard: Sequence[Heard]) -> Iterator[Row]:
        prompt = self.prompt
        if prompt["error"]:
            failed = f"{prompt['error']['type']}: {prompt['error']['message']}"
            yield from self._said(f"{self.place}.error", "failed", failed, "red")
        elif prompt["status"] in ("failed", "cancelled"):
            yield from self._said(f"{self.place}.error", prompt["status"], "before it answered", "red")
        own = f"{prompt['step']}/turn#"
        mine = [each for each in heard if each.turn[0] == self.run_id and each.turn[1].startswith(own)]
        for each in mine:
            key = f"{self.place}.{each.turn[1]}"
            if each.attempt > 1:
                told = Text(f"{' ' * LABEL}attempt {each.attempt} at this turn", "dim")
                yield Row(f"{key}.attempt", told, self.run_id)
            cursor = "_" if self.look.ascii else "▌"
            yield from self._said(key, self.agent, f"{each.text}{cursor}", "green")
        match prompt["status"]:
            case "waiting":
                told = "waits for a person: a leads to the question"
            case "held":
                told = "is held: r shows the run, and why"
            case "running" if not mine:
                told = "is at work ..."
            case _:
                return
        yield from self._said(f"{self.place}.state", self.agent, told, "blue")


def wrapped_lines(lines: Iterable[str], width: int) -> Iterator[str]:
    """Broken at spaces where there are any, by cells: wide letters take two."""
    width = max(width, 8)
    for line in lines:
        while cells(line) > width:
            end = _fitting(line, width)
            space = line.rfind(" ", 0, end + 1)
            end = space if space > width // 3 else end
            yield line[:end].rstrip()
            line = line[end:].lstrip(" ")
        yield line


def _fitting(line: str, width: int) -> int:
    """How many letters of it fit."""
    taken = 0
    for place, letter in enumerate(line):
        taken += cells(letter)
        if taken > width:
            return max(place, 1)
    return len(line)


def _is_last_of_turn(messages: Sequence[Json], place: int) -> bool:
    here = messages[place]
    if here["role"] not in ("assistant", "call"):
        return False
    after = messages[place + 1] if place + 1 < len(messages) else None
    return after is None or after["role"] not in ("assistant", "call") or after["turn"] != here["turn"]

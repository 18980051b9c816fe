"""What a workflow's line says of it: its steps, its runs of a day, how many failed, what is wrong with its code."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rich.text import Text

from ksl.tui import safe, words

Json = dict[str, Any]
_FIGURES = 59  # cells that all figures take
_ROOMY = _FIGURES + 12  # cells from which on a line has them


@dataclass(frozen=True)
class WorkflowRow:
    """A workflow of the project; or, with a `failure`, a module that did not load, with one of its workflows as it was
    drawn last, where that is known."""

    key: str
    name: str
    shown: Json = field(default_factory=dict[str, Any])
    failure: Json | None = None
    drawn: Json | None = None


def rows_of(answer: Json) -> list[WorkflowRow]:
    rows = [WorkflowRow(each["slug"], each["slug"], each) for each in answer["workflows"]]
    for failure in answer["failures"]:
        if failure["workflows"]:
            rows += [
                WorkflowRow(f"!{last['slug']}", last["slug"], {}, failure, last["canvas"])
                for last in failure["workflows"]
            ]
        else:
            rows.append(WorkflowRow(f"!{failure['module']}", failure["file"], {}, failure))
    return sorted(rows, key=lambda row: row.name)


def painted(row: WorkflowRow, width: int, look: words.Look) -> Text:
    if row.failure is not None:
        text = Text(f" {safe.padded(safe.line(row.name), max(min(width - 16, 24), 8))}", "dim")
        return text.append("cannot import", "red")
    recent, problems = row.shown["recent"], row.shown["problems"]
    wrong = _wrong(problems, look)
    if width < _ROOMY:
        room = max(width - wrong.cell_len - 2, 4)
        return Text.assemble(f" {safe.padded(safe.line(row.name), room)}", wrong)
    text = Text(f" {safe.padded(safe.line(row.name), width - _FIGURES)}")
    steps = row.shown["steps"]
    told = "" if steps is None else words.count(steps, "step")
    text.append(f" {told:>9} ", "dim")
    text.append(sparkline(recent["hours"], look), "cyan")
    text.append(f" {recent['runs']:>6,}" if recent["runs"] else " " * 7)
    rate = failure_rate(recent)
    text.append(f" {rate:>5}" if rate else " " * 6, "red" if rate else "")
    return text.append(" ").append(wrong)


def figures(row: WorkflowRow, look: words.Look) -> Text:
    """The same in words, of the one that is chosen."""
    steps, recent = row.shown["steps"], row.shown["recent"]
    text = Text()
    if steps is not None:
        text.append(f"{words.count(steps, 'step')}   ")
    if recent["runs"]:
        text.append(f"{words.count(recent['runs'], 'run')} in 24 h")
    else:
        text.append("no runs in 24 h", "dim")
    if rate := failure_rate(recent):
        text.append(f", {rate} failed", "red")
    if recent["held"]:
        text.append(f", {recent['held']:,} held", words.COLOURS["held"])
    for problem in row.shown["problems"]:
        colour = "red" if problem["severity"] == "error" else "yellow"
        text.append(f"   {problem['code']}", colour).append(f" line {problem['line']}", "dim")
    if recent["runs"]:
        text.append("\nby hour  ").append(sparkline(recent["hours"], look), "cyan").append("|", "dim")
    return text


def sparkline(hours: list[int], look: words.Look) -> str:
    """A column for each; an hour without runs has none."""
    highest = max(hours, default=0)
    steps = len(look.bars) - 1
    return "".join(look.bars[-(-each * steps // highest)] if each else " " for each in hours)


def failure_rate(recent: Json) -> str:
    """Of the runs that ended or are held; empty where none failed."""
    failed = recent["failed"] + recent["held"]
    ended = failed + recent["succeeded"]
    if not failed:
        return ""
    share = failed / ended
    return f"{max(round(share * 100), 1)}%"


def _wrong(problems: list[Json], look: words.Look) -> Text:
    errors = sum(each["severity"] == "error" for each in problems)
    if errors:
        return Text(f"{look.states['failed']} {problems[0]['code']}", "red")
    return Text(f"! {len(problems)}" if problems else "", "yellow")

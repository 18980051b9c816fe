"""`ksl runs debug ID`"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from ksl.cli.connect import reading
from ksl.cli.invocation import Command, Invocation, pass_invocation
from ksl.cli.output import Json, emit_json, printable, shortened
from ksl.cli.words import event_line
from ksl.views.standing import told_of_standing

if TYPE_CHECKING:
    from ksl.cli.client import Reader

HELP = "→ n next   ← p back   g first   G newest   q quit"
_STEPS: dict[str, Callable[[Json], int]] = {
    **dict.fromkeys(("n", " ", "\x1b[C", "\x1bOC"), lambda shown: min(shown["seq"] + 1, shown["last_seq"])),
    **dict.fromkeys(("p", "\x1b[D", "\x1bOD"), lambda shown: max(shown["seq"] - 1, shown["first_seq"])),
    "g": lambda shown: shown["first_seq"],
    "G": lambda shown: shown["last_seq"],
}
_QUIT = ("q", "\x1b", "\x03", "\x04")


@click.command(cls=Command, name="debug")
@click.argument("run_id", metavar="ID")
@click.option("--at", type=click.IntRange(1), metavar="SEQ", help="After this event. Default: the newest.")
@pass_invocation
def command(invocation: Invocation, run_id: str, at: int | None) -> None:
    """Step through a run: for each event the line where its body stood, and its variables.

    The run is replayed up to there; nothing is stored and no step runs. On a terminal the keys n and p step on and
    back.
    """
    asyncio.run(_debug(invocation, run_id, at))


async def _debug(invocation: Invocation, run_id: str, at: int | None) -> None:
    async with reading(invocation) as reader:
        shown = await reader.position(run_id, at)
        if invocation.prints_json:
            emit_json(shown)
        elif at is not None:
            click.echo(text_of(shown))
        else:
            await _step_through(reader, run_id, shown)


async def _step_through(reader: Reader, run_id: str, shown: Json) -> None:
    while True:
        click.clear()
        click.echo(text_of(shown))
        click.echo(f"\n{HELP}")
        key = click.getchar()
        if key in _QUIT:
            return
        if (step := _STEPS.get(key)) is not None and (seq := step(shown)) != shown["seq"]:
            shown = await reader.position(run_id, seq)


def text_of(shown: Json) -> str:
    edge = shutil.get_terminal_size((120, 24)).columns
    place = f"attempt {shown['attempt']}  event {shown['seq']} of {shown['last_seq']}"
    lines = [
        f"{shown['run_id']}  {shown['workflow']}  {place}",
        event_line(shown["event"]),
        told_of_standing(shown),
    ]
    if shown["misfit"] is not None:
        lines.append(f"The code at hand does not fit this run: {shown['misfit']['message']}")
    for branch in shown["branches"]:
        where = f" [{branch['place']}]" if branch["place"] else ""
        lines += ["", f"{branch['workflow']}{where}"]
        for frame in branch["frames"]:
            lines += _frame(frame)
    return "\n".join(shortened(printable(line), edge) for line in lines)


def _frame(frame: Json) -> list[str]:
    lines = [f"  {frame['file']}:{frame['line']} in {frame['function']}"]
    for source in frame["source"]:
        mark = ">" if source["line"] == frame["line"] else " "
        lines.append(f"  {mark} {source['line']:>4}  {source['text']}")
    width = max((len(name) for name in frame["variables"]), default=0)
    lines += [f"    {name:<{width}} = {value}" for name, value in frame["variables"].items()]
    return lines

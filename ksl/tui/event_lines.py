"""Events of a run as lines, and where the body stood after one of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.text import Text

from ksl.tui import safe, words
from ksl.tui.words import Json
from ksl.views.standing import told_of_standing


def event_line(event: Json, width: int) -> Text:
    data = event.get("data")
    told = "" if data is None else safe.short(data, 400)
    head = f"{event['seq']:>5}  {str(event['at'])[11:23]}  "
    step = safe.line(words.bare(event.get("step")), 30)
    text = Text.assemble(
        (head, "dim"), safe.padded(str(event["type"]), 16), " ", (step, "bold"), "  " if step else ""
    )
    text.append(safe.line(told, max(width - text.cell_len, 1)), "dim")
    return text


def events_of(events: Iterable[Json], step: str, query: str) -> list[Json]:
    """Those of a step, or of all of them where it is empty, that have every word of `query` in what is shown."""
    wanted = query.lower().split()
    return [
        event
        for event in events
        if (not step or words.bare(event.get("step")) == step)
        and (not wanted or all(word in _text(event) for word in wanted))
    ]


def _text(event: Json) -> str:
    return event_line(event, safe.LINE_MAX).plain.lower()


def position_lines(shown: Json) -> Iterator[Text]:
    """Where the body stood after an event, and what its variables held."""
    yield Text.assemble(
        (f"event {shown['seq']} of {shown['last_seq']}", "bold"),
        f"  attempt {shown['attempt']}",
        ("   n next  p back", "dim"),
    )
    yield event_line(shown["event"], 200)
    yield Text(safe.line(told_of_standing(shown)))
    if shown["misfit"] is not None:
        yield Text(
            safe.line(f"The code at hand does not fit this run: {shown['misfit']['message']}"), "magenta"
        )
    for branch in shown["branches"]:
        yield Text()
        where = f" [{branch['place']}]" if branch["place"] else ""
        yield Text(safe.line(f"{branch['workflow']}{where}"), "bold")
        for frame in branch["frames"]:
            yield Text(safe.line(f"  {frame['file']}:{frame['line']} in {frame['function']}"), "dim")
            for source in frame["source"]:
                here = source["line"] == frame["line"]
                mark = ">" if here else " "
                yield Text(
                    safe.line(f"  {mark} {source['line']:>4}  {source['text']}"), "bold" if here else ""
                )
            wide = max((len(name) for name in frame["variables"]), default=0)
            for name, value in frame["variables"].items():
                yield Text.assemble(f"    {safe.line(name):<{wide}} = ", (safe.line(value), "cyan"))

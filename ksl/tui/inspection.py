"""What there is to know of one step, or of the run itself, as lines."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.text import Text

from ksl.tui import safe, words
from ksl.tui.words import Json, Look

SHOWN = 40  # lines of a value; enter shows all of it
TABS = ("error", "input", "output", "attempts", "trace", "events", "replay")
_FRAME = re.compile(r'\s*File "(?P<file>.+)", line (?P<line>\d+), in (?P<name>.+)')
_LIBRARY = re.compile(r"site-packages|/lib(?:64)?/python3|<frozen")


def error_lines(error: Json | None, folder: Path | None = None) -> Iterator[Text]:
    """`folder`: the project's; files are named from there."""
    if not error:
        yield Text("No error.", "dim")
        return
    head = " ".join(filter(None, [str(error.get("code") or ""), str(error.get("type") or "")]))
    message = str(error.get("message", error.get("reason", "")))
    first, *rest = [*safe.lines(message)][:SHOWN] or [""]
    yield Text.assemble((safe.line(head), "bold red"), ": " if head else "", first)
    for each in rest:
        yield Text(f"  {each}")
    if error.get("attempts"):
        yield Text(f"after {words.count(int(error['attempts']), 'attempt')}", "dim")
    yield Text()
    for where, source in frames_of(str(error.get("traceback") or "")):
        yield Text(f"  {where.removeprefix(f'{folder}/')}", "bold")
        if source:
            yield Text(f"    {source}", "dim")
    cause = error.get("cause")
    if isinstance(cause, dict):
        yield Text()
        yield Text("caused by", "dim")
        yield from error_lines(cause, folder)  # pyright: ignore[reportUnknownArgumentType]


def frames_of(traceback: str) -> list[tuple[str, str]]:
    """Where it was raised comes first, and the author's code before that of libraries."""
    own: list[tuple[str, str]] = []
    others: list[tuple[str, str]] = []
    texts = traceback.splitlines()
    for place, text in enumerate(texts):
        if found := _FRAME.fullmatch(text):
            following = texts[place + 1] if place + 1 < len(texts) else ""
            source = (
                "" if _FRAME.fullmatch(following) or not following.startswith("    ") else following.strip()
            )
            shown = safe.line(f"{found['file']}:{found['line']} in {found['name']}")
            (others if _LIBRARY.search(found["file"]) else own).append((shown, safe.line(source)))
    return own[::-1] + others[::-1]


def place_of(error: Json | None) -> tuple[str, int] | None:
    """File and line of the author's code that raised."""
    for where, _ in frames_of(str((error or {}).get("traceback") or "")):
        file, _, line = where.rpartition(" in ")[0].rpartition(":")
        if line.isdigit() and not _LIBRARY.search(file):
            return file, int(line)
    return None


def value_lines(value: object, none: str) -> Iterator[Text]:
    if value is None:
        yield Text(none, "dim")
        return
    rest = 0
    for place, each in enumerate(safe.value_lines(value)):
        if place < SHOWN:
            yield Text(each)
        else:
            rest += 1
    if rest:
        yield Text(f"… {words.count(rest, 'more line')}: enter shows all", "dim")


def attempt_lines(events: Sequence[Json], step: str, look: Look) -> Iterator[Text]:
    met = False
    for event in events:
        meta: Json = event.get("meta") or {}
        outcome = _OUTCOMES.get(event["type"])
        if words.bare(event.get("step")) != step or outcome is None:
            continue
        met = True
        start, end = words.moment(meta.get("started_at")), words.moment(meta.get("finished_at"))
        lasted = words.took(end - start) if start is not None and end is not None else ""
        text = Text.assemble(
            (f"{look.states[outcome]} ", words.COLOURS[outcome]),
            (f"try {meta.get('attempt') or 1}  ", "bold"),
            safe.padded(lasted, 8),
            (str(meta.get("started_at") or event["at"])[11:23], "dim"),
        )
        yield text
        data = event.get("data")
        if outcome != "succeeded" and isinstance(data, dict):
            shown: Json = data  # pyright: ignore[reportUnknownVariableType]
            yield Text(safe.line(f"    {shown.get('type', '')}: {shown.get('message', '')}"), "red")
    if not met:
        yield Text("No attempt is recorded yet." if step else "Choose a step to see its attempts.", "dim")


_OUTCOMES = {
    "step_completed": "succeeded",
    "step_retrying": "failed",
    "step_failed": "failed",
    "step_cancelled": "cancelled",
}


def span_lines(spans: Sequence[Json], step: str, look: Look) -> Iterator[Text]:
    """Those inside the step; all of them for the run itself."""
    children: dict[str | None, list[Json]] = {}
    for span in spans:
        children.setdefault(span["parent"], []).append(span)

    def below(parent: str, depth: int) -> Iterator[Text]:
        for span in children.get(parent, []):
            yield _span(span, depth, look)
            yield from below(span["id"], depth + 1)

    roots = [span for span in spans if span["id"] == step]
    if not roots:
        yield Text("Nothing is recorded of it yet.", "dim")
    for root in roots:
        yield _span(root, 0, look)
        yield from below(root["id"], 1)


def _span(span: Json, depth: int, look: Look) -> Text:
    start, end = words.moment(span["started_at"]), words.moment(span["finished_at"])
    lasted = words.took(end - start) if start is not None and end is not None else "…"
    name = safe.padded(safe.line(f"{'  ' * depth}{span['name']}", 34), 36)
    sign = look.states.get(span["status"], "?")
    return Text.assemble(
        (f"{sign} ", words.COLOURS.get(span["status"], "")),
        name,
        safe.padded(lasted, 9),
        (safe.line(span["kind"]), "dim"),
    )


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


def position_lines(shown: Json) -> Iterator[Text]:
    """Where the body stood after an event, and what its variables held."""
    yield Text.assemble(
        (f"event {shown['seq']} of {shown['last_seq']}", "bold"),
        f"  attempt {shown['attempt']}",
        ("   n next  p back", "dim"),
    )
    yield event_line(shown["event"], 200)
    yield Text(_standing(shown))
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


def _standing(shown: Json) -> str:
    match shown["state"]:
        case "queued":
            return "The body has not begun."
        case "returned":
            return "The body has returned."
        case "cancelled":
            return "The body was cancelled."
        case "raised":
            return safe.line(f"The body raised {shown['error']['type']}: {shown['error']['message']}")
        case _:
            waits = ", ".join(each["step"] for each in shown["awaited"])
            return safe.line(f"It waits for {waits}.") if waits else "It waits for nothing that is recorded."

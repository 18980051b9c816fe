"""What there is to know of one step, or of the run itself, as lines: values, attempts, spans."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.text import Text

from ksl.tui import safe, words
from ksl.tui.words import Json, Look
from ksl.views.agent_steps import tokens, used
from ksl.views.attempts import attempts_json

SHOWN = 40  # lines of a value; enter shows all of it


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
    if not step:
        yield Text("Choose a step to see its attempts.", "dim")
        return
    attempts = attempts_json(events, step)
    if not attempts:
        yield Text("No attempt is recorded yet.", "dim")
    for each in attempts:
        start, end = words.moment(each["started_at"]), words.moment(each["finished_at"])
        lasted = words.took(end - start) if start is not None and end is not None else ""
        yield Text.assemble(
            (f"{look.states[each['status']]} ", words.COLOURS[each["status"]]),
            (f"try {each['attempt']}  ", "bold"),
            safe.padded(lasted, 8),
            (str(each["started_at"] or each["finished_at"])[11:23], "dim"),
        )
        if (error := each["error"]) is not None:
            yield Text(safe.line(f"    {error.get('type', '')}: {error.get('message', '')}"), "red")


def span_lines(spans: Sequence[Json], step: str, look: Look) -> Iterator[Text]:
    """Those inside the step, with what models used; all of them for the run itself."""
    children: dict[str | None, list[Json]] = {}
    for span in spans:
        children.setdefault(span["parent"], []).append(span)

    def below(span: Json, depth: int) -> Iterator[Text]:
        yield _span(span, depth, look)
        for each in children.get(span["id"], []):
            yield from below(each, depth + 1)

    roots = [span for span in spans if span["id"] == step]
    if not roots:
        yield Text("Nothing is recorded of it yet.", "dim")
    for root in roots:
        yield from below(root, 0)


def _span(span: Json, depth: int, look: Look) -> Text:
    start, end = words.moment(span["started_at"]), words.moment(span["finished_at"])
    lasted = words.took(end - start) if start is not None and end is not None else "…"
    name = safe.padded(safe.line(f"{'  ' * depth}{span['name']}", 34), 36)
    use: Json | None = span.get("model_use")
    return Text.assemble(
        (f"{look.states.get(span['status'], '?')} ", words.COLOURS.get(span["status"], "")),
        name,
        safe.padded(lasted, 9),
        (safe.line(span["kind"]), "dim"),
        f"  {_used(use)}" if use else "",
    )


def _used(use: Json) -> str:
    told = tokens(use) if use["turns"] == 1 else used(use)
    return ", ".join(filter(None, [told, safe.line(use["model"] or "", 40)]))

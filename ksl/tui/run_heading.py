"""A run in two lines: what it is, and what it is about at the moment."""

from __future__ import annotations

import datetime as dt

from rich.text import Text

from ksl.tui import safe, words
from ksl.tui.words import Json, Look
from ksl.views.lights import left_of
from ksl.views.now_at import state_of


def heading(run: Json, look: Look, *, now_ms: int, still_at_ms: int | None = None) -> Text:
    """`still_at_ms`: when time was stopped, where nobody tells what happens."""
    began, ended = words.moment(run["started_at"]), words.moment(run["finished_at"])
    lasted = "" if began is None else words.took((ended or now_ms) - began)
    status = state_of(run)
    text = Text.assemble(
        (f" {run['run_id']}", "bold"),
        f"  {safe.line(run['workflow'])}  ",
        (f"{look.states.get(status, '?')} {status}", words.COLOURS.get(status, "")),
        f"  {lasted}",
    )
    if still_at_ms is not None:
        text.append_text(as_of(still_at_ms))
    text.append(f"   {run['trigger']}   version {str(run['code_version'] or 'unknown')[:8]}", "dim")
    if run.get("forked_from"):
        text.append(f"   from {run['forked_from']}", "dim")
    return text


def as_of(at_ms: int) -> Text:
    """That time stands still here: what is shown was so then."""
    return Text(f"   as of {dt.datetime.fromtimestamp(at_ms / 1000, dt.UTC):%H:%M:%S}", "yellow")


def waits(run: Json, look: Look, *, now_ms: int) -> Text:
    """What the run waits for, with the time that is left: empty where nothing but work goes on."""
    told: list[Text] = []
    again: Json | None = run.get("retrying")
    if again and not again.get("step"):
        told.append(
            _told(look, "retrying", "the run", _again(again["attempt"], again["attempts"], again, now_ms))
        )
    for step in run["steps"]:
        if step["status"] == "retrying":
            rest = _again(
                step["attempts"] + 1, step["attempts_max"], {"next_attempt_at": step["due"]}, now_ms
            )
            told.append(_told(look, "retrying", step["id"], rest))
        elif step["status"] in ("sleeping", "waiting"):
            due = words.moment(step["due"])
            left = "" if due is None else left_of(due - now_ms)
            limit = "no limit" if due is None else f"{left} left" if left else "due"
            told.append(_told(look, step["status"], step["id"], limit))
    if not told:
        return Text()
    shown = Text("   ").join(told[:3])
    if len(told) > 3:
        shown.append(f"   and {len(told) - 3} more", "dim")
    return Text.assemble(" ", shown)


def _told(look: Look, state: str, name: str, rest: str) -> Text:
    return Text.assemble(
        (f"{look.states[state]} ", words.COLOURS[state]), (safe.line(name, 40), "bold"), f" {rest}"
    )


def _again(attempt: int, most: int | None, due: Json, now_ms: int) -> str:
    """ "try 3 of 5 in 12s"."""
    tried = f"try {attempt} of {most}" if most else f"try {attempt}"
    at_ms = words.moment(due["next_attempt_at"])
    left = "" if at_ms is None else left_of(at_ms - now_ms)
    return f"{tried} in {left}" if left else f"{tried} is due"

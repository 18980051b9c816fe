"""Changes that a person asks for, each behind its question."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from ksl.tui import words
from ksl.tui.client import Json, Lost, Refused, part
from ksl.tui.dialogs import Ask, Choose, Fill
from ksl.tui.frame import Framed
from ksl.tui.in_order import Hold
from ksl.tui.words import count


def start_a_run(
    screen: Framed, slug: str | None = None, *, given: object = None, again: str | None = None
) -> None:
    """Asks which workflow, then for its input; then shows the new run. What is typed before a dialog is shown is for
    the dialog."""
    if screen.client is not None:
        screen.run_worker(_start(screen, slug, given, screen.ksl.hold_keys(), again), group="act")


async def _start(screen: Framed, slug: str | None, given: object, hold: Hold, again: str | None) -> None:
    with hold:
        try:
            if slug is None and (slug := await _chosen_workflow(screen, hold)) is None:
                return
            assert screen.client is not None
            workflow = await screen.client.get(f"/workflows/{part(slug)}")
        except (Lost, Refused) as error:
            screen.say(str(error), wrong=True)
            return

        async def send(payload: object) -> Json:
            assert slug is not None
            assert screen.client is not None
            return await screen.client.post(_to_start(slug, again), payload)

        schema: Json = workflow["input_schema"]
        begun = await screen.ksl.ask(Fill(f"Start {slug}", schema, send, given=given, verb="Start"), hold)
        if begun is not None:
            screen.ksl.open_run(begun["run_id"])


async def _chosen_workflow(screen: Framed, hold: Hold) -> str | None:
    assert screen.client is not None
    known = (await screen.client.get("/workflows"))["workflows"]
    options = [(each["slug"], each["description"] or "") for each in known]
    if not options:
        screen.say("This project defines no workflow yet.", wrong=True)
        return None
    return await screen.ksl.ask(Choose("Start which workflow?", options), hold)


def act_on_runs(
    screen: Framed, verb: str, runs: list[tuple[str, str]], *, done: Callable[[], object] = lambda: None
) -> None:
    """`runs`: ids with their workflows. Nothing is done without a yes."""
    screen.run_worker(_act(screen, verb, runs, done), group="act")


_TOLD = {
    "rerun": "A new run with the same input; the old one stays as it is.",
    "cancel": "The run is asked to stop. Its clean-up steps still run.",
    "retry": "What it completed is kept; it goes on from there.",
    "pause": "Steps in flight are recorded; nothing more begins until it is released.",
    "release": "The run goes on.",
}


async def _act(screen: Framed, verb: str, runs: list[tuple[str, str]], done: Callable[[], object]) -> None:
    if verb == "rerun" and len(runs) == 1:
        run_id, slug = runs[0]
        try:
            given = await _input_of(screen, run_id)
        except (Lost, Refused) as error:
            screen.say(str(error), wrong=True)
            return
        await _start(screen, slug, given, screen.ksl.hold_keys(), run_id)
        return
    which = f"run {runs[0][0]} of {runs[0][1]}" if len(runs) == 1 else f"all {count(len(runs), 'marked run')}"
    wants_reason = "reason, kept in the history" if verb in ("cancel", "pause") else None
    answer = await screen.ksl.push_screen_wait(
        Ask(f"{verb.capitalize()} {which}?", [_TOLD[verb]], reason=wants_reason)
    )
    if answer is None:
        return
    changed, refused = 0, ""
    for run_id, slug in runs:
        try:
            assert screen.client is not None
            if verb == "rerun":
                await screen.client.post(_to_start(slug, run_id), await _input_of(screen, run_id))
            else:
                body = {"reason": answer} if wants_reason else None
                await screen.client.post(f"/runs/{part(run_id)}/{verb}", body)
            changed += 1
        except (Lost, Refused) as error:
            refused = f"{run_id}: {error}"
    done()
    if refused:
        screen.say(f"{changed} of {len(runs)} changed. {refused}", wrong=True)
    else:
        screen.say(f"{verb.capitalize()}: {count(changed, 'run')}")
    screen.reload()


def _to_start(slug: str, again: str | None) -> str:
    """`again`: the run that the new one repeats; each then names the other."""
    return f"/workflows/{part(slug)}" + (f"?again={part(again)}" if again is not None else "")


async def _input_of(screen: Framed, run_id: str) -> object:
    assert screen.client is not None
    return (await screen.client.get(f"/runs/{part(run_id)}"))["input"]


def fork_from(screen: Framed, run_id: str, step: str, again: list[str]) -> None:
    """`again`: the steps that will run once more, the chosen one first."""
    screen.run_worker(_fork(screen, run_id, step, again), group="act")


async def _fork(screen: Framed, run_id: str, step: str, again: list[str]) -> None:
    more = f" and {len(again) - 6} more" if len(again) > 6 else ""
    told = [
        f"A new run keeps what was recorded before {step}.",
        f"These run again: {', '.join(again[:6])}{more}",
    ]
    if (
        await screen.ksl.push_screen_wait(Ask(f"Run again from {step}?", told)) is None
        or screen.client is None
    ):
        return
    try:
        forked = await screen.client.post(f"/runs/{part(run_id)}/fork", {"at": step})
    except (Lost, Refused) as error:
        screen.say(str(error), wrong=True)
        return
    screen.ksl.open_run(forked["run_id"])


def wake_sleep(screen: Framed, run: Json, selected: str) -> None:
    """The sleep that is selected, or the only one of the run."""
    sleeping = {step["id"]: step for step in run["steps"] if step["status"] == "sleeping"}
    if not sleeping:
        screen.say("No sleep of this run waits.")
    elif selected not in sleeping and len(sleeping) > 1:
        screen.say(f"Several sleeps wait; choose one: {', '.join(sleeping)}.")
    else:
        step = sleeping[selected] if selected in sleeping else next(iter(sleeping.values()))
        screen.run_worker(_wake(screen, run["run_id"], step), group="act")


async def _wake(screen: Framed, run_id: str, step: Json) -> None:
    due = words.moment(step["due"])
    left = words.left(due, screen.ksl.now_ms())
    told = [f"By itself it wakes {left}: {step['due']}. The run goes on as if its moment had come."]
    if await screen.ksl.push_screen_wait(Ask(f"Wake {step['id']} now?", told)) is None:
        return
    try:
        assert screen.client is not None
        await screen.client.post(f"/runs/{part(run_id)}/wake", {"step": step["id"]})
    except (Lost, Refused) as error:
        screen.say(str(error), wrong=True)
        return
    screen.say(f"{step['id']} is awake")
    screen.reload()


def write_events(screen: Framed, run_id: str, events: list[Json]) -> None:
    """As JSON, into the folder that the screens were opened in."""
    target = Path(f"{run_id}-events.json")
    try:
        target.write_bytes(msgspec.json.format(msgspec.json.encode(events), indent=2))
    except OSError as error:
        screen.say(f"{target} was not written: {error}", wrong=True)
        return
    screen.say(f"{count(len(events), 'event')} written to {target.resolve()}")

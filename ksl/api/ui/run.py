"""One run: where it is on its canvas, its steps in time, what went wrong, what may be done with it."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec
from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from ksl.api.requests import feed_of, runtime_of, stopping_of
from ksl.api.ui.forms import ConsoleRoute, own_form
from ksl.api.ui.live import LiveStream, Now
from ksl.api.ui.pages import drawing, form_of, found, only, page, part, sections
from ksl.errors import BadRequest, KslError, UnknownCanvas, UnknownRun
from ksl.records import FINISHED, RunStatus
from ksl.views.agent_steps import below, used
from ksl.views.attempts import attempts_json
from ksl.views.canvas import run_canvas_json
from ksl.views.drawings import drawn_nodes
from ksl.views.forking import run_again
from ksl.views.frames import frames_json
from ksl.views.runs import run_json
from ksl.views.timeline import timeline_json
from ksl.views.values import JsonObject, encode, is_object

pages = APIRouter(include_in_schema=False, route_class=ConsoleRoute)

EVENTS_MOST = 200
_COUNTS_S = (("retrying", 1.0), ("waiting", 30.0))  # a node says how long it will be
_EVERYTHING = frozenset({"events", "steps", "trace", "logs"})
_ADVANCING = frozenset({"running", "sleeping", "waiting"})
_ENDED = frozenset(status.value for status in FINISHED)


@pages.get("/ui/runs/{run_id}")
async def show_run(request: Request, run_id: str) -> Response:
    values = await _shown(request, run_id)
    drawn = await _drawing(request, values["run"])
    return await page(request, "run", **values, **drawn)


@pages.get("/ui/live/runs/{run_id}")
async def follow_run(request: Request, run_id: str) -> Response:
    """Ends with the run; a browser that comes again after that is told to leave it at that (204)."""
    runtime = runtime_of(request)
    row = await runtime.engine_row(run_id)
    seen = request.headers.get("last-event-id", "")
    if row.status in FINISHED and seen.isdigit() and int(seen) >= row.seq:
        return Response(status_code=204)

    async def now() -> Now:
        values = await _shown(request, run_id)
        run = values["run"]
        drawn = await _canvas(request, run)
        nodes = {} if drawn is None else drawn_nodes(drawn)
        seq: int = run["events"][-1]["seq"] if run["events"] else 0
        states = {node["state"] for node in nodes.values()}
        counts_s = next((each_s for state, each_s in _COUNTS_S if state in states), None)
        shown = await sections(request, "run", **values)
        return Now(seq, shown, nodes, run["status"] in _ENDED, counts_s)

    return LiveStream(
        now,
        in_flight=lambda: {id: (each.how, each.attempt) for id, each in runtime.under_way(run_id).items()},
        wake=feed_of(request).wake_for(run_id),
        stopping=stopping_of(request),
    )


@pages.get("/ui/runs/{run_id}/download")
async def download(request: Request, run_id: str) -> Response:
    """Everything of it, whole, as JSON."""
    runtime = runtime_of(request)
    run = await run_json(runtime.store, run_id, include=_EVERYTHING, logs=runtime.logs(run_id))
    headers = {"Content-Disposition": f'attachment; filename="{run["run_id"]}.json"'}
    return Response(msgspec.json.format(encode(run), indent=2), 200, headers, "application/json")


@pages.get("/ui/runs/{run_id}/{verb}")
async def go_back(request: Request, run_id: str) -> Response:
    """Where a form was sent to, when its address is opened again."""
    return found(request, f"runs/{part(run_id)}")


@pages.post("/ui/runs/{run_id}/{verb}", dependencies=[Depends(own_form)])
async def act(request: Request, run_id: str, verb: str) -> Response:
    runtime = runtime_of(request)
    pairs = await form_of(request)
    match verb:
        case "cancel":
            await runtime.cancel(run_id, reason=only(pairs, "reason")[:1000], by="console")
        case "pause":
            await runtime.pause(run_id, reason=only(pairs, "reason")[:1000], by="console")
        case "retry":
            await runtime.retry(run_id, by="console")
        case "release":
            await runtime.release(run_id, by="console")
        case "wake":
            await runtime.wake(run_id, only(pairs, "step") or None, by="console")
        case "fork":
            row = await runtime.fork(run_id, at=only(pairs, "at"), by="console")
            return found(request, f"runs/{part(row.run_id)}")
        case _:
            raise BadRequest(f'"{verb[:40]}" is nothing that can be done with a run. Nothing was done.')
    return found(request, f"runs/{part(run_id)}")


@dataclass(frozen=True)
class View:
    """How somebody looks at a run; it is all in the address. `scale` "true" draws each stretch of time as long as it
    was, `hide` "succeeded" leaves such steps out."""

    step: str = ""
    scale: str = ""
    hide: str = ""

    def link(self, **changes: str) -> str:
        asked = asdict(replace(self, **changes))
        return "?" + urlencode({name: value for name, value in asked.items() if value})


async def _shown(request: Request, run_id: str) -> dict[str, Any]:
    runtime = runtime_of(request)
    asked = request.query_params
    view = View(asked.get("step", ""), asked.get("scale", ""), asked.get("hide", ""))
    under_way = runtime.under_way(run_id)
    run = await run_json(
        runtime.store, run_id, include=_EVERYTHING, logs=runtime.logs(run_id), under_way=under_way
    )
    steps: list[JsonObject] = run["steps"]
    chosen: JsonObject | None = next((each for each in steps if each["id"] == view.step), None)
    listed = [each for each in steps if view.hide != "succeeded" or each["status"] != "succeeded"]
    now_ms = int(time.time() * 1000)
    return {
        "run": run,
        "ended": run["status"] in _ENDED,
        "verbs": _verbs(run["status"]),
        "view": view,
        "timeline": timeline_json(listed, run["trace"]["spans"], now_ms=now_ms, true=view.scale == "true"),
        "hidden": len(steps) - len(listed),
        "telling": _telling(listed),
        "hooks": [hook for hook in run["waiting_on"] if hook["kind"] == "hook"],
        "sleeps": [each for each in steps if each["status"] == "sleeping" and run["status"] in _ADVANCING],
        "events": run["events"][-EVENTS_MOST:],
        "logs": run["logs"][-EVENTS_MOST:],
        "frames": [*_frames(_failed_step(run), runtime.folder), *_frames(run, runtime.folder)],
        "step": chosen,
        "below": [] if chosen is None else below(steps, chosen),
        "used": used,
        "attempts": attempts_json(run["events"], chosen["id"]) if chosen is not None else [],
        "again": run_again(run["events"], chosen["id"]) if chosen is not None else [],
        "step_asked": view.step,
        "step_frames": _frames(chosen, runtime.folder),
        "known_workflow": run["workflow"] in runtime.project.workflows,
    }


def _telling(steps: list[JsonObject]) -> dict[str, Any]:
    """Of steps that were made at one place again and again, what tells one from the other: the first plain value of
    its input."""
    places = Counter(_place(step["id"]) for step in steps)
    return {
        step["id"]: value
        for step in steps
        if places[_place(step["id"])] > 1 and is_object(step["input"])
        for value in [
            next((v for v in step["input"].values() if isinstance(v, str | int | float) and v != ""), None)
        ]
        if value is not None
    }


def _place(step: str) -> str:
    return step.rpartition("#")[0]


def _failed_step(run: JsonObject) -> JsonObject | None:
    """The step that a run failed at: its error has the frames of the action, the run's those of the body."""
    error: object = run["error"]
    at = str(error.get("step") or "").removeprefix("step:") if is_object(error) else ""
    steps: list[JsonObject] = run["steps"]
    return next((step for step in steps if step["id"] == at), None)


def _frames(item: JsonObject | None, folder: Path) -> list[JsonObject]:
    """Of a run's or step's error, where it arose first: what failed inside tells more than who was waiting for it."""
    frames: list[JsonObject] = []
    error: object = item["error"] if item is not None else None
    while is_object(error):
        frames = [*frames_json(str(error.get("traceback") or ""), folder), *frames]
        error = error.get("cause")
    return frames


async def _drawing(request: Request, run: JsonObject) -> dict[str, Any]:
    try:
        shown = await _canvas(request, run, must=True)
    except KslError as error:
        return {"canvas": None, "canvas_error": error.message, "changed": False}
    assert shown is not None
    return {"canvas": drawing(shown), "canvas_error": "", "changed": bool(shown["changed"])}


async def _canvas(request: Request, run: JsonObject, *, must: bool = False) -> JsonObject | None:
    """None where the version that the run was started with was not kept; `must` says why instead."""
    runtime = runtime_of(request)
    try:
        return await run_canvas_json(
            runtime.store,
            runtime.project,
            run["workflow"],
            run["run_id"],
            now_ms=runtime.engine.clock.now_ms(),
            under_way=runtime.under_way(run["run_id"]),
        )
    except (UnknownCanvas, UnknownRun):
        if must:
            raise
        return None


def _verbs(status: str) -> list[tuple[str, str]]:
    """What can be done with a run in this state, with what it is called. Any can be run again."""
    if status == RunStatus.FAILED:
        return [("retry", "Retry")]
    if status in _ENDED:
        return []
    if status == RunStatus.HELD:
        return [("release", "Release"), ("retry", "Retry"), ("cancel", "Cancel")]
    return [("pause", "Pause"), ("cancel", "Cancel")]

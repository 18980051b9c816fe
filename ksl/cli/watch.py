"""Staying with a run until it ends or has nothing to do but wait; and saying what became of it."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from dataclasses import dataclass

from ksl.cli import exits
from ksl.cli.client import ENDED, Client
from ksl.cli.output import Json
from ksl.cli.progress import Progress
from ksl.cli.words import error_of, next_attempt, step_of, waits_of

TICK_S = 0.5


@dataclass(frozen=True)
class Patience:
    wait_for_s: float = 10.0  # a run that would wait longer than this for a moment is left to the server
    timeout_s: float | None = None  # how long the command stays at all


async def watch(client: Client, run_id: str, patience: Patience, *, progress: Progress) -> Json:
    """The run when it ended, waits for a hook, is held, or outlasts the patience."""
    began = idle_since = time.monotonic()
    newest: Json = {}
    seen = 0

    def enough(run: Json) -> bool:
        nonlocal newest, idle_since
        if run.get("status") != newest.get("status") or run.get("waiting_on") != newest.get("waiting_on"):
            idle_since = time.monotonic()
        newest = run
        return rests(run, patience.wait_for_s, now_s=time.time())

    settling = asyncio.create_task(client.settled(run_id, enough))
    try:
        while True:
            done, _ = await asyncio.wait({settling}, timeout=TICK_S)
            if done:
                return settling.result()
            now = time.monotonic()
            # A backoff has no moment in the run's row, so a wait that lasts is told by its lasting.
            idle = newest.get("status") in ("sleeping", "queued") and now - idle_since > patience.wait_for_s
            if idle or (patience.timeout_s is not None and now - began >= patience.timeout_s):
                return await client.run(run_id)
            if now - began >= 1.0 and newest:
                for event in (await client.events(run_id, after=seen))["events"]:
                    seen = event["seq"]
                    progress.saw(event)
                progress.show(newest, now - began)
    finally:
        settling.cancel()
        await asyncio.gather(settling, return_exceptions=True)
        progress.clear()


def rests(run: Json, wait_for_s: float, *, now_s: float) -> bool:
    if run["status"] in ENDED or run["status"] in ("waiting", "held"):
        return True
    return run["status"] == "sleeping" and (due := _earliest(run)) is not None and due - now_s > wait_for_s


def verdict(run: Json) -> tuple[Json, int]:
    """What `workflows run` prints, and its exit code."""
    shown: Json = {"run_id": run["run_id"], "status": run["status"]}
    match run["status"]:
        case "succeeded":
            return shown | {"output": run["output"]}, exits.DONE
        case "failed" | "cancelled":
            return shown | {"output": run.get("output"), "error": run.get("error")}, exits.FAILED
        case _:
            error = {"error": run["error"]} if run.get("error") else {}
            return shown | {"waiting_on": run.get("waiting_on")} | error, exits.SUSPENDED


async def how_it_goes_on(client: Client, run: Json) -> str:
    """One line for stderr on a run that is not over."""
    waits = run["status"] == "waiting"
    open_hooks: list[Json] = (await client.hooks(run_id=run["run_id"]))["hooks"] if waits else []
    return how_to_go_on(run, carries_on=client.carries_on, open_hooks=len(open_hooks))


def how_to_go_on(run: Json, *, carries_on: bool, open_hooks: int = 0) -> str:
    """`open_hooks`: how many there are, those among them that the run does not wait for yet."""
    run_id = run["run_id"]
    hooks = [item for item in waits_of(run) if item.get("kind") == "hook"]
    match run["status"]:
        case "waiting" if hooks:
            steps = [step_of(item) for item in hooks]
            which = f" --step {steps[0]}" if max(open_hooks, len(steps)) > 1 else ""
            alone = "" if carries_on else "; with `ksl serve` running it goes on by itself after that"
            what = f"Run {run_id} waits for {', '.join(steps)}. "
            return f"{what}Answer with `ksl hooks resume {run_id}{which} --data JSON`{alone}."
        case "held":
            error = error_of(run)
            why = f": {error['message']}" if error.get("message") else ""
            return f"Run {run_id} is held{why}. When the cause is put right: `ksl runs retry {run_id}`."
        case _:
            due = _earliest(run)
            until = f" until {_moment(due)}" if due is not None else ""
            soon = next_attempt(run, time.time())
            standing = f"is stored and waits for {soon}" if soon else f"is {run['status']}{until} and stored"
            state = f"Run {run_id} {standing}."
            return (
                f"{state} The server carries on; follow it with `ksl runs tail {run_id}`."
                if carries_on
                else f"{state} `ksl serve` carries on."
            )


def how_it_ended(run: Json) -> str:
    """One line for stderr on a run that failed or was cancelled."""
    run_id, error = run["run_id"], error_of(run)
    if run["status"] == "cancelled":
        return f"Run {run_id} was cancelled. What it had recorded is kept: `ksl runs show {run_id}`."
    what = " ".join(part for part in (error.get("code"), error.get("type")) if part)
    cause = f": {what}: {error.get('message')}" if what else ""
    go_on = f"What succeeded is kept. When the cause is put right: `ksl runs retry {run_id}`."
    return f"Run {run_id} failed{cause}\n{go_on}"


def _earliest(run: Json) -> float | None:
    dues = [_seconds(item["due"]) for item in waits_of(run) if item.get("due") is not None]
    return min(dues) if dues else None


def _seconds(moment: str | float) -> float:
    """Unix seconds of an RFC 3339 moment, or of milliseconds."""
    if isinstance(moment, str):
        return dt.datetime.fromisoformat(moment).timestamp()
    return moment / 1000


def _moment(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

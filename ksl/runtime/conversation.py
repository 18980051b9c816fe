"""What was said in a session before a prompt."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from msgspec.structs import replace

from ksl.agent.transcript import answered, transcript
from ksl.log.store import Store
from ksl.records.session import PromptRow

Json = dict[str, Any]


async def said_before(
    store: Store,
    session_id: str,
    *,
    run_id: str,
    step: str,
    add: Callable[[PromptRow], Awaitable[PromptRow]],
    now_ms: Callable[[], int],
) -> list[Json]:
    """Messages from the newest summary on. `add` stores a prompt that the session does not know of: one that a fork
    goes on with in the middle."""
    prompts = await store.sessions.prompts(session_id)
    if [(row.run_id, row.step) for row in prompts] == [(run_id, step)]:
        return []
    line = [run_id, *await _origins(store, run_id)]
    same = [row for row in prompts if row.step == step and row.run_id in line]
    own = next((row for row in same if row.run_id == run_id), None)
    if own is None and same:
        own = await add(replace(same[0], run_id=run_id, at_ms=now_ms(), id=0))
    messages: list[Json] = []
    for of, at in reversed(_before(prompts, run_id, line, same, own)):
        said = transcript(await store.events(of), at, summed_up=True)
        messages = answered(said.messages) + messages
        if not said.is_whole:
            break
    return messages


def _before(
    prompts: list[PromptRow], run_id: str, line: list[str], same: list[PromptRow], own: PromptRow | None
) -> list[tuple[str, str]]:
    """(run, step) of each prompt. A fork hears what its origin heard, and of the origin's own prompts what it kept or
    has made anew: that is in its own history, below the same steps. What the origin said later is not there."""
    found: dict[tuple[str, str], None] = {}
    for row in prompts:
        until = own if row.run_id == run_id else next(iter(same), own)
        if until is None or row.id < until.id:
            found[(run_id if row.run_id in line else row.run_id), row.step] = None
    return list(found)


async def _origins(store: Store, run_id: str) -> list[str]:
    """The run that it was forked from or repeats, and so on, as far as they are still there."""
    found: list[str] = []
    run = await store.run(run_id)
    while run is not None and run.origin is not None:
        found.append(run.origin)
        run = await store.run(run.origin)
    return found

"""What every log must know of sessions: their prompts in order, and what became of each."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ksl.log.memory import MemoryStore
from ksl.log.sqlite import SqliteStore
from ksl.log.store import Change, Store
from ksl.records import Event, EventType, Meta, RunStatus
from ksl.records.model_use import NO_USE, ModelUse
from ksl.records.session import PromptRow

from tests.integration.log.changes import event, run

USE = ModelUse("local/small", 10, 5, usd=0.5)


@pytest.fixture(params=["sqlite", "memory"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    opened: Store = (
        MemoryStore() if request.param == "memory" else await SqliteStore.open(tmp_path / "k.db", boot="b")
    )
    yield opened
    await opened.close()


def prompt(session: str, run_id: str, step: str = "robot#0", agent: str = "robot") -> PromptRow:
    return PromptRow(session, agent, run_id, step, None, 1)


def ended(run_id: str, seq: int, type: EventType, step: str, use: ModelUse | None = None) -> Event:
    return Event(run_id, seq, type, step, 1, b'"x"', b"{}", Meta(attempt=1, model_use=use))


async def add(store: Store, run_id: str, *events: Event, finished_at_ms: int | None = None) -> None:
    row = run(run_id, status=RunStatus.SUCCEEDED, finished_at_ms=finished_at_ms)
    store.append(Change(run_id, [event(run_id, 1), *events], run=row))
    await store.flush()


async def test_a_prompt_is_added_once_and_sessions_are_found_by_their_newest(store: Store) -> None:
    for run_id in ("r1", "r2", "r3"):
        await add(store, run_id)
    first, other, second = await store.sessions.add(
        [prompt("s1", "r1"), prompt("s2", "r2", agent="other"), prompt("s1", "r3")]
    )
    assert await store.sessions.add([prompt("s9", "r1")]) == [first]
    assert await store.sessions.newest() == [second, other]
    assert await store.sessions.newest(before=second.id) == [other]
    assert await store.sessions.newest(agent="other") == [other]
    assert await store.sessions.of(["s1", "s2", "s9"]) == {"s1": [first, second], "s2": [other]}


async def test_the_state_of_a_prompt_is_its_steps_own_end_and_the_use_of_all_turns_below(
    store: Store,
) -> None:
    await add(
        store,
        "r1",
        ended("r1", 2, "step_completed", "robot#0/turn#0", USE),
        ended("r1", 3, "step_completed", "robot#0/other#0/turn#0", USE),
        ended("r1", 4, "step_completed", "robot#0/look#0"),
        ended("r1", 5, "step_completed", "robot#01/turn#0", USE),
        ended("r1", 6, "step_failed", "robot#0/turn#1"),
        ended("r1", 7, "step_completed", "robot#0"),
    )
    await add(store, "r2", ended("r2", 2, "step_completed", "robot#0/turn#0", USE))
    asked = [prompt("s1", "r1"), prompt("s2", "r2"), prompt("s1", "r1", "robot#01"), prompt("s3", "gone")]
    first, second, third, gone = await store.sessions.states(asked)
    assert (first.ended, first.use) == ("step_completed", USE.plus(USE))
    assert (second.ended, second.use.turns) == (None, 1)
    assert (third.ended, third.use.turns) == (None, 1)
    assert (gone.ended, gone.use) == (None, NO_USE)


async def test_prompts_go_with_their_runs_and_what_is_left_of_a_session_stays(store: Store) -> None:
    await add(store, "r1", finished_at_ms=5)
    await add(store, "r2")
    await store.sessions.add([prompt("s1", "r1"), prompt("s1", "r2")])
    await store.prune(10, limit=10)
    assert [row.run_id for row in await store.sessions.prompts("s1")] == ["r2"]
    assert [row.run_id for row in await store.sessions.newest()] == ["r2"]

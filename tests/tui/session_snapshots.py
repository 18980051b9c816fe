"""The screens of sessions over a database that is written by hand, at a moment that stands still."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ksl.build.config import load_settings
from ksl.cli.doors import ProjectDoors
from ksl.log.sqlite import SqliteStore
from ksl.log.store import Change
from ksl.records import Event, Meta, RunRow, RunStatus
from ksl.records.model_use import ModelUse
from ksl.records.session import PromptRow
from ksl.tui.app import KslApp
from ksl.tui.session import SessionScreen
from ksl.tui.sessions import SessionsScreen

from tests.tui.agents_project import write
from tests.tui.app import text_of, until
from tests.tui.snapshots import FOLDER, NOW_MS, still

SIZES = ((80, 24), (120, 40), (200, 60))
NAMES = ("sessions", "session")
SAID = (
    "Order A-1001 left the warehouse in Łódź on Monday, and the carrier says that it comes on Thursday. " * 3
)


async def taken(folder: Path, size: tuple[int, int]) -> dict[str, str]:
    """By name of the screen."""
    await _lived(folder / ".ksl" / "ksl.db")
    doors = ProjectDoors(load_settings(folder))
    app = KslApp(doors, now_ms=lambda: NOW_MS, folder=folder)
    found: dict[str, str] = {}
    try:
        async with app.run_test(size=size) as pilot:
            await until(pilot, lambda: app.counts.get("runs") == "3")
            await pilot.press("6")
            await until(pilot, lambda: isinstance(app.screen, SessionsScreen) and app.screen.sessions)
            found["sessions"] = await still(app, pilot)
            await pilot.press("j", "enter")
            await until(pilot, lambda: isinstance(app.screen, SessionScreen) and app.screen.session)
            await pilot.press("g", *"jjj", "enter")
            await until(pilot, lambda: "gives" in text_of(app))
            found["session"] = await still(app, pilot)
    finally:
        await doors.aclose()
    return found


async def _lived(path: Path) -> None:
    store = await SqliteStore.open(path, durability="process")
    prompts: list[PromptRow] = []
    lives = [(RunStatus.SUCCEEDED, 7_200_000), (RunStatus.SUCCEEDED, 65_000), (RunStatus.WAITING, 8_000)]
    for number, (status, age_ms) in enumerate(lives):
        run_id, at_ms = f"run_{number:020}", NOW_MS - age_ms
        session = f"ses_{max(number, 1):020}"
        prompts.append(PromptRow(session, "support", run_id, "support#0", None, at_ms))
        happened = list(_said(run_id, at_ms, ends=status is RunStatus.SUCCEEDED))
        row = RunRow(
            run_id=run_id,
            workflow="agent:support",
            status=status,
            trigger="api",
            triggered_at_ms=at_ms,
            created_at_ms=at_ms,
            seq=len(happened),
            started_at_ms=at_ms,
            finished_at_ms=at_ms + 4_200 if status is RunStatus.SUCCEEDED else None,
        )
        store.append(Change(run_id=run_id, events=happened, run=row))
    await store.flush()
    await store.sessions.add(prompts)
    await store.close()


def _said(run_id: str, at_ms: int, *, ends: bool) -> Iterator[Event]:
    """One prompt: a turn with a call, its result, and a turn with the answer where it `ends`."""
    call = {
        "part_kind": "tool-call",
        "tool_name": "lookup-order",
        "args": {"order": "A-1001"},
        "tool_call_id": "c1",
    }
    result = {"part_kind": "tool-return", "tool_name": "lookup-order", "tool_call_id": "c1"}
    asked = {"part_kind": "user-prompt", "content": "Where is A-1001?"}
    steps: list[tuple[str, str, Any, Any]] = [
        (
            "session#0",
            "agent-session",
            {"agent": "support", "message": asked["content"]},
            {"session_id": "ses_1"},
        ),
        ("turn#0", "agent-turn", {"new": [asked]}, {"parts": [_text("Let me look."), call]}),
    ]
    if ends:
        shipped = {**result, "content": {"order": "A-1001", "state": "shipped on Monday"}}
        steps += [
            ("lookup-order#0", "lookup-order", {"order": "A-1001"}, shipped["content"]),
            ("turn#1", "agent-turn", {"new": [shipped]}, {"parts": [_text(SAID)]}),
        ]
    yield Event(run_id, 1, "run_created", None, at_ms, b'{"message": "Where is A-1001?"}', None, Meta())
    for seq, (step, callee, given, gave) in enumerate(steps, 2):
        use = ModelUse("local/small", 1_200, 96, usd=0.0042) if callee == "agent-turn" else None
        begin, end = at_ms + seq * 100, at_ms + seq * 700
        meta = Meta(
            attempt=1, started_at_ms=begin, finished_at_ms=end, kind="action", callee=callee, model_use=use
        )
        yield Event(run_id, seq, "step_completed", f"support#0/{step}", end, _json(gave), _json(given), meta)
    if ends:
        meta = Meta(
            attempt=1, started_at_ms=at_ms, finished_at_ms=at_ms + 4_200, kind="agent", callee="support"
        )
        yield Event(run_id, len(steps) + 2, "step_completed", "support#0", at_ms + 4_200, b"{}", b"{}", meta)


def _text(said: str) -> dict[str, str]:
    return {"part_kind": "text", "content": said}


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


async def _write_all() -> None:
    FOLDER.mkdir(exist_ok=True)
    for size in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            for name, text in (await taken(write(Path(folder)), size)).items():
                (FOLDER / f"{name}-{size[0]}.txt").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(_write_all())

"""An agent's process is killed at each boundary of its tool loop, and another takes it up."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from tests.chat_server import ChatServer, calls, text

pytest.importorskip("pydantic_ai")
pytestmark = [pytest.mark.crash, pytest.mark.process]

ROOT = Path(__file__).parents[2]
FLOW = dedent("""
    import json, urllib.request
    from pathlib import Path
    from ksl import *

    URL = (Path(__file__).parents[1] / "url").read_text()

    def post(path, key):
        request = urllib.request.Request(URL + path, b"{}", {"idempotency-key": key})
        urllib.request.urlopen(request).close()

    @action
    def charge(order: str, ctx: ActionContext) -> str:
        post("/marks/charge", "")
        post("/effects/charge", ctx.idempotency_key)
        return f"charged {order}"

    @action
    def ship(order: str, ctx: ActionContext) -> str:
        post("/marks/ship", "")
        post("/effects/ship", ctx.idempotency_key)
        return f"shipped {order}"

    seller = Agent("seller", model="local/small", tools=[charge, ship])

    @workflow
    async def w(input: str) -> dict:
        result = await seller.prompt(input)
        return {"text": result.text, "tokens": result.usage.tokens, "turns": result.usage.turns}
""")
BOTH = calls(("c1", "charge", {"order": "A"}), ("c2", "ship", {"order": "A"}))
TURNS = "/v1/chat/completions"

# (path, how many such requests came before): the process is killed when this one has come, before it is answered.
BOUNDARIES = {
    "before the first turn is recorded": (TURNS, 0),
    "after the turn, before a tool's effect": ("/marks/charge", 0),
    "after the effect, before its record": ("/effects/charge", 0),
    "after the other's effect, before its record": ("/effects/ship", 0),
    "after the records of both, before the second turn's": (TURNS, 1),
}


@pytest.mark.parametrize("boundary", list(BOUNDARIES.values()), ids=list(BOUNDARIES))
async def test_a_killed_agent_repeats_no_recorded_turn_and_no_recorded_tool(
    tmp_path: Path, boundary: tuple[str, int]
) -> None:
    async with ChatServer([BOTH, text("Sold.")]) as server:
        kills = await _killed_at(tmp_path, server, boundary)

        _is_sold(server, await _live(tmp_path), kills)


async def test_killed_between_two_tools_at_once(tmp_path: Path) -> None:
    async with ChatServer([BOTH, text("Sold.")]) as server:
        charged = asyncio.Event()

        async def before(path: str, count: int) -> bool:
            if path == "/effects/charge":
                charged.set()
            elif path == "/effects/ship" and count == 0:
                await charged.wait()
                process.send_signal(signal.SIGKILL)
                await process.wait()
                return True
            return False

        server.before = before
        process = await _begin(tmp_path, server)
        assert await process.wait() == -signal.SIGKILL

        _is_sold(server, await _live(tmp_path), kills=1)


async def test_killed_at_every_boundary_in_turn(tmp_path: Path) -> None:
    async with ChatServer([BOTH, text("Sold.")]) as server:
        kills = 0
        for path, count in BOUNDARIES.values():
            if server.counts[path] <= count:
                kills += await _killed_at(tmp_path, server, (path, count))

        _is_sold(server, await _live(tmp_path), kills)


def _is_sold(server: ChatServer, ended: Any, kills: int) -> None:
    assert kills > 0
    assert ended == {"status": "succeeded", "data": {"text": "Sold.", "tokens": 30, "turns": 2}}
    assert server.turns == {0: 1, 1: 1}
    results = [each["tool_call_id"] for each in server.requests[-1]["messages"] if each["role"] == "tool"]
    assert results == ["c1", "c2"]
    for name in ("charge", "ship"):
        keys = [key for effect, key in server.effects if effect == name]
        assert len(set(keys)) == 1
        assert len(keys) <= 1 + kills


async def _killed_at(folder: Path, server: ChatServer, boundary: tuple[str, int]) -> int:
    async def before(path: str, count: int) -> bool:
        if (path, count) == boundary:
            process.send_signal(signal.SIGKILL)
            await process.wait()
            return True
        return False

    server.before = before
    process = await _begin(folder, server)
    assert await process.wait() == -signal.SIGKILL
    server.before = None
    return 1


async def _begin(folder: Path, server: ChatServer) -> asyncio.subprocess.Process:
    if not (folder / "workflows").exists():
        (folder / "workflows").mkdir()
        (folder / "workflows" / "main.py").write_text(FLOW)
        (folder / "url").write_text(server.url)
        (folder / "ksl.toml").write_text(server.settings)
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.crash.agent_life", str(folder), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )


async def _live(folder: Path) -> Any:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.crash.agent_life", str(folder), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    told, _ = await process.communicate()
    assert process.returncode == 0
    return json.loads(told)

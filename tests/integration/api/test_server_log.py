"""What a server says of itself over HTTP: its log, and how it is."""

from __future__ import annotations

import os
from typing import Any

import pytest

from ksl import __version__

from tests.integration.api.serving import Served


async def lines(served: Served, **asked: str) -> list[dict[str, Any]]:
    """Of runs: a machine with too much to do says more, of itself."""
    answer = await served.client.get("/log", params=asked)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["lines"]
    return [line for line in found if "run_id" in line]


async def test_a_run_that_failed_has_a_line_and_one_that_succeeded_has_none(served: Served) -> None:
    fine = await served.ended("greeting", {"name": "Ada"})
    failed = await served.ended("failing")

    told = await lines(served)

    assert [line["run_id"] for line in told] == [failed["run_id"]]
    line = told[0]
    assert (line["level"], line["workflow"], line["step"]) == ("warning", "failing", "fail#0")
    assert line["message"] == f"run {failed['run_id']} of failing failed: FatalError: out of order"
    assert fine["run_id"] not in str(told)


async def test_the_next_question_gets_what_came_since(served: Served) -> None:
    await served.ended("failing")
    first = (await served.client.get("/log")).json()
    again = (await served.client.get("/log", params={"after": first["after"]})).json()
    assert [line for line in again["lines"] if "run_id" in line] == []
    assert (len(first["lines"]) > 0, again["missed"]) == (True, 0)
    newer = await served.ended("failing")
    assert [line["run_id"] for line in await lines(served, after=again["after"])] == [newer["run_id"]]


async def test_errors_alone_can_be_asked_for(served: Served) -> None:
    await served.ended("failing")
    assert await lines(served, level="error") == []
    assert len((await served.client.get("/log", params={"limit": 1})).json()["lines"]) == 1


@pytest.mark.parametrize("asked", ["level=loud", "after=here", "limit=0", "limit=2001", "limit=x"])
async def test_what_cannot_be_asked_is_refused(served: Served, asked: str) -> None:
    answer = await served.client.get(f"/log?{asked}")
    assert (answer.status_code, answer.json()["code"]) == (400, "KSL609")


@pytest.mark.parametrize("path", ["/log", "/system"])
async def test_it_takes_the_token(served: Served, path: str) -> None:
    assert (await served.stranger.get(path)).status_code == 401


async def test_the_server_tells_how_it_is(served: Served) -> None:
    await served.ended("greeting", {"name": "Ada"})
    await served.asked("question")
    how = (await served.client.get("/system")).json()
    assert (how["ready"], how["pid"], how["versions"]["ksl"]) == (True, os.getpid(), __version__)
    assert (how["runs"]["succeeded"], how["runs"]["waiting"], how["hooks_waiting"]) == (1, 1, 1)
    assert (how["queue_depth"], how["oldest_wait_s"], how["advancing"], how["slots"]) == (0, None, 0, 256)
    assert how["database_bytes"] > 0
    assert how["disk_free_bytes"] > 0

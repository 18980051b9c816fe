"""Deleting, copying and measuring the store of a running server, over HTTP."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.integration.api.serving import Served, serving


async def test_prune_deletes_what_is_over_and_its_runs_answer_404(served: Served) -> None:
    over = await served.ended("greeting", {"name": "Ada"})
    waiting, _ = await served.asked("question")

    counted = await served.client.post("/prune", json={"older_than": 0, "dry_run": True})
    assert (counted.status_code, counted.json()["runs"], counted.json()["dry_run"]) == (200, 1, True)
    assert (await served.client.post("/prune")).json()["runs"] == 0  # none is thirty days old
    assert (await served.client.post("/prune", json={"older_than": "0s"})).json()["runs"] == 1

    assert (await served.client.get(f"/runs/{over['run_id']}")).status_code == 404
    assert (await served.run(waiting))["status"] == "waiting"
    size = (await served.client.get("/db/size")).json()
    assert (size["rows"]["run"], [each["workflow"] for each in size["workflows"]]) == (1, ["question"])


@pytest.mark.parametrize("body", [{"older_than": "soon"}, {"older_than": -1}])
async def test_an_age_that_is_none_deletes_nothing(served: Served, body: object) -> None:
    await served.ended("nothing")

    answer = await served.client.post("/prune", json=body)

    assert (answer.status_code, answer.json()["code"]) == (400, "KSL609")
    assert len((await served.client.get("/runs")).json()["runs"]) == 1


async def test_a_backup_is_a_database_and_leaves_nothing_behind(served: Served, tmp_path: Path) -> None:
    await served.ended("greeting", {"name": "Ada"})

    answer = await served.client.post("/backup")

    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/vnd.sqlite3")
    file = tmp_path / "copy"
    file.write_bytes(answer.content)
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("SELECT count(*) FROM run").fetchone() == (1,)
    assert not list((tmp_path / ".ksl").glob("backup-*"))


@pytest.mark.parametrize(("method", "path"), [("POST", "/prune"), ("POST", "/backup"), ("GET", "/db/size")])
async def test_upkeep_needs_the_token(served: Served, method: str, path: str) -> None:
    assert (await served.stranger.request(method, path)).status_code == 401


async def test_a_server_deletes_runs_when_their_time_is_over(folder: Path) -> None:
    async with serving(folder, retention__finished_runs="1h") as served:
        run = await served.ended("nothing")
        loop = served.runtime._retention  # pyright: ignore[reportPrivateUsage]
        now_ms = time.time_ns() // 1_000_000

        await loop.once(now_ms)
        assert (await served.client.get(f"/runs/{run['run_id']}")).status_code == 200
        await loop.once(now_ms + 3_700_000)
        assert (await served.client.get(f"/runs/{run['run_id']}")).status_code == 404

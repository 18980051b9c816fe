"""Many callers answer one hook at once, and the server dies at the worst moments."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.crash.process import Died, Serve
from tests.crash.workload import write_project

pytestmark = [pytest.mark.crash, pytest.mark.process]

CALLERS = 50


# The first commit of that life is the answer's: not stored, stored and nobody told, told and then gone.
@pytest.mark.parametrize("point", ["", "commit:1", "stored:1", "commit:2", "stored:3"])
def test_of_many_answers_to_one_hook_one_wins_and_none_is_lost(tmp_path: Path, point: str) -> None:
    folder = tmp_path / "project"
    write_project(folder)
    ledger = {"CRASH_LEDGER": str(folder / "ledger")}
    with Serve(folder, environment=ledger) as server:
        run_id = server.ask("POST", "/workflows/asker", None).json()["run_id"]
        _until(server, run_id, "waiting")
        (hook,) = server.ask("GET", "/hooks").json()["hooks"]
        path = httpx.URL(hook["url"]).path
    with Serve(folder, environment={**ledger, "CRASH_AT": point, "CRASH_LIFE": "1"}) as server:
        server.client()

        def answer(number: int) -> tuple[int, int | None]:
            try:
                return number, server.ask("POST", path, {"caller": number}).status_code
            except Died:
                return number, None

        with ThreadPoolExecutor(CALLERS) as pool:
            answers = list(pool.map(answer, range(CALLERS)))
    winners = [number for number, status in answers if status == 200]
    assert len(winners) <= 1
    assert {status for _, status in answers} <= {200, 409, 410, None}, server.said()
    assert (None in [status for _, status in answers]) or point in ("", "stored:3", "commit:2")
    with Serve(folder, environment={**ledger, "CRASH_LIFE": "2"}) as server:
        late = server.ask("POST", path, {"caller": "late"}).status_code
        run = _until(server, run_id, "succeeded")
    if winners:
        assert late in (409, 410)
        assert run["output"] == {"caller": winners[0]}
    elif late == 200:
        assert run["output"] == {"caller": "late"}
        assert point == "commit:1"  # the only one at which nothing had been stored
    else:
        assert run["output"] in [{"caller": number} for number in range(CALLERS)]
    assert [event["type"] for event in run["events"]].count("hook_resumed") == 1


def _until(server: Serve, run_id: str, status: str) -> dict[str, Any]:
    until = time.monotonic() + 30
    while True:
        run = server.ask("GET", f"/runs/{run_id}?include=events").json()
        if run["status"] == status:
            return run
        assert time.monotonic() < until, run
        time.sleep(0.01)

"""Many callers answer one hook at once, and the server dies at the worst moments."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest

from tests.crash.process import Died, Serve
from tests.crash.workload import write_project

pytestmark = [pytest.mark.crash, pytest.mark.process]

CALLERS = 50
ROUNDS = int(os.environ.get("CRASH_ROUNDS", "8"))  # 100 take a minute


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


def test_round_after_round_one_answer_wins_though_every_other_time_the_server_is_killed(
    tmp_path: Path,
) -> None:
    """Killed from outside, at a moment nobody chose, while fifty callers are at it."""
    folder = tmp_path / "project"
    write_project(folder)
    ledger = {"CRASH_LEDGER": str(folder / "ledger")}
    rng = Random(ROUNDS)
    server = Serve(folder, environment=ledger)
    kills = acknowledged = unanswered = 0
    try:
        with ThreadPoolExecutor(CALLERS) as pool:
            for number in range(ROUNDS):
                run_id = server.ask("POST", "/workflows/asker", None).json()["run_id"]
                _until(server, run_id, "waiting")
                (hook,) = server.ask("GET", f"/hooks?run_id={run_id}").json()["hooks"]
                path = httpx.URL(hook["url"]).path
                kill_at = rng.randrange(6) if number % 2 else None
                statuses = list(pool.map(_answers(server, path, kill_at), range(CALLERS)))
                if number % 2:
                    kills += 1
                    server.kill()
                    server.client().close()
                    server = Serve(folder, environment=ledger)
                winners = [caller for caller, status in enumerate(statuses) if status == 200]
                unanswered += statuses.count(None)
                assert len(winners) <= 1
                assert set(statuses) <= {200, 409, 410, None}, server.said()
                assert number % 2 or (len(winners) == 1 and None not in statuses)
                late = server.ask("POST", path, "late").status_code
                run = _until(server, run_id, "succeeded")
                assert [event["type"] for event in run["events"]].count("hook_resumed") == 1
                if winners:
                    acknowledged += 1
                    assert late in (409, 410)
                    assert run["output"] == winners[0]
                elif late == 200:
                    assert run["output"] == "late"
                else:
                    assert run["output"] in range(CALLERS)
    finally:
        server.kill()
        server.client().close()
    assert kills == ROUNDS // 2
    assert acknowledged >= ROUNDS - kills
    assert unanswered > 0  # at least one was killed while callers waited


def _answers(server: Serve, path: str, kill_at: int | None) -> Callable[[int], int | None]:
    """Each caller's status, None where no answer came. The server dies once so many answers are there, or, at 0,
    when half of the callers have asked."""
    counting = itertools.count()

    def answer(number: int) -> int | None:
        if kill_at == 0 and number == CALLERS // 2:
            server.process.kill()
        try:
            status = server.ask("POST", path, number).status_code
        except Died:
            return None
        if next(counting) + 1 == kill_at:
            server.process.kill()
        return status

    return answer


def _until(server: Serve, run_id: str, status: str) -> dict[str, Any]:
    until = time.monotonic() + 30
    while True:
        run = server.ask("GET", f"/runs/{run_id}?include=events").json()
        if run["status"] == status:
            return run
        assert time.monotonic() < until, run
        time.sleep(0.01)

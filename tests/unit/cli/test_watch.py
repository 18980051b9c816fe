from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from ksl.cli.client import Client
from ksl.cli.progress import Progress
from ksl.cli.watch import Patience, how_it_ended, how_to_go_on, rests, verdict, watch

Json = dict[str, Any]

NOON = "2026-11-21T12:00:00.000Z"
PAST = "2020-01-01T00:00:00.000Z"
NOON_S = 1795262400.0


def run(status: str, **more: Any) -> Json:
    plain: Json = {"run_id": "run_1", "status": status, "output": None, "error": None, "waiting_on": []}
    return plain | more


def test_a_run_rests_when_it_ended_or_waits_for_somebody():
    for status in ("succeeded", "failed", "cancelled", "waiting", "held"):
        assert rests(run(status), 10, now_s=0)
    for status in ("queued", "running"):
        assert not rests(run(status), 10, now_s=0)


def test_a_sleep_rests_only_when_it_is_longer_than_the_patience():
    asleep = run("sleeping", waiting_on=[{"kind": "sleep", "step": "sleep#0", "due": NOON}])
    assert rests(asleep, 10, now_s=NOON_S - 11)
    assert not rests(asleep, 10, now_s=NOON_S - 9)


def test_the_earliest_of_several_moments_counts():
    both = [{"kind": "sleep", "due": "2027-01-01T00:00:00.000Z"}, {"kind": "sleep", "due": NOON}]
    assert not rests(run("sleeping", waiting_on=both), 10, now_s=NOON_S)


def test_a_run_that_succeeded_is_three_fields_and_exit_0():
    assert verdict(run("succeeded", output={"message": "Hello, Ada"})) == (
        {"run_id": "run_1", "status": "succeeded", "output": {"message": "Hello, Ada"}},
        0,
    )


def test_a_run_that_failed_says_why_and_exits_1():
    shown, code = verdict(run("failed", error={"type": "ValueError", "message": "no"}))
    assert (shown["error"]["type"], code) == ("ValueError", 1)


def test_a_run_that_waits_says_for_what_and_exits_3():
    waits = [{"kind": "hook", "step": "approve#0"}]
    assert verdict(run("waiting", waiting_on=waits)) == (
        {"run_id": "run_1", "status": "waiting", "waiting_on": waits},
        3,
    )


@pytest.mark.parametrize(
    ("state", "says"),
    [
        (
            run("waiting", waiting_on=[{"kind": "hook", "step": "approve#0"}]),
            "ksl hooks resume run_1 --data JSON",
        ),
        (
            run("waiting", waiting_on=[{"kind": "hook", "step": "a#0"}, {"kind": "hook", "step": "b#0"}]),
            "--step a#0",
        ),
        (run("sleeping", waiting_on=[{"kind": "sleep", "due": NOON}]), "until 2026-11-21T12:00:00Z"),
        (run("held", error={"message": "the code changed"}), "held: the code changed"),
        (run("held"), "ksl runs retry run_1"),
        (run("queued"), "`ksl serve` carries on"),
        (
            run("queued", retrying={"step": None, "attempt": 2, "attempts": 0, "next_attempt_at": PAST}),
            "is stored and waits for attempt 2 now.",
        ),
    ],
)
def test_a_run_that_is_not_over_comes_with_the_command_that_takes_it_further(state: Json, says: str):
    assert says in how_to_go_on(state, carries_on=False)


class Still:
    """A client whose run never changes."""

    def __init__(self, state: Json) -> None:
        self.state = state
        self.cancelled = False

    async def settled(self, run_id: str, enough: Callable[[Json], bool]) -> Json:
        if enough(self.state):
            return self.state
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        raise AssertionError

    async def run(self, run_id: str) -> Json:
        return self.state

    async def events(self, run_id: str, *, after: int = 0) -> Json:
        return {"events": []}


async def test_watching_ends_at_the_timeout_and_asks_no_more(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("ksl.cli.watch.TICK_S", 0)
    client = Still(run("running"))
    found = await watch(cast(Client, client), "run_1", Patience(timeout_s=0), progress=Progress())
    assert found["status"] == "running"
    assert client.cancelled


async def test_a_backoff_without_a_moment_is_told_by_its_lasting(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("ksl.cli.watch.TICK_S", 0)
    client = Still(run("queued"))
    assert (await watch(cast(Client, client), "run_1", Patience(wait_for_s=0), progress=Progress()))[
        "status"
    ] == "queued"


async def test_a_run_at_rest_is_returned_at_once():
    client = Still(run("waiting"))
    assert (await watch(cast(Client, client), "run_1", Patience(), progress=Progress()))[
        "status"
    ] == "waiting"


def test_a_run_that_failed_comes_with_its_cause_and_the_command_that_lets_it_go_on():
    error = {"type": "RealIoInBody", "message": "w.py:3: used a socket.", "code": "KSL405"}
    assert how_it_ended(run("failed", error=error)) == (
        f"Run {run('failed')['run_id']} failed: KSL405 RealIoInBody: w.py:3: used a socket.\n"
        f"What succeeded is kept. When the cause is put right: `ksl runs retry {run('failed')['run_id']}`."
    )
    assert "was cancelled" in how_it_ended(run("cancelled"))

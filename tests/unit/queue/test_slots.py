"""Who may advance: so many at once, first come first served, and no slot is ever lost."""

from __future__ import annotations

import asyncio
from functools import partial
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksl.queue.slots import Slots


class Line:
    def __init__(self, most: int) -> None:
        self.slots = Slots(most)
        self.granted: list[str] = []

    def want(self, run: str, workflow: str = "w", limit: int | None = None) -> None:
        self.slots.want(run, workflow, limit, partial(self.granted.append, run))

    async def release(self, *runs: str) -> None:
        for run in runs:
            self.slots.release(run)
        await asyncio.sleep(0)
        await asyncio.sleep(0)


async def test_a_free_slot_is_granted_at_once_and_the_rest_wait_in_line() -> None:
    line = Line(2)
    for run in "abcd":
        line.want(run)
    assert line.granted == ["a", "b"]
    assert (line.slots.used, line.slots.depth) == (2, 2)
    await line.release("a")
    assert line.granted == ["a", "b", "c"]
    await line.release("b", "c")
    assert line.granted == ["a", "b", "c", "d"]
    await line.release("d")
    assert (line.slots.used, line.slots.depth) == (0, 0)


async def test_a_workflow_at_its_own_limit_lets_others_pass() -> None:
    line = Line(10)
    for run in ("a1", "a2", "a3"):
        line.want(run, "a", 1)
    line.want("b1", "b")
    assert line.granted == ["a1", "b1"]
    await line.release("a1")
    assert line.granted == ["a1", "b1", "a2"]
    await line.release("b1")
    assert line.granted[-1] == "a2"
    await line.release("a2")
    assert line.granted[-1] == "a3"


async def test_whoever_wants_a_slot_between_a_release_and_its_grant_queues_behind() -> None:
    line = Line(1)
    line.want("a")
    line.want("b")
    line.slots.release("a")
    line.want("late")
    await line.release()
    assert line.granted == ["a", "b"]


async def test_two_released_at_once_let_two_of_a_limited_workflow_in_in_their_order() -> None:
    line = Line(5)
    for run in "abcdef":
        line.want(run, "w", 2)
    await line.release("a", "b")
    assert line.granted == ["a", "b", "c", "d"]
    assert line.slots.depth == 2


async def test_one_that_withdraws_is_passed_over() -> None:
    line = Line(1)
    for run in "abc":
        line.want(run)
    line.slots.withdraw("b")
    await line.release("a")
    assert line.granted == ["a", "c"]


async def test_withdrawing_the_next_of_a_limited_workflow_does_not_strand_those_behind_it() -> None:
    line = Line(5)
    for run in "abc":
        line.want(run, "w", 1)
    line.slots.release("a")
    line.slots.withdraw("b")
    await line.release()
    assert line.granted == ["a", "c"]


async def test_releasing_what_is_not_held_changes_nothing() -> None:
    line = Line(1)
    line.want("a")
    await line.release("x", "x")
    assert line.slots.used == 1
    await line.release("a", "a")
    assert line.slots.used == 0
    line.want("b")
    assert line.granted == ["a", "b"]


async def test_a_run_that_asks_twice_holds_one_slot_and_gives_back_one() -> None:
    line = Line(1)
    line.want("x", "w", 1)
    line.want("a", "w", 1)
    line.want("a", "w", 1)
    await line.release("x")
    assert line.granted.count("a") >= 1
    await line.release("a")
    await line.release("a")
    line.want("b", "w", 1)
    await line.release()
    assert line.granted[-1] == "b"


@pytest.mark.parametrize("most", [1, 3])
def test_whatever_comes_and_goes_everybody_is_served_and_no_limit_is_passed(most: int) -> None:
    @given(
        st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([None, 1, 2])), max_size=25), st.randoms()
    )
    def check(runs: list[tuple[str, int | None]], rng: Random) -> None:
        asyncio.run(_served(most, runs, rng))

    check()


async def _served(most: int, runs: list[tuple[str, int | None]], rng: Random) -> None:
    limits = dict(runs)
    line = Line(most)
    done: set[str] = set()
    for number, (workflow, _) in enumerate(runs):
        line.want(f"{workflow}{number}", workflow, limits[workflow])
    while len(done) < len(runs):
        holding = [run for run in line.granted if run not in done]
        assert holding, "nobody is served any more"
        assert len(holding) <= most
        for workflow, limit in limits.items():
            assert limit is None or sum(run[0] == workflow for run in holding) <= limit
        leaving = rng.choice(holding)
        done.add(leaving)
        await line.release(leaving)
    assert (line.slots.used, line.slots.depth) == (0, 0)
    for workflow, limit in limits.items():
        if limit is not None:
            numbers = [int(run[1:]) for run in line.granted if run[0] == workflow]
            assert numbers == sorted(numbers)


async def test_the_longest_wait_is_that_of_whoever_waits_longest_wherever_it_waits() -> None:
    line = Line(2)
    line.want("a", "one", 1)
    assert line.slots.oldest_wait_s is None
    line.want("b", "one", 1)  # at its workflow's own limit
    await asyncio.sleep(0.002)
    line.want("c")
    line.want("d")  # at the limit of all
    b = line.slots.oldest_wait_s
    assert b is not None
    assert b >= 0.001
    await line.release("a")
    assert line.granted == ["a", "c", "b"]
    d = line.slots.oldest_wait_s
    assert d is not None
    await line.release("b", "c")
    assert line.slots.oldest_wait_s is None

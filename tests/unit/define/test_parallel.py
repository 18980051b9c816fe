"""bounded and as_completed outside a run; inside one they are tested with the engine."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from ksl import as_completed, bounded


class Gates:
    def __init__(self) -> None:
        self.begun: list[int] = []
        self.cancelled: list[int] = []
        self._open: dict[int, asyncio.Event] = {}

    async def job(self, n: int, *, fails: bool = False) -> int:
        self.begun.append(n)
        try:
            await self._open.setdefault(n, asyncio.Event()).wait()
        except asyncio.CancelledError:
            self.cancelled.append(n)
            raise
        if fails:
            raise ValueError(n)
        return n

    async def open(self, n: int) -> None:
        self._open.setdefault(n, asyncio.Event()).set()
        await settle()


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def start(coro: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    return asyncio.ensure_future(coro)  # type: ignore[return-value]


async def test_bounded_runs_so_many_at_once_and_gives_a_list_in_order() -> None:
    gates = Gates()
    task = start(bounded(2, (gates.job(n) for n in range(4))))
    await settle()
    assert gates.begun == [0, 1]
    await gates.open(1)
    assert gates.begun == [0, 1, 2]
    for n in (3, 2, 0):
        await gates.open(n)
    assert await task == [0, 1, 2, 3]


async def test_at_the_first_failure_what_is_in_flight_is_cancelled_and_the_rest_never_starts() -> None:
    gates = Gates()
    task = start(bounded(2, [gates.job(0), gates.job(1, fails=True), gates.job(2)]))
    await settle()
    await gates.open(1)
    with pytest.raises(ValueError, match="1"):
        await task
    assert gates.begun == [0, 1]
    assert gates.cancelled == [0]


async def test_cancelling_bounded_cancels_what_it_runs() -> None:
    gates = Gates()
    task = start(bounded(1, [gates.job(0), gates.job(1)]))
    await settle()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert gates.cancelled == [0]


@pytest.mark.parametrize("n", [0, -1])
async def test_fewer_than_one_at_once_is_refused(n: int) -> None:
    with pytest.raises(ValueError, match="at least one"):
        await bounded(n, [])


async def test_nothing_to_do_gives_an_empty_list() -> None:
    assert await bounded(3, []) == []
    nothing: list[Coroutine[Any, Any, int]] = []
    assert [each async for each in as_completed(nothing)] == []


async def test_as_completed_goes_by_arrival_and_raises_at_the_turn_of_the_failure() -> None:
    gates = Gates()
    got: list[Any] = []

    async def collect() -> None:
        try:
            async for each in as_completed(
                [gates.job(0), gates.job(1), gates.job(2, fails=True), gates.job(3)]
            ):
                got.append(each)
        except ValueError as error:
            got.append(str(error))

    task = start(collect())
    await settle()
    for n in (1, 0, 2):
        await gates.open(n)
    await task
    assert got == [1, 0, "2"]

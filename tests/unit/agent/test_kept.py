from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from ksl.agent.kept import Kept


class Thing:
    def __init__(self, key: str) -> None:
        self.key = key
        self.is_good = True


class Shop:
    """Makes things, and notes what was made and closed."""

    def __init__(self, *, idle_max: int) -> None:
        self.made: list[str] = []
        self.closed: list[str] = []
        self.kept: Kept[str, Thing] = Kept(self._close, idle_max=idle_max)

    async def use(self, key: str) -> Thing:
        async with self.kept.use(key, self.maker(key), is_good=lambda thing: thing.is_good) as thing:
            return thing

    def maker(self, key: str) -> Callable[[], Awaitable[Thing]]:
        async def make() -> Thing:
            self.made.append(key)
            return Thing(key)

        return make

    async def _close(self, thing: Thing) -> None:
        self.closed.append(thing.key)


async def test_one_that_comes_again_is_given_the_same_thing() -> None:
    shop = Shop(idle_max=2)
    assert await shop.use("a") is await shop.use("a")
    assert shop.made == ["a"]


async def test_of_those_that_nobody_uses_the_ones_used_last_stay() -> None:
    shop = Shop(idle_max=2)
    for key in ("a", "b", "a", "c"):
        await shop.use(key)
    assert shop.closed == ["b"]
    await shop.use("a")
    assert shop.made == ["a", "b", "c"]


async def test_what_is_in_use_stays_open_however_many_there_are() -> None:
    shop = Shop(idle_max=0)
    async with shop.kept.use("a", shop.maker("a")), shop.kept.use("b", shop.maker("b")):
        await shop.use("c")
        assert shop.closed == ["c"]
    assert sorted(shop.closed) == ["a", "b", "c"]


async def test_a_thing_that_is_good_no_more_is_closed_and_made_anew() -> None:
    shop = Shop(idle_max=2)
    (await shop.use("a")).is_good = False
    assert (await shop.use("a")).is_good
    assert (shop.made, shop.closed) == (["a", "a"], ["a"])


async def test_many_that_come_at_once_share_what_is_made_for_the_first() -> None:
    shop = Shop(idle_max=2)
    things = await asyncio.gather(*(shop.use("a") for _ in range(10)))
    assert shop.made == ["a"]
    assert len({id(thing) for thing in things}) == 1


async def test_what_cannot_be_made_is_told_and_tried_again() -> None:
    shop = Shop(idle_max=2)

    async def fails() -> Thing:
        raise ConnectionError("no")

    with pytest.raises(ConnectionError):
        async with shop.kept.use("a", fails):
            pass
    assert (await shop.use("a")).key == "a"


async def test_in_the_end_all_are_closed() -> None:
    shop = Shop(idle_max=9)
    for key in ("a", "b"):
        await shop.use(key)
    await shop.kept.close()
    await shop.kept.close()
    assert shop.closed == ["a", "b"]

"""Polls: what they find starts one run each, and where they go on from is stored with those runs."""

from __future__ import annotations

import asyncio
import threading
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from ksl.errors import PollFailed
from ksl.log.store import Change
from ksl.records import FiringRow
from ksl.views.times import rfc3339
from ksl.views.triggers import trigger_whole_json

from tests.engine_fixture import World

MINUTE = 60_000
HEAD = """
import pydantic

class Issue(pydantic.BaseModel):
    id: int
    title: str = ""

class Cursor(pydantic.BaseModel):
    newest: int = 0

@workflow
async def w(input: Any, ctx: Context) -> Any:
    return [ctx.trigger, input]

found: list[Any] = []

async def fetch(ctx: PollContext[Cursor]) -> list[Issue]:
    newest = ctx.state.newest if ctx.state else 0
    stage.notes.append(newest)
    outcome = await stage.fetched(newest)
    if outcome:
        ctx.set_state(Cursor(newest=max(each["id"] for each in outcome)))
    if stage.failing:
        raise ConnectionError(stage.failing)
    return [Issue(**each) for each in outcome]
"""
EACH = (
    HEAD
    + 'PollSource("issues", "*/5 * * * *", fetch, state=Cursor, each=True, key=lambda i: i.id).attach(w)\n'
)


class Site:
    """What the stage's notes know of the service that is polled."""

    def __init__(self, world: World) -> None:
        self.items: list[dict[str, Any]] = []
        self.world = world
        stage: Any = world.stage
        stage.failing = ""
        stage.fetched = self.fetched

    async def fetched(self, newest: int) -> list[dict[str, Any]]:
        return [each for each in self.items if each["id"] > newest]

    def fail(self, message: str) -> None:
        stage: Any = self.world.stage
        stage.failing = message


async def look(world: World) -> int:
    """A look at the clock; polls that are due are over when this returns."""
    begun = await world.runtime.polls.once(world.clock.now_ms())
    await settled(world)
    return begun


async def settled(world: World) -> None:
    polls = world.runtime.polls.polling
    if polls:
        await asyncio.wait(polls)
    await world.rest()


async def pass_minutes(world: World, minutes: int) -> int:
    begun = 0
    for _ in range(minutes):
        world.clock.pass_ms(MINUTE)
        begun += await look(world)
    return begun


async def firings(world: World, source: str = "issues") -> list[FiringRow]:
    """Oldest first."""
    page = await world.store.triggers.firings(source, limit=1000)
    return page.rows[::-1]


async def inputs(world: World, source: str = "issues") -> list[Any]:
    """Of the runs that the source started, in order."""
    runs = [await world.seen(run.run_id) for row in await firings(world, source) for run in row.runs]
    assert all(run.status == "succeeded" and run.output[0] == "poll" for run in runs)
    return [run.output[1] for run in runs]


async def ids(world: World) -> list[int]:
    return [each["id"] for each in await inputs(world)]


def note(world: World, source: str = "issues") -> dict[str, Any]:
    state = world.runtime.triggers.state(source)
    assert state is not None
    return msgspec.json.decode(state.note or b"{}")


def cursor(world: World) -> Any:
    state = world.runtime.triggers.state("issues")
    return None if state is None or state.cursor is None else msgspec.json.decode(state.cursor)


async def test_a_poll_comes_when_first_seen_and_then_by_its_schedule(world: World) -> None:
    await world.load(EACH)
    site = Site(world)
    site.items = [{"id": 1}, {"id": 2}]
    assert await look(world) == 1
    assert await ids(world) == [1, 2]
    assert await look(world) == 0
    site.items += [{"id": 3}]
    assert await pass_minutes(world, 5) == 1
    assert await ids(world) == [1, 2, 3]
    assert world.stage.notes == [0, 2]
    rows = await firings(world)
    assert [(row.verdict, row.many, row.kind) for row in rows] == [("started", True, "poll")] * 2
    await world.restart()
    Site(world)
    assert await look(world) == 0  # it is not first seen any more


async def test_polls_that_were_missed_are_one(world: World) -> None:
    await world.load(EACH)
    site = Site(world)
    await look(world)
    world.clock.pass_ms(60 * MINUTE)
    await world.restart()
    site = Site(world)
    site.items = [{"id": 1}]
    assert await look(world) == 1
    assert await look(world) == 0
    assert await ids(world) == [1]


async def test_the_nominal_time_is_that_of_the_newest_tick(world: World) -> None:
    await world.load(EACH)
    site = Site(world)
    site.items = [{"id": 1}]
    await look(world)
    site.items = [{"id": 2}]
    world.clock.pass_ms(17 * MINUTE)
    await look(world)
    first, second = await firings(world)
    assert first.nominal_ms == first.at_ms  # the first one stands for no tick
    assert second.nominal_ms % (5 * MINUTE) == 0
    assert 0 < second.at_ms - second.nominal_ms < 5 * MINUTE


async def test_an_item_that_is_returned_again_starts_nothing(world: World) -> None:
    await world.load(EACH.replace("state=Cursor, ", "").replace("if outcome:", "if False:"))
    site = Site(world)
    site.items = [{"id": 1}, {"id": 2}, {"id": 1}]
    await look(world)
    site.items = [{"id": 2}, {"id": 3}]
    await pass_minutes(world, 5)
    await world.restart()
    site = Site(world)
    site.items = [{"id": 1}, {"id": 3}, {"id": 4}]
    await pass_minutes(world, 5)
    assert await ids(world) == [1, 2, 3, 4]


async def test_while_run_raises_the_state_stays_and_the_error_is_visible(world: World) -> None:
    await world.load(EACH)
    site = Site(world)
    site.items = [{"id": 1}]
    await look(world)
    site.items += [{"id": 2}]
    site.fail("503 from the tracker")
    world.clock.pass_ms(5 * MINUTE)
    await look(world)
    assert await ids(world) == [1]
    assert cursor(world) == {"newest": 1}
    failed = (await firings(world))[-1]
    assert failed.verdict == "failed"
    assert "503 from the tracker" in failed.reason
    assert (failed.errors[0].type, failed.runs) == ("ConnectionError", ())
    assert "main.py:" in failed.errors[0].message
    assert note(world)["failures"] == 1
    assert "503" in note(world)["error"]
    site.fail("")
    world.clock.pass_ms(1_000)
    await look(world)
    assert await ids(world) == [1, 2]
    assert cursor(world) == {"newest": 2}
    assert note(world) == {}


async def test_a_poll_that_fails_is_tried_again_ever_later_up_to_five_minutes(world: World) -> None:
    await world.load(EACH.replace("*/5", "*"))
    site = Site(world)
    site.fail("no")
    moments: list[int] = []
    for _ in range(1_500):
        if await look(world):
            moments.append(world.clock.ms // 1_000)
        world.clock.pass_ms(1_000)
    pauses = [later - earlier for earlier, later in pairwise(moments)]
    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]


async def test_a_backoff_outlives_a_restart(world: World) -> None:
    await world.load(EACH)
    Site(world).fail("no")
    for _ in range(4):
        await look(world)
        world.clock.pass_ms(60_000)
    await look(world)
    await world.restart()
    Site(world).fail("no")
    world.clock.pass_ms(15_999)
    assert await look(world) == 0
    world.clock.pass_ms(1)
    assert await look(world) == 1


async def test_the_filter_is_asked_for_each_item_and_what_it_refuses_may_fire_later(world: World) -> None:
    text = (
        HEAD
        + "issue_titled = lambda i: i.title != ''\n"
        + 'PollSource("issues", "*/5 * * * *", fetch, each=True, key=lambda i: i.id, filter=issue_titled).attach(w)\n'
    )
    await world.load(text.replace("ctx.set_state", "stage.notes.append"))
    site = Site(world)
    site.items = [{"id": 1}, {"id": 2, "title": "two"}]
    await look(world)
    assert await ids(world) == [2]
    site.items[0]["title"] = "one"
    await pass_minutes(world, 5)
    assert await ids(world) == [2, 1]
    before = await firings(world)
    await pass_minutes(world, 5)
    assert await firings(world) == before  # a poll that finds nothing new leaves no firing


@pytest.mark.parametrize(
    ("keys", "started"),
    [
        (["a", "b", "a"], 2),
        ([1, "1", True, None, 1.5, 1], 5),
        (["x" * 5_000, "x" * 5_000, "x" * 4_999], 2),
    ],
)
async def test_keys_are_any_json_scalar(world: World, keys: list[Any], started: int) -> None:
    await world.load(f"""
@workflow
async def w(input: Any, ctx: Context) -> Any:
    return [ctx.trigger, input]

def fetch() -> Any:
    return [{{"n": place}} for place in range({len(keys)})]

keys = {keys!r}
PollSource("issues", "* * * * *", fetch, each=True, key=lambda item: keys[item["n"]]).attach(w)
""")
    await look(world)
    await pass_minutes(world, 1)
    assert len(await inputs(world)) == started


async def test_without_a_key_each_value_fires_once_whatever_the_order_of_its_fields(world: World) -> None:
    await world.load("""
@workflow
async def w(input: Any, ctx: Context) -> Any:
    return [ctx.trigger, input]

def fetch() -> Any:
    yield {"a": 1, "b": 2}
    yield {"b": 2, "a": 1}
    yield {"a": 1, "b": 3}

PollSource("issues", "* * * * *", fetch, each=True).attach(w)
""")
    await look(world)
    await pass_minutes(world, 3)
    assert await inputs(world) == [{"a": 1, "b": 2}, {"a": 1, "b": 3}]


SINGLE = """
@workflow
async def w(input: Any, ctx: Context) -> Any:
    return [ctx.trigger, input]

def fetch() -> Any:
    return stage.notes[-1]

PollSource("issues", "* * * * *", fetch, filter=lambda found: found != "dull").attach(w)
"""


async def test_without_each_what_run_returns_is_one_payload_and_none_is_nothing(world: World) -> None:
    await world.load(SINGLE)
    for returned in (["a", "b"], None, "dull", {"c": 1}, {"c": 1}):
        world.stage.notes.append(returned)
        await pass_minutes(world, 1)
    assert await inputs(world) == [["a", "b"], {"c": 1}, {"c": 1}]


@pytest.mark.parametrize(
    ("returned", "options", "said"),
    [
        ("{'id': 'x'}", "each=True", "item 1 of what its run returned does not fit its schema: id"),
        ("{'id': 1}", "each=True, key=lambda i: [i.id]", "a key is a JSON scalar"),
        ("{'id': 1}", "each=True, key=lambda i: i.nothing", "its key raised"),
        ("{'id': 1}", "each=True, filter=lambda i: i.nothing", "its filter raised"),
    ],
)
async def test_what_cannot_be_used_starts_nothing_and_says_why(
    world: World, returned: str, options: str, said: str
) -> None:
    await world.load(f"""
import pydantic

class Issue(pydantic.BaseModel):
    id: int

@workflow
async def w(input: Any) -> None: ...

def fetch(ctx: PollContext[int]) -> list[Issue]:
    ctx.set_state(7)
    return [{{"id": 5}}, {returned}]

PollSource("issues", "* * * * *", fetch, state=int, {options}).attach(w)
""")
    await look(world)
    (row,) = await firings(world)
    assert row.verdict == "failed"
    assert said in row.reason
    assert row.runs == ()
    assert cursor(world) is None


async def test_a_result_that_is_not_many_with_each_is_told(world: World) -> None:
    await world.load(SINGLE.replace('filter=lambda found: found != "dull"', "each=True"))
    world.stage.notes.append({"id": 1})
    await look(world)
    (row,) = await firings(world)
    assert "returns many payloads, and dict is not that" in row.reason


async def test_a_state_that_does_not_fit_or_is_not_declared_fails_the_poll(world: World) -> None:
    text = """
@workflow
async def w(input: Any) -> None: ...

def fetch(ctx: Any) -> Any:
    ctx.set_state("x")
    return [1]

PollSource("issues", "* * * * *", fetch, each=True, state=int).attach(w)
PollSource("stateless", "* * * * *", fetch, each=True).attach(w)
"""
    await world.load(text)
    await look(world)
    assert "int" in (await firings(world))[0].reason
    assert "declare its type" in (await firings(world, "stateless"))[0].reason


async def test_a_stored_state_that_fits_the_type_no_more_is_kept_and_told(world: World) -> None:
    await world.load(EACH)
    site = Site(world)
    site.items = [{"id": 1}]
    await look(world)
    await world.restart(EACH.replace("newest: int = 0", "newest: int = 0\n    page: str"))
    Site(world)
    await pass_minutes(world, 5)
    assert "its stored state does not fit" in (await firings(world))[-1].reason
    assert cursor(world) == {"newest": 1}


async def test_an_item_whose_transform_fails_is_found_again_and_the_others_start_once(world: World) -> None:
    text = EACH.replace(
        ".attach(w)", ".attach(w, transform=lambda i: {'id': 10 // i.title.__len__() and i.id})"
    )
    await world.load(text)
    site = Site(world)
    site.items = [{"id": 1, "title": "x"}, {"id": 2}, {"id": 3, "title": "x"}]
    await look(world)
    assert await ids(world) == [1, 3]
    assert cursor(world) is None
    assert note(world)["failures"] == 1
    assert "ZeroDivisionError" in note(world)["error"]
    site.items[1]["title"] = "x"
    await pass_minutes(world, 1)
    assert await ids(world) == [1, 3, 2]
    assert cursor(world) == {"newest": 3}


async def test_ten_thousand_items_go_in_pieces_and_a_crash_between_them_loses_and_repeats_none(
    world: World,
) -> None:
    await world.load(EACH)
    site = Site(world)
    site.items = [{"id": n} for n in range(1, 10_001)]
    store, pieces = world.store, 0
    append = store.append

    def dies_at_the_ninth(change: Change) -> None:
        nonlocal pieces
        pieces += change.triggers is not None
        if pieces == 9:
            raise RuntimeError("the process dies here")
        append(change)

    store.append = dies_at_the_ninth
    await look(world)
    store.append = append
    before = await ids(world)
    assert 0 < len(before) < 10_000
    assert cursor(world) is None
    await world.restart()
    again = Site(world)
    again.items = site.items
    await look(world)
    assert sorted(await ids(world)) == list(range(1, 10_001))
    assert cursor(world) == {"newest": 10_000}
    assert max(len(row.runs) for row in await firings(world)) <= 200


async def test_one_source_is_never_polled_twice_at_once(world: World) -> None:
    await world.load("""
@workflow
async def w(input: Any, ctx: Context) -> Any:
    return [ctx.trigger, input]

async def fetch() -> Any:
    stage.notes.append("begun")
    await stage.turn("fetch", 0)
    return [len(stage.notes)]

PollSource("issues", "* * * * *", fetch, each=True).attach(w)
""")
    polls = world.runtime.polls
    assert await polls.once(world.clock.now_ms()) == 1
    source: Any = world.runtime.triggers.source("issues")
    asked = asyncio.create_task(polls.poll(source, by="ada"))
    for _ in range(3):
        world.clock.pass_ms(MINUTE)
        assert await polls.once(world.clock.now_ms()) == 0
        await world.rest()
    assert world.stage.notes == ["begun"]
    world.stage.go()
    while len(world.stage.waiting) < 1 or len(world.stage.notes) < 2:
        await world.rest()
    world.stage.go()
    rows = await asked
    assert [row.by for row in rows] == ["ada"]
    assert world.stage.notes == ["begun", "begun"]
    assert await inputs(world) == [1, 2]


async def test_a_poll_on_demand_raises_what_kept_it_from_finding(world: World) -> None:
    await world.load(EACH)
    Site(world).fail("no")
    source: Any = world.runtime.triggers.source("issues")
    with pytest.raises(PollFailed, match="its run raised: ConnectionError: no"):
        await world.runtime.polls.poll(source, by="ada")
    await world.rest()
    assert (await firings(world))[0].by == "ada"


async def test_a_poll_that_takes_too_long_is_cut_off(world: World) -> None:
    await world.load("""
@workflow
async def w(input: Any) -> None: ...

async def fetch() -> Any:
    await asyncio.Event().wait()

PollSource("issues", "* * * * *", fetch, timeout="10ms").attach(w)
""")
    await look(world)
    assert "took longer than 10ms" in (await firings(world))[0].reason


async def test_a_thread_that_outlives_its_time_is_told_at_once_and_no_second_one_begins_beside_it(
    world: World,
) -> None:
    await world.load("""
@workflow
async def w(input: Any) -> None: ...

def fetch(ctx: PollContext[int]) -> Any:
    stage.notes.append(threading.current_thread().name)
    stage.door.wait()
    ctx.set_state(5)
    return [1]

PollSource("issues", "* * * * *", fetch, state=int, each=True, timeout="10ms").attach(w)
""")
    stage: Any = world.stage
    stage.door = threading.Event()
    polls = world.runtime.polls
    await polls.once(world.clock.now_ms())
    while not await firings(world):
        await asyncio.sleep(0.001)
    await world.rest()
    world.clock.pass_ms(10 * MINUTE)
    assert await polls.once(world.clock.now_ms()) == 0
    assert stage.notes == ["ksl-poll issues"]
    source: Any = world.runtime.triggers.source("issues")
    with pytest.raises(PollFailed, match="has outlived its timeout"):
        await polls.poll(source, by="ada")
    stage.door.set()
    await settled(world)
    assert cursor(world) is None
    assert await polls.once(world.clock.now_ms()) == 1
    await settled(world)


async def test_an_action_may_be_run_inside_a_poll(world: World) -> None:
    await world.load("""
@workflow
async def w(input: Any, ctx: Context) -> Any:
    return [ctx.trigger, input]

async def fetch() -> Any:
    return [await echo.run(value="found")]

PollSource("issues", "* * * * *", fetch, each=True).attach(w)
""")
    await look(world)
    assert await inputs(world) == ["found"]


async def test_a_disabled_poll_does_not_run_and_misses_nothing(world: World) -> None:
    await world.load(EACH)
    Site(world)
    await look(world)
    source = world.runtime.triggers.source("issues")
    await world.runtime.triggers.standing.switch(source, "", enabled=False, by="ada")
    assert await pass_minutes(world, 12) == 0
    await world.restart()
    Site(world)
    assert await pass_minutes(world, 12) == 0
    await world.runtime.triggers.standing.switch(source, "", enabled=True, by="ada")
    assert await look(world) == 0
    assert await pass_minutes(world, 5) == 1


async def test_after_the_clock_was_set_back_polls_go_on(world: World) -> None:
    await world.load(EACH)
    site = Site(world)
    await look(world)
    world.clock.ms -= 24 * 60 * MINUTE
    site.items = [{"id": 1}]
    assert await pass_minutes(world, 10) == 2
    assert await ids(world) == [1]


async def test_who_looks_at_a_poll_that_fails_sees_why_and_when_it_is_tried_again(world: World) -> None:
    await world.load(EACH)
    Site(world).fail("503")
    await look(world)
    triggers = world.runtime.triggers
    source = triggers.source("issues")
    shown: Any = await trigger_whole_json(world.store, source, triggers.standing, public_url="")
    assert (shown["failures"], shown["retry_at"]) == (1, rfc3339(world.clock.ms + 1_000))
    assert "ConnectionError: 503" in shown["error"]
    Site(world)
    world.clock.pass_ms(1_000)
    await look(world)
    shown = await trigger_whole_json(world.store, source, triggers.standing, public_url="")
    assert (shown["failures"], shown["retry_at"], shown["error"]) == (0, None, None)

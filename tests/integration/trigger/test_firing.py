"""One firing, one change: runs, keys, state and record together or not at all."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ksl.errors import KeyTaken, StoreFull
from ksl.log.retention import RetentionLoop
from ksl.records import FiredKey, Recipient, SourceState
from ksl.trigger.firing import Held, Item

from tests.engine_fixture import START_MS, World

HOOKED = """
@dataclasses.dataclass
class Event:
    name: str = "nobody"
    plan: str = ""

@workflow
async def greet(input: Event, ctx: Context) -> list[Any]:
    await echo.run(value=input.name)
    return [input.name, ctx.trigger, int(ctx.triggered_at.timestamp()), ctx.subscriber]

@workflow(subscription="subscribable")
async def digest(input: Any, ctx: Context) -> Any:
    return ctx.subscriber

@workflow
async def count(input: int) -> int:
    return input

signup = WebhookSource("signup", payload=Event, filter=lambda event: event.plan != "free").attach(greet)
wide = WebhookSource("wide").attach(greet).attach(digest).attach(count, transform=lambda e: e["n"])
news = WebhookSource("news").attach(digest)
"""


def item(value: Any, *keys: str, source: str = "signup") -> Item:
    return Item(json.dumps(value).encode(), tuple(FiredKey(source, key) for key in keys))


async def fire(world: World, slug: str, *items: Item, **options: Any) -> Any:
    triggers = world.runtime.triggers
    fired = await triggers.fire(triggers.source(slug), items, **options)
    await world.rest()
    return fired


async def runs(world: World) -> list[str]:
    from ksl.records import RunFilter

    page = await world.store.runs(RunFilter())
    return sorted(run.run_id for run in page.rows)


async def test_a_run_knows_what_started_it_and_for_when(world: World) -> None:
    await world.load(HOOKED)

    fired = await fire(world, "signup", item({"name": "Ada", "more": 1}), nominal_ms=START_MS - 5_000)

    seen = await world.finish(fired.row.runs[0].run_id)
    assert seen.output == ["Ada", "webhook", (START_MS - 5_000) // 1000, None]
    assert seen.events[0].meta is not None
    assert (seen.events[0].meta.source, seen.events[0].meta.firing) == ("signup", fired.row.firing_id)
    assert fired.row.verdict == "started"
    assert await world.store.triggers.firing(fired.row.firing_id) == fired.row


async def test_what_the_filter_refuses_is_kept_as_skipped_and_starts_nothing(world: World) -> None:
    await world.load(HOOKED)

    fired = await fire(world, "signup", item({"name": "Ada", "plan": "free"}, "k"))

    assert (fired.row.verdict, fired.row.reason, fired.runs) == ("skipped", "the filter said no", [])
    assert await runs(world) == []
    with pytest.raises(KeyTaken):
        await fire(world, "signup", item({"name": "Ada", "plan": "free"}, "k"))


async def test_one_attachment_that_fails_keeps_no_other_from_starting(world: World) -> None:
    await world.load(HOOKED)
    standing = world.runtime.triggers.standing
    await standing.subscribe("digest", "ada", by="t")

    fired = await fire(world, "wide", item({"name": "Bob"}, source="wide"))

    assert fired.row.verdict == "failed"
    assert [run.workflow for run in fired.row.runs] == ["greet", "digest"]
    (error,) = fired.row.errors
    assert (error.workflow, error.type) == ("count", "KeyError")
    assert "main.py:" in error.message
    assert await runs(world) == sorted(run.run_id for run in fired.row.runs)


async def test_what_failed_for_everybody_may_come_again(world: World) -> None:
    await world.load(HOOKED)

    first = await fire(world, "signup", item({"name": "Ada"}, "k"), recipients=[])
    assert first.row.verdict == "skipped"
    with pytest.raises(KeyTaken):
        await fire(world, "signup", item({"name": "Ada"}, "k"))

    bad = await fire(world, "wide", item({"n": "x"}, "k", source="wide"), recipients=[Recipient("count")])
    assert (bad.row.verdict, bad.runs) == ("failed", [])
    good = await fire(world, "wide", item({"n": 7}, "k", source="wide"), recipients=[Recipient("count")])
    assert (await world.finish(good.runs[0].run_id)).output == 7


async def test_a_taken_key_stores_nothing_at_all(world: World) -> None:
    await world.load(HOOKED)
    await fire(world, "signup", item({"name": "Ada"}, "k"), state=SourceState("signup", last_ms=1))
    before = await runs(world)

    with pytest.raises(KeyTaken) as caught:
        await fire(
            world,
            "signup",
            item({"name": "Eve"}, "new"),
            item({"name": "Ada"}, "k"),
            many=True,
            state=SourceState("signup", last_ms=2),
        )

    assert (caught.value.source, caught.value.key) == ("signup", "k")
    assert await runs(world) == before
    assert world.runtime.triggers.state("signup") == SourceState("signup", last_ms=1)
    assert await world.runtime.triggers.known("signup", ["k", "new"]) == {"k": FiredKey("signup", "k")}
    assert len((await world.store.triggers.firings("signup")).rows) == 1


async def test_a_key_that_has_expired_is_free_again(world: World) -> None:
    await world.load(HOOKED)
    key = FiredKey("signup", "k", expires_ms=START_MS + 1_000)
    payload = Item(b'{"name": "Ada"}', (key,))
    await fire(world, "signup", payload)
    world.clock.pass_ms(999)
    with pytest.raises(KeyTaken):
        await fire(world, "signup", payload)

    world.clock.pass_ms(1)
    assert await world.runtime.triggers.known("signup", ["k"]) == {}
    await fire(world, "signup", payload)

    assert len(await runs(world)) == 2


async def test_a_full_disk_stores_nothing_and_starts_nothing(world: World) -> None:
    await world.load(HOOKED)
    triggers = world.runtime.triggers
    appended = triggers.store.append

    def full(change: Any) -> None:
        change.lost(StoreFull("no space"))

    triggers.store.append = full  # type: ignore[method-assign]
    with pytest.raises(StoreFull):
        await fire(world, "signup", item({"name": "Ada"}, "k"), state=SourceState("signup", last_ms=1))
    triggers.store.append = appended  # type: ignore[method-assign]

    assert await runs(world) == []
    assert triggers.state("signup") is None
    await fire(world, "signup", item({"name": "Ada"}, "k"))
    assert len(await runs(world)) == 1


async def test_a_subscribable_workflow_gets_one_run_for_each_who_is_subscribed(world: World) -> None:
    await world.load(HOOKED)
    nobody = await fire(world, "news", item({}, source="news"))
    assert (nobody.row.verdict, nobody.row.reason) == ("skipped", "nobody is subscribed")

    standing = world.runtime.triggers.standing
    ids = {user: (await standing.subscribe("digest", user, by="t"))[0].subscription_id for user in "abcde"}
    await standing.set_enabled(ids["b"], False)
    await standing.unsubscribe(ids["d"])
    await world.restart()

    fired = await fire(world, "news", item({}, source="news"))

    assert [run.subscriber for run in fired.row.runs] == ["a", "c", "e"]
    assert [(await world.finish(run.run_id)).output for run in fired.runs] == ["a", "c", "e"]
    assert [run.subscriber for run in fired.runs] == ["a", "c", "e"]


async def test_who_is_disabled_gets_no_run_also_after_a_restart_with_other_code(world: World) -> None:
    await world.load(HOOKED)
    triggers = world.runtime.triggers
    await triggers.standing.switch(triggers.source("wide"), "greet", enabled=False, by="ada")
    await triggers.standing.switch(triggers.source("signup"), "", enabled=False, by="ada")

    await world.restart(HOOKED + "\n# edited\n")
    triggers = world.runtime.triggers
    fired = await fire(world, "wide", item({"n": 1, "name": "x"}, source="wide"))

    assert [run.workflow for run in fired.row.runs] == ["count"]
    assert not triggers.standing.is_enabled("signup")
    await triggers.standing.switch(triggers.source("wide"), "greet", enabled=True, by="ada")
    await world.restart()
    again = await fire(world, "wide", item({"n": 1, "name": "x"}, source="wide"))
    assert [run.workflow for run in again.row.runs] == ["greet", "count"]


async def test_who_is_held_back_is_named_and_the_others_start(world: World) -> None:
    await world.load(HOOKED)
    held = Held(Recipient("greet"), "overlap", "its last run has not ended")

    fired = await fire(world, "wide", item({"n": 1}, source="wide"), held_back=[held])

    assert fired.row.verdict == "started"
    assert [(e.workflow, e.type, e.held_back) for e in fired.row.errors] == [("greet", "overlap", True)]


async def test_unfinished_runs_are_told_by_source_and_recipient(world: World) -> None:
    await world.load(
        HOOKED
        + """
@workflow
async def waits(input: Any, ctx: Context) -> None:
    await ctx.hook()

one = WebhookSource("one").attach(waits)
two = WebhookSource("two").attach(waits)
"""
    )
    first = await fire(world, "one", item({}, source="one"))
    await fire(world, "two", item({}, source="two"))
    second = await fire(world, "one", item({}, source="one"))
    await world.runtime.cancel(second.runs[0].run_id)
    await world.rest()

    found = await world.runtime.triggers.unfinished("one", Recipient("waits"))

    assert [run.run_id for run in found] == [first.runs[0].run_id]


async def test_many_items_are_one_firing(world: World) -> None:
    await world.load(HOOKED)
    items = [item({"name": name}, name) for name in ("a", "b", "c")]

    fired = await fire(world, "signup", *items, many=True)

    assert [(run.item, run.workflow) for run in fired.row.runs] == [(0, "greet"), (1, "greet"), (2, "greet")]
    assert json.loads(fired.row.payload or b"") == [{"name": "a"}, {"name": "b"}, {"name": "c"}]
    assert [(await world.finish(run.run_id)).output[0] for run in fired.runs] == ["a", "b", "c"]


async def test_old_firings_and_expired_keys_are_deleted(world: World) -> None:
    await world.load(HOOKED)
    for number in range(5):
        key = FiredKey("signup", str(number), expires_ms=START_MS + 10 if number < 3 else None)
        await fire(world, "signup", Item(b'{"name": "x"}', (key,)))
        world.clock.pass_ms(100)
    log = world.store.triggers

    while await log.prune(START_MS + 200, now_ms=world.clock.ms, limit=2):
        pass

    assert len((await log.firings("signup")).rows) == 3
    assert sorted(await world.runtime.triggers.known("signup", list("01234"))) == ["3", "4"]


@pytest.mark.parametrize(("keep_s", "firings"), [(0.0, 2), (0.15, 1)])
async def test_retention_takes_old_firings_along_and_expired_keys_in_any_case(
    world: World, keep_s: float, firings: int
) -> None:
    await world.load(HOOKED)
    for name in ("old", "new"):
        key = FiredKey("signup", name, expires_ms=world.clock.ms + 100)
        await fire(world, "signup", Item(b'{"plan": "free"}', (key,)))
        world.clock.pass_ms(99)
    loop = RetentionLoop(store=world.store, clock=world.clock, keep_s=keep_s)

    while await loop.once(world.clock.ms):
        pass

    assert len((await world.store.triggers.firings("signup")).rows) == firings
    assert list(await world.store.triggers.keys("signup", ["old", "new"], now_ms=0)) == ["new"]

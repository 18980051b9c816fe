"""Sources in a test: fired by hand, or by the time that the test lets pass."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from pydantic import BaseModel

from ksl import Context, CronSource, PollContext, PollSource, WebhookSource, action, workflow
from ksl.errors import DuplicateSlug, InvalidInput, PayloadMisfit, PollFailed
from ksl.testing import ActionHangs, environment


class Signup(BaseModel):
    name: str
    plan: str = "free"


class Cursor(BaseModel):
    newest: int = 0


@action
async def send(text: str) -> str:
    return text


@workflow
async def welcome(input: Signup, ctx: Context) -> str:
    return await send.run(text=f"{ctx.trigger} {input.name}")


@workflow
async def digest(ctx: Context) -> str:
    return ctx.triggered_at.isoformat()


@workflow(subscription="subscribable")
async def personal(ctx: Context) -> str | None:
    return ctx.subscriber


@workflow
async def long_digest(ctx: Context) -> None:
    await ctx.sleep("36h")


def is_pro(signup: Signup) -> bool:
    return signup.plan == "pro"


async def test_a_webhook_is_fired_with_a_payload() -> None:
    source = WebhookSource("signup", "signup", Signup, filter=is_pro).attach(welcome)
    async with environment() as env:
        (fired,) = await env.fire(source, {"name": "Ada", "plan": "pro"})
        assert (fired.verdict, fired.payload) == ("started", {"name": "Ada", "plan": "pro"})
        assert await fired.runs[0].result() == "webhook Ada"
        (skipped,) = await env.fire(source, Signup(name="Bob"))
        assert (skipped.verdict, skipped.reason, skipped.runs) == ("skipped", "the filter said no", [])
        with pytest.raises(InvalidInput):
            await env.fire(source, {"plan": "pro"})
        assert [each.verdict for each in env.firings(source)] == ["started", "skipped"]


async def test_a_cron_source_is_fired_by_hand_with_its_own_payload() -> None:
    source = CronSource("daily", "@daily", payload={"name": "all"}).attach(welcome)
    async with environment() as env:
        (fired,) = await env.fire(source)
        assert await fired.runs[0].result() == "cron all"
        await env.advance("3d")
        assert len(env.firings(source)) == 1  # nobody watches it


async def test_time_that_passes_fires_a_cron_source_that_is_watched() -> None:
    source = CronSource("weekdays", "0 9 * * mon-fri", "Europe/Berlin").attach(digest)
    async with environment() as env:  # it is Monday, 5 January 2026, 09:00 UTC
        await env.watch(source)
        await env.advance("7d")
        fired = env.firings(source)
        assert [await each.runs[0].result() for each in fired] == [
            f"2026-01-{day:02}T08:00:00+00:00" for day in (6, 7, 8, 9, 12)
        ]
        assert all(each.skipped == 0 for each in fired)
        assert len({each["firing_id"] for each in fired}) == 5


async def test_the_same_test_gives_the_same_ids() -> None:
    source = CronSource("nine", "0 9 * * *").attach(digest)
    seen: list[Any] = []
    for _ in range(2):
        async with environment() as env:
            await env.watch(source)
            await env.advance("2d")
            seen.append([(each["firing_id"], each["run_ids"]) for each in env.firings(source)])
    assert seen[0] == seen[1]


async def test_a_tick_at_the_moment_that_time_is_moved_to_fires() -> None:
    source = CronSource("nine", "0 9 * * *").attach(digest)
    async with environment() as env:
        await env.watch(source)
        await env.advance("1d")
        assert len(env.firings(source)) == 1


async def test_overlap_is_seen_by_the_time_of_the_test() -> None:
    source = CronSource("nine", "0 9 * * *", overlap="buffer_one").attach(long_digest)
    async with environment() as env:
        await env.watch(source)
        await env.advance("97h")
        # Each takes a day and a half. A tick waits for the run before it, and one that finds another waiting is
        # left out: that of the ninth comes a millisecond before the second run ends.
        assert [(each.triggered_at[8:10], each.verdict) for each in env.firings(source)] == [
            ("06", "started"),
            ("07", "skipped"),
            ("07", "started"),
            ("08", "skipped"),
            ("09", "skipped"),
            ("08", "started"),
        ]


async def test_a_subscribable_workflow_runs_for_each_subscriber() -> None:
    source = CronSource("nine", "0 9 * * *").attach(personal)
    async with environment() as env:
        await env.watch(source)
        await env.advance("1d")
        await env.subscribe(personal, "ada")
        await env.subscribe(personal, "bob")
        await env.advance("1d")
        nobody, both = env.firings(source)
        assert (nobody.verdict, nobody.reason) == ("skipped", "nobody is subscribed")
        assert [await run.result() for run in both.runs] == ["ada", "bob"]


def numbers(found: list[list[int]]) -> Any:
    async def fetch(ctx: PollContext[Cursor]) -> list[Signup]:
        newest = ctx.state.newest if ctx.state else 0
        page = [number for number in found[-1] if number > newest]
        ctx.set_state(Cursor(newest=max([newest, *page])))
        return [Signup(name=str(number)) for number in page]

    return fetch


def name_of(signup: Signup) -> str:
    return signup.name


async def test_a_poll_that_is_watched_comes_at_once_and_by_its_schedule() -> None:
    found = [[1, 2]]
    source = PollSource(
        "numbers", "*/5 * * * *", numbers(found), state=Cursor, each=True, key=name_of
    ).attach(welcome)
    async with environment() as env:
        await env.watch(source)
        found.append([1, 2, 3])
        await env.advance("12m")
        assert [await run.result() for each in env.firings(source) for run in each.runs] == [
            "poll 1",
            "poll 2",
            "poll 3",
        ]


async def test_a_poll_is_fired_by_hand_with_what_it_finds_or_with_what_the_test_gives() -> None:
    source = PollSource("numbers", "@hourly", numbers([[7]]), state=Cursor, each=True, key=name_of)
    source.attach(welcome)
    async with environment() as env:
        (fired,) = await env.fire(source)
        assert await fired.runs[0].result() == "poll 7"
        (fired,) = await env.fire(source, [{"name": "7"}, {"name": "8"}])
        assert [await run.result() for run in fired.runs] == ["poll 8"]
        (fired,) = await env.fire(source)
        assert (fired.verdict, fired.runs) == ("skipped", [])


async def test_a_poll_that_raises_is_raised_by_hand_and_backs_off_by_the_clock() -> None:
    outcomes = [ValueError("no"), ValueError("still no"), None, None]
    times: list[datetime] = []

    async with environment() as env:

        async def fetch() -> list[Signup]:
            times.append(env.now)
            outcome = outcomes.pop(0)
            if outcome is not None:
                raise outcome
            return [Signup(name="found")]

        source = PollSource("numbers", "@hourly", fetch, each=True).attach(welcome)
        with pytest.raises(PollFailed, match="ValueError: no"):
            await env.fire(source)
        await env.watch(source)
        await env.advance("30m")
        assert [(each - times[0]).total_seconds() for each in times] == [0, 1, 3]
        verdicts = [each.verdict for each in env.firings(source)]
        assert verdicts == ["failed", "failed", "started"]


async def test_a_poll_that_hangs_is_told_by_its_name() -> None:
    async with environment(patience="50ms") as env:

        async def fetch() -> str | None:
            await env.sleep("1h")

        async def hang() -> str | None:
            import asyncio

            await asyncio.Event().wait()

        waits = PollSource("waits", "@daily", fetch).attach(welcome)
        await env.watch(waits)
        await env.advance("2h")
        with pytest.raises(ActionHangs, match="poll hangs"):
            await env.watch(PollSource("hangs", "@daily", hang).attach(welcome))


async def test_what_the_build_would_refuse_is_refused() -> None:
    async with environment() as env:
        with pytest.raises(PayloadMisfit):
            await env.watch(CronSource("daily", "@daily").attach(welcome))
        await env.watch(CronSource("twice", "@daily").attach(digest))
        with pytest.raises(DuplicateSlug, match=r"test_sources\.py"):
            await env.watch(CronSource("twice", "@daily").attach(digest))

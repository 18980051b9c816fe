"""What can be declared as a cron or poll source, and what is refused with the reason."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest
from pydantic import BaseModel

from ksl import workflow
from ksl.define.cron import CronSource
from ksl.define.poll import PollContext, PollSource
from ksl.errors import BadSchedule, MalformedTrigger, PayloadMisfit, UnknownZone


class Digest(BaseModel):
    day: str
    limit: int = 10


class Issue(BaseModel):
    id: int
    title: str


class Cursor(BaseModel):
    newest: int = 0


@workflow
async def digest(input: Digest) -> int:
    return input.limit


@workflow
async def nothing() -> None: ...


async def fetch(ctx: PollContext[Cursor]) -> list[Issue]:
    return [Issue(id=1, title=ctx.source)]


def test_a_bad_schedule_or_zone_names_the_source() -> None:
    with pytest.raises(BadSchedule, match=r'CronSource digest: the schedule "0 9" has 2 fields'):
        CronSource("digest", "0 9")
    with pytest.raises(UnknownZone, match=r"CronSource digest: the time zone 'Berlin'"):
        CronSource("digest", "0 9 * * *", "Berlin")
    with pytest.raises(BadSchedule, match=r"PollSource issues: "):
        PollSource("issues", "every minute", fetch)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"misfire": "never"}, "misfire is one of coalesce, all, skip"),
        ({"overlap": "queue"}, "overlap is one of allow, skip, buffer_one, cancel_other"),
        ({"jitter": "soon"}, "jitter"),
        ({"jitter": "25h"}, "longer than a day"),
    ],
)
def test_a_policy_that_does_not_exist_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(MalformedTrigger, match=re.escape(said)):
        CronSource("digest", "@daily", **options)


def test_a_payload_that_is_no_input_is_found_before_it_fires() -> None:
    CronSource("digest", "@daily", payload={"day": "today"}).attach(digest).prepare()
    CronSource("digest", "@daily").attach(nothing).prepare()
    CronSource("digest", "@daily", payload=7).attach(digest, transform=day_named).prepare()
    with pytest.raises(
        PayloadMisfit,
        match="its payload, as the input of workflow digest, does not fit its schema: day: Field req",
    ):
        CronSource("digest", "@daily").attach(digest).prepare()
    with pytest.raises(PayloadMisfit, match="what its transform makes"):
        CronSource("digest", "@daily").attach(digest, transform=limit_only).prepare()
    with pytest.raises(PayloadMisfit, match="the transform for workflow digest fails"):
        CronSource("digest", "@daily").attach(digest, transform=day_of).prepare()


def test_a_payload_that_is_no_json_is_refused() -> None:
    with pytest.raises(MalformedTrigger, match="its payload is no JSON"):
        CronSource("digest", "@daily", payload={"x": float("nan")}).prepare()


def test_a_payload_may_be_a_model() -> None:
    assert CronSource("digest", "@daily", payload=Digest(day="today")).data == b'{"day":"today","limit":10}'


async def untyped():
    return [{"id": 1}]


def maybe() -> list[Issue] | None:
    return None


def many() -> Iterable[Issue]:
    yield Issue(id=1, title="one")


async def stream() -> AsyncIterator[Issue]:
    yield Issue(id=1, title="one")


def pairs() -> tuple[Issue, ...]:
    return ()


def one() -> Issue:
    return Issue(id=1, title="one")


def two(first: Any, second: Any) -> None: ...


def named(*, first: Any) -> None: ...


def limit_only(_: Any) -> Any:
    return {"limit": 3}


def day_of(value: Any) -> Any:
    return value["day"]


def day_named(value: int) -> Any:
    return {"day": str(value)}


@pytest.mark.parametrize("run", [fetch, maybe, many, stream, pairs])
def test_the_type_of_each_payload_is_that_of_the_items_that_run_returns(run: Any) -> None:
    source = PollSource("issues", "@hourly", run, each=True)
    assert source.payload.decode(b'{"id": 4, "title": "four"}') == Issue(id=4, title="four")


def test_the_type_of_a_single_payload_is_what_run_returns_or_what_is_given() -> None:
    assert PollSource("one", "@hourly", one).payload.decode(b'{"id": 4, "title": ""}') == Issue(
        id=4, title=""
    )
    given = PollSource("one", "@hourly", untyped, each=True, payload=Issue)
    assert given.payload.decode(b'{"id": 4, "title": ""}') == Issue(id=4, title="")
    assert PollSource("one", "@hourly", untyped, each=True).payload.decode(b'{"id": 4}') == {"id": 4}


def test_run_may_take_the_context_or_nothing() -> None:
    assert PollSource("issues", "@hourly", fetch).takes_context
    assert not PollSource("issues", "@hourly", one).takes_context


@pytest.mark.parametrize(
    ("run", "options", "said"),
    [
        (two, {}, "one parameter, or none"),
        (named, {}, "one parameter, or none"),
        (None, {}, "run is a function"),
        (stream, {}, "Say each=True"),
        (one, {"timeout": 0}, "no poll could ever end"),
        (one, {"timeout": "long"}, "timeout"),
        (one, {"key": two}, "key is a function of the payload alone"),
        (one, {"filter": 3}, "filter is a function"),
    ],
)
def test_a_poll_that_could_not_work_is_refused(run: Any, options: dict[str, Any], said: str) -> None:
    with pytest.raises(MalformedTrigger, match=re.escape(said)):
        PollSource("issues", "@hourly", run, **options)

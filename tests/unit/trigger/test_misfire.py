"""Which ticks fire, of those that have become due."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksl.define.cron import CronSource
from ksl.trigger.misfire import CATCH_UP_MAX, Plan, Tick, due_ms, plan

MINUTE = 60_000
HOUR = 60 * MINUTE
NINE = int(datetime(2026, 11, 23, 9, tzinfo=UTC).timestamp() * 1000)


def hourly(**options: Any) -> CronSource:
    return CronSource("hourly", "0 * * * *", **options)


def test_nothing_is_due_between_two_ticks() -> None:
    assert plan(hourly(), NINE, NINE + HOUR - 1) is None


@pytest.mark.parametrize("misfire", ["coalesce", "all", "skip"])
def test_a_tick_that_is_on_time_fires_whatever_the_policy(misfire: Any) -> None:
    for late_ms in (0, 900, 10_000):
        expected = Plan((Tick(NINE + HOUR),), NINE + HOUR)
        assert plan(hourly(misfire=misfire), NINE, NINE + HOUR + late_ms) == expected


def test_coalesced_ticks_are_one_run_for_the_newest() -> None:
    now_ms = NINE + 5 * HOUR + 20 * MINUTE
    assert plan(hourly(), NINE, now_ms) == Plan((Tick(NINE + 5 * HOUR, 4),), NINE + 5 * HOUR)


def test_all_ticks_are_a_run_each_in_order() -> None:
    made = plan(hourly(misfire="all"), NINE, NINE + 5 * HOUR + 20 * MINUTE)
    assert made == Plan(tuple(Tick(NINE + n * HOUR) for n in range(1, 6)), NINE + 5 * HOUR)


def test_all_has_a_bound_beyond_which_the_oldest_count_as_skipped() -> None:
    source = CronSource("minutely", "* * * * *", misfire="all")
    made = plan(source, NINE, NINE + 7 * 24 * HOUR)
    assert made is not None
    assert len(made.ticks) == CATCH_UP_MAX
    assert made.ticks[0].skipped == 7 * 24 * 60 - CATCH_UP_MAX
    assert made.ticks[-1].nominal_ms == made.until_ms == NINE + 7 * 24 * HOUR
    assert all(tick.skipped == 0 for tick in made.ticks[1:])


def test_skipped_ticks_start_nothing_and_are_counted() -> None:
    made = plan(hourly(misfire="skip"), NINE, NINE + 5 * HOUR + 20 * MINUTE)
    assert made == Plan((), NINE + 5 * HOUR, skipped=5)


def test_skip_fires_the_tick_that_is_still_on_time_and_counts_those_before_it() -> None:
    made = plan(hourly(misfire="skip"), NINE, NINE + 5 * HOUR + 9_000)
    assert made == Plan((Tick(NINE + 5 * HOUR, 4),), NINE + 5 * HOUR)


def test_skip_leaves_out_a_tick_just_beyond_the_grace() -> None:
    made = plan(hourly(misfire="skip"), NINE, NINE + HOUR + 10_001)
    assert made == Plan((), NINE + HOUR, skipped=1)


def test_jitter_delays_a_tick_by_the_same_part_of_it_each_time() -> None:
    delays = {hourly(jitter="30m").delay_ms(NINE + n * HOUR) for n in range(50)}
    assert len(delays) > 45
    assert all(0 <= delay < 30 * MINUTE for delay in delays)
    assert delays == {hourly(jitter="30m").delay_ms(NINE + n * HOUR) for n in range(50)}
    other = CronSource("other", "0 * * * *", jitter="30m")
    assert other.delay_ms(NINE) != hourly(jitter="30m").delay_ms(NINE)


def test_a_delayed_tick_keeps_its_nominal_time() -> None:
    source = hourly(jitter="30m")
    moment_ms = due_ms(source, NINE)
    assert moment_ms is not None
    assert moment_ms == NINE + HOUR + source.delay_ms(NINE + HOUR)
    assert plan(source, NINE, moment_ms - 1) is None
    assert plan(source, NINE, moment_ms) == Plan((Tick(NINE + HOUR),), NINE + HOUR)


@given(
    st.sampled_from(["*/7 * * * *", "* * * * *", "30 */5 * * *", "0 9 * * mon-fri"]),
    st.sampled_from(["coalesce", "all", "skip"]),
    st.sampled_from([None, "90s", "20m", "3h"]),
    st.lists(st.integers(1, 6 * HOUR), min_size=1, max_size=30),
)
def test_however_often_one_looks_each_tick_fires_once_or_is_counted_once(
    schedule: str, misfire: Any, jitter: str | None, looks: list[int]
) -> None:
    source = CronSource("any", schedule, misfire=misfire, jitter=jitter)
    after_ms = now_ms = NINE
    fired: list[int] = []
    skipped = 0
    for pause_ms in looks:
        now_ms += pause_ms
        made = plan(source, after_ms, now_ms)
        following_ms = due_ms(source, after_ms)
        assert following_ms is not None
        assert (made is None) == (following_ms > now_ms)
        if made is not None:
            fired += [tick.nominal_ms for tick in made.ticks]
            skipped += made.skipped + sum(tick.skipped for tick in made.ticks)
            assert made.until_ms > after_ms
            assert not made.ticks or made.ticks[-1].nominal_ms <= made.until_ms
            after_ms = made.until_ms
    assert fired == sorted(set(fired))
    assert len(fired) + skipped == source.schedule.count(NINE / 1000, after_ms / 1000)
    if misfire == "all":
        assert skipped == 0
    if jitter is None:
        assert len(fired) + skipped == source.schedule.count(NINE / 1000, now_ms / 1000)

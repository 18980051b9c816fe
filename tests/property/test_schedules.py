"""Laws of schedules, for any expression, zone and moment."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from ksl.define.schedule import Schedule
from ksl.errors import BadSchedule

MINUTE_FIELDS = ["*", "*/7", "0", "30", "59", "0-30/10", "5,55", "0-59"]
HOUR_FIELDS = ["*", "*/2", "0", "1", "2", "2,3", "0-23", "23"]
DAY_FIELDS = ["*", "1", "L", "29-31", "*/3", "15w"]
MONTH_FIELDS = ["*", "3", "2", "10-11", "nov-feb"]
WEEKDAY_FIELDS = ["*", "sun", "mon-fri", "sat-mon", "5#2", "l0", "7"]
ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/Havana",
    "America/St_Johns",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Africa/Casablanca",
    "Asia/Kathmandu",
]
_EARLIEST = int(datetime(2005, 1, 1, tzinfo=UTC).timestamp())
_LATEST = int(datetime(2035, 1, 1, tzinfo=UTC).timestamp())
# The hours around which the clocks of these zones change, so that chance does not have to find them.
_CHANGES = [
    int(each.timestamp())
    for each in (
        datetime(2026, 3, 29, 1, tzinfo=UTC),
        datetime(2026, 10, 25, 1, tzinfo=UTC),
        datetime(2026, 11, 1, 5, tzinfo=UTC),
        datetime(2010, 11, 7, 2, 31, tzinfo=UTC),
        datetime(2026, 4, 4, 15, tzinfo=UTC),
        datetime(2011, 12, 30, 10, tzinfo=UTC),
    )
]

moments: st.SearchStrategy[int] = st.one_of(
    st.integers(_EARLIEST, _LATEST),
    st.tuples(st.sampled_from(_CHANGES), st.integers(-7200, 7200)).map(sum),
)


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    fields = [
        draw(st.sampled_from(each))
        for each in (MINUTE_FIELDS, HOUR_FIELDS, DAY_FIELDS, MONTH_FIELDS, WEEKDAY_FIELDS)
    ]
    zone = draw(st.sampled_from(ZONES))
    try:
        return Schedule(" ".join(fields), zone)
    except BadSchedule:
        fields[2] = "*"
        return Schedule(" ".join(fields), zone)


@given(schedules(), moments)
@settings(max_examples=150, deadline=None)
def test_instants_strictly_increase_and_fit_the_clock_or_follow_a_gap(
    schedule: Schedule, after_s: int
) -> None:
    instants = schedule.upcoming(after_s, 20)
    assert instants[0] > after_s
    assert all(later > earlier for earlier, later in pairwise(instants))
    for each in instants:
        local = schedule.local(each)
        if local.hour * 60 + local.minute not in schedule.minutes:
            assert schedule.is_fixed
            assert schedule.local(each - 1).utcoffset() != local.utcoffset()


@given(schedules(), moments)
@settings(max_examples=150, deadline=None)
def test_the_next_after_the_previous_is_the_same_and_nothing_lies_between(
    schedule: Schedule, moment_s: int
) -> None:
    tick = schedule.next(moment_s)
    assert tick is not None
    before = schedule.previous(tick)
    assert before is not None
    assert before <= moment_s
    assert schedule.next(before) == tick
    assert schedule.previous(tick + 1) == tick
    assert schedule.next(tick - 1) == tick


@given(schedules(), moments, st.integers(0, 40))
@settings(max_examples=150, deadline=None)
def test_counting_agrees_with_going_through_them(schedule: Schedule, after_s: int, number: int) -> None:
    instants = schedule.upcoming(after_s, number)
    until_s = instants[-1] if instants else after_s
    assert schedule.count(after_s, until_s) == number
    if instants:
        assert schedule.count(after_s, until_s - 1) == number - 1


@given(schedules(), moments)
@settings(max_examples=150, deadline=None)
def test_a_fixed_time_comes_once_for_each_day_on_the_wall(schedule: Schedule, after_s: int) -> None:
    if schedule.is_fixed and len(schedule.minutes) == 1:
        instants = schedule.upcoming(after_s, 30)
        # Each stands for a day of its own: those at a jump for a day or an hour that the clocks left out.
        days = [schedule.local(each).date() for each in instants]
        extra = [day for day in set(days) if days.count(day) > 1]
        assert all(day.isoformat() == "2011-12-31" for day in extra)

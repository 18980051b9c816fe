"""When a schedule comes, on ordinary days and on those when the clocks change."""

from __future__ import annotations

import random
import re
from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim

from ksl.define.schedule import NICKNAMES, Schedule
from ksl.errors import BadSchedule, UnknownZone

BERLIN = "Europe/Berlin"  # 2026: forward on 29 March at 02:00, back on 25 October at 03:00
MINUTES = ("0", "30", "5,35", "59", "15-45/15", "0-59/20", "1,2,3")
HOURS = ("0", "1", "2", "3", "2,3", "1-4", "9", "23", "0-23/3")
DAYS = ("*", "1", "29", "L", "*/2", "28-31", "1,15")
MONTHS = ("*", "3", "10,11", "mar-apr", "2", "9-11")
WEEKDAYS = ("*", "sun", "mon-fri", "0", "7", "6,7", "fri#1", "*/2")
ZONES = (
    "UTC",
    BERLIN,
    "Europe/London",
    "America/New_York",
    "America/Havana",  # the clocks change at midnight
    "America/St_Johns",
    "Australia/Lord_Howe",  # by half an hour
    "Pacific/Apia",
    "Asia/Kathmandu",
    "Africa/Casablanca",
    "America/Santiago",
    "Asia/Beirut",
)


def instant(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


def shown(schedule: Schedule, after: str, number: int) -> list[str]:
    return [
        schedule.local(each).isoformat(timespec="minutes")
        for each in schedule.upcoming(instant(after), number)
    ]


def test_a_weekday_schedule_leaves_out_the_weekend() -> None:
    schedule = Schedule("0 9 * * mon-fri", BERLIN)
    assert shown(schedule, "2026-11-20T12:00:00+01:00", 3) == [
        "2026-11-23T09:00+01:00",
        "2026-11-24T09:00+01:00",
        "2026-11-25T09:00+01:00",
    ]


def test_a_fixed_time_that_the_clocks_jump_over_comes_once_at_the_first_instant_after_it() -> None:
    assert shown(Schedule("30 2 * * *", BERLIN), "2026-03-28T00:00:00+01:00", 3) == [
        "2026-03-28T02:30+01:00",
        "2026-03-29T03:00+02:00",
        "2026-03-30T02:30+02:00",
    ]


def test_several_times_in_the_gap_and_one_at_its_end_are_one_instant() -> None:
    assert shown(Schedule("0,20,40 2-3 * * *", BERLIN), "2026-03-29T00:00:00+01:00", 4) == [
        "2026-03-29T03:00+02:00",
        "2026-03-29T03:20+02:00",
        "2026-03-29T03:40+02:00",
        "2026-03-30T02:00+02:00",
    ]


def test_a_fixed_time_that_the_clocks_show_twice_comes_once_the_first_time() -> None:
    assert shown(Schedule("30 2 * * *", BERLIN), "2026-10-25T00:00:00+02:00", 2) == [
        "2026-10-25T02:30+02:00",
        "2026-10-26T02:30+01:00",
    ]


def test_from_within_the_repeated_hour_a_fixed_time_waits_for_the_next_day() -> None:
    assert shown(Schedule("30 2 * * *", BERLIN), "2026-10-25T02:10:00+01:00", 1) == ["2026-10-26T02:30+01:00"]


def test_wildcard_minutes_follow_elapsed_time_through_a_repeated_hour() -> None:
    assert shown(Schedule("*/30 * * * *", BERLIN), "2026-10-25T01:59:00+02:00", 5) == [
        "2026-10-25T02:00+02:00",
        "2026-10-25T02:30+02:00",
        "2026-10-25T02:00+01:00",
        "2026-10-25T02:30+01:00",
        "2026-10-25T03:00+01:00",
    ]


def test_wildcard_hours_follow_elapsed_time_over_a_gap() -> None:
    schedule = Schedule("30 * * * *", BERLIN)
    instants = schedule.upcoming(instant("2026-03-29T00:00:00+01:00"), 4)
    assert [later - earlier for earlier, later in pairwise(instants)] == [3600] * 3
    assert [schedule.local(each).strftime("%H:%M") for each in instants] == [
        "00:30",
        "01:30",
        "03:30",
        "04:30",
    ]


def test_clocks_that_change_at_midnight_repeat_an_hour_of_the_day_before() -> None:
    # Havana goes back from 01:00 to 00:00.
    assert shown(Schedule("30 0 * * *", "America/Havana"), "2026-10-31T23:00:00-04:00", 2) == [
        "2026-11-01T00:30-04:00",
        "2026-11-02T00:30-05:00",
    ]
    # St. John's once went back at 00:01, to 23:01 of the day before.
    quarters = Schedule("*/30 * * * *", "America/St_Johns")
    assert shown(quarters, "2010-11-06T23:20:00-02:30", 5) == [
        "2010-11-06T23:30-02:30",
        "2010-11-07T00:00-02:30",
        "2010-11-06T23:30-03:30",
        "2010-11-07T00:00-03:30",
        "2010-11-07T00:30-03:30",
    ]


def test_a_day_that_a_zone_left_out_has_its_fixed_times_at_the_jump() -> None:
    # Samoa went over the date line: 30 December 2011 did not take place.
    assert shown(Schedule("0 9 * * *", "Pacific/Apia"), "2011-12-29T00:00:00-10:00", 3) == [
        "2011-12-29T09:00-10:00",
        "2011-12-31T00:00+14:00",
        "2011-12-31T09:00+14:00",
    ]


@pytest.mark.parametrize("nickname", sorted(NICKNAMES))
def test_a_nickname_is_its_five_fields(nickname: str) -> None:
    after_s = instant("2026-01-01T00:00:00+00:00")
    spelled = Schedule(NICKNAMES[nickname], BERLIN)
    assert Schedule(f" {nickname.upper()} ", BERLIN).upcoming(after_s, 5) == spelled.upcoming(after_s, 5)


def test_names_of_months_and_days_may_be_written_in_any_case() -> None:
    after_s = instant("2026-01-01T00:00:00+00:00")
    assert Schedule("0 9 * JAN,jul Mon").upcoming(after_s, 9) == Schedule("0 9 * 1,7 1").upcoming(after_s, 9)


def test_a_range_from_a_value_to_itself_is_that_value() -> None:
    assert Schedule("0 9-9 * * *").minutes == Schedule("0 9 * * *").minutes == (540,)


def test_days_restricted_twice_come_when_either_fits_and_when_both_fit_if_one_begins_with_a_star() -> None:
    assert shown(Schedule("0 0 13 * fri"), "2026-11-01T00:00:00+00:00", 3) == [
        "2026-11-06T00:00+00:00",
        "2026-11-13T00:00+00:00",
        "2026-11-20T00:00+00:00",
    ]
    assert shown(Schedule("0 0 */2 * fri"), "2026-11-01T00:00:00+00:00", 2) == [
        "2026-11-13T00:00+00:00",
        "2026-11-27T00:00+00:00",
    ]


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("0 9 * *", "has 4 fields"),
        ("0 0 9 * * *", "no field for seconds"),
        ("", "has 0 fields"),
        (
            "61 * * * *",
            'the minute field "61" is no list of numbers, ranges (a-b) and steps (*/n) from 0 to 59',
        ),
        ("* 24 * * *", 'the hour field "24"'),
        ("0 0 0 * *", 'the day of the month field "0"'),
        ("0 0 * 13 *", 'the month field "13"'),
        ("0 0 * * 8", 'the day of the week field "8"'),
        ("*/0 * * * *", 'the minute field "*/0"'),
        ("-5 * * * *", 'the minute field "-5"'),
        ("0 0 31 2 *", "never comes"),
        ("0 0 30 feb *", "never comes"),
        ("r * * * *", "random"),
        ("H H * * *", "random"),
        ("h(0-5)/2 * * * *", "cannot be read"),
        ("0 9 * * funday", 'the day of the week field "funday"'),
        ("0 9 15 * mon#1", "two sources"),
        ("@reboot", "no nickname"),
        ("0 9 * * mon;fri", "cannot be read"),
        ("é 9 * * *", "cannot be read"),
        (None, "five cron fields"),
    ],
)
def test_an_expression_that_cannot_be_used_is_refused_with_the_reason(expression: str, said: str) -> None:
    with pytest.raises(BadSchedule, match=re.escape(said)):
        Schedule(expression)


@pytest.mark.parametrize("zone", ["Berlin", "europe/berlin", "Europe/Berln"])
def test_a_zone_that_is_not_known_is_refused_with_the_nearest_one(zone: str) -> None:
    with pytest.raises(UnknownZone, match='Did you mean "Europe/Berlin"'):
        Schedule("@daily", zone)


@pytest.mark.parametrize("zone", ["", "/etc/passwd", "../UTC", None, "Mars/Olympus"])
def test_what_names_no_zone_is_refused(zone: str) -> None:
    with pytest.raises(UnknownZone):
        Schedule("@daily", zone)


def _triples() -> list[tuple[str, str, datetime]]:
    chance = random.Random(20261122)
    triples: list[tuple[str, str, datetime]] = []
    while len(triples) < 240:
        fields = [chance.choice(each) for each in (MINUTES, HOURS, DAYS, MONTHS, WEEKDAYS)]
        if "#" in fields[4] and not fields[2].startswith("*"):
            continue
        # Half of the starts lie in the weeks in which clocks change.
        month = chance.choice([3, 4, 9, 10, 11, chance.randrange(1, 13)])
        start = datetime(
            chance.randrange(2008, 2034),
            month,
            chance.randrange(1, 29),
            chance.randrange(24),
            chance.randrange(60),
            tzinfo=UTC,
        )
        triples.append((" ".join(fields), chance.choice(ZONES), start))
    return triples


@pytest.mark.parametrize(("expression", "zone", "start"), _triples())
def test_a_fixed_schedule_agrees_with_cronsim(expression: str, zone: str, start: datetime) -> None:
    schedule = Schedule(expression, zone)
    assert schedule.is_fixed
    other = CronSim(expression, start.astimezone(ZoneInfo(zone)))
    # It steps over times in a gap once more than there are instants.
    expected: list[int] = []
    while len(expected) < 40:
        moment = int(next(other).timestamp())
        if moment > start.timestamp() and moment not in expected:
            expected.append(moment)
    assert schedule.upcoming(start.timestamp(), 40) == expected

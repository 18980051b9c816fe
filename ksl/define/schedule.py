"""Schedules: five cron fields read on the clocks of one time zone, as a sequence of instants.

croniter reads the fields and finds the days. What a time of day means on a day when the clocks change is decided here,
since there croniter fires twice, or an hour off:

- A **fixed** schedule, whose minute and hour fields both begin with something else than `*`, means a time on
  the wall: each comes once a day. One that the clocks jump over comes at the first instant after the jump; one
  that they show twice comes the first time.
- Any other one means elapsed time: it comes whenever the clocks show a time that fits, so twice in an hour that
  is repeated, and not in one that is left out.

Instants are Unix seconds. They are whole minutes on the wall, and their order is strict.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import TYPE_CHECKING

from ksl.errors import BadSchedule, UnknownZone

if TYPE_CHECKING:
    from croniter import croniter

FIELDS = ("minute", "hour", "day of the month", "month", "day of the week")
_RANGES = ("0 to 59", "0 to 23", "1 to 31", "1 to 12 or jan to dec", "0 to 7 or sun to sat")
# What croniter raises for an expression; its own errors are ValueErrors.
_UNREAD = (ValueError, TypeError, KeyError, IndexError)
NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
# A shift of the clocks moves instants of one day past those of the next by at most a day.
_MARGIN = timedelta(days=2)
_FIRST_YEAR, _LAST_YEAR = 1971, 2999
_CHARACTERS = re.compile(r"[a-z0-9*,/#?-]+")
_EQUAL_RANGE = re.compile(r"(?<![\w-])(\w+)-\1(?![\w-])")
_DAY_ZERO = date(1970, 1, 1)


class Schedule:
    """A parsed expression in its zone. Errors: BadSchedule, UnknownZone."""

    def __init__(self, expression: str, timezone: str = "UTC") -> None:
        self.expression = expression
        self.timezone = timezone
        self.zone = zone_of(timezone)
        fields = _fields(expression)
        self.is_fixed = not fields[0].startswith("*") and not fields[1].startswith("*")
        self.minutes, self._days = _parsed(expression, fields)
        self._instants_of = lru_cache(maxsize=64)(self._instants)
        if next(self._days_from(date(2000, 1, 1)), None) is None:
            raise BadSchedule(f'the schedule "{expression}" never comes: no month has such a day.')

    def __repr__(self) -> str:
        return f"Schedule({self.expression!r}, {self.timezone!r})"

    def next(self, after_s: float) -> int | None:
        """The first instant after a moment; None when there is none in the years that are counted."""
        best: int | None = None
        start = self._date(after_s)
        for day in self._days_from(start - _MARGIN):
            if best is not None and day > self._date(best) + _MARGIN:
                return best
            instants = self._instants_of(day)
            place = bisect_right(instants, after_s)
            if place < len(instants) and (best is None or instants[place] < best):
                best = instants[place]
        return best

    def previous(self, before_s: float) -> int | None:
        """The last instant before a moment; None when there is none in the years that are counted."""
        best: int | None = None
        start = self._date(before_s)
        for day in self._days_back_from(start + _MARGIN):
            if best is not None and day < self._date(best) - _MARGIN:
                return best
            instants = self._instants_of(day)
            place = bisect_left(instants, before_s)
            if place and (best is None or instants[place - 1] > best):
                best = instants[place - 1]
        return best

    def count(self, after_s: float, until_s: float) -> int:
        """How many instants there are in (after_s, until_s]: years of minutes in a fraction of a second."""
        total = 0
        last = self._date(until_s) + _MARGIN
        for day in self._days_from(self._date(after_s) - _MARGIN):
            if day > last:
                break
            instants = self._instants_of(day)
            total += bisect_right(instants, until_s) - bisect_right(instants, after_s)
        return total

    def newest(self, after_s: float, until_s: float, number: int) -> list[int]:
        """The last so many instants in (after_s, until_s], in order."""
        found: set[int] = set()
        first, is_enough = self._date(after_s) - _MARGIN, False
        for day in self._days_back_from(self._date(until_s) + _MARGIN):
            if day < first:
                break
            instants = self._instants_of(day)
            found.update(instants[bisect_right(instants, after_s) : bisect_right(instants, until_s)])
            if len(found) >= number and not is_enough:
                # Days around a change of the clocks may reach into each other.
                first, is_enough = max(first, day - _MARGIN), True
        return sorted(found)[-number:]

    def upcoming(self, after_s: float, number: int) -> list[int]:
        """The next so many instants."""
        instants: list[int] = []
        moment: float | None = after_s
        while len(instants) < number and (moment := self.next(moment)) is not None:
            instants.append(moment)
        return instants

    def local(self, instant_s: float) -> datetime:
        """What the clocks of the zone show."""
        return datetime.fromtimestamp(instant_s, tz=self.zone)

    def _date(self, instant_s: float) -> date:
        return self.local(instant_s).date()

    def _instants(self, day: date) -> list[int]:
        """Those whose time on the wall belongs to one day, in order."""
        midnight = datetime(day.year, day.month, day.day, tzinfo=self.zone)
        before, after = midnight - timedelta(hours=3), midnight + timedelta(hours=27)
        wall_s = (day - _DAY_ZERO).days * 86_400
        if before.utcoffset() == midnight.utcoffset() == after.utcoffset():
            offset_s = _offset_s(midnight)
            return [wall_s - offset_s + minute * 60 for minute in self.minutes]
        found: set[int] = set()
        for minute in self.minutes:
            found.update(self._meanings(wall_s + minute * 60))
        return sorted(found)

    def _meanings(self, wall_s: int) -> Iterator[int]:
        """The instants that a time on the wall stands for, on a day when the clocks may change."""
        wall = datetime.fromtimestamp(wall_s, tz=UTC).replace(tzinfo=self.zone)
        first_s, second_s = wall_s - _offset_s(wall), wall_s - _offset_s(wall.replace(fold=1))
        shown = [each for each in (first_s, second_s) if each + _offset_s(self.local(each)) == wall_s]
        if not self.is_fixed:
            yield from shown
        elif shown:
            yield shown[0]
        else:
            yield self._jump(second_s, first_s)

    def _jump(self, before_s: int, after_s: int) -> int:
        """The instant between two others at which the clocks are set forward."""
        offset_s = _offset_s(self.local(before_s))
        while after_s - before_s > 1:
            middle_s = (before_s + after_s) // 2
            if _offset_s(self.local(middle_s)) == offset_s:
                before_s = middle_s
            else:
                after_s = middle_s
        return after_s

    def _days_from(self, first: date) -> Iterator[date]:
        from croniter import CroniterBadDateError

        day = first - timedelta(days=1)
        while day.year <= _LAST_YEAR:
            try:
                day = self._days.get_next(datetime, start_time=_midnight(day)).date()
            except CroniterBadDateError:
                return
            yield day

    def _days_back_from(self, last: date) -> Iterator[date]:
        from croniter import CroniterBadDateError

        day = last + timedelta(days=1)
        while day.year >= _FIRST_YEAR:
            try:
                day = self._days.get_prev(datetime, start_time=_midnight(day)).date()
            except CroniterBadDateError:
                return
            yield day


def zone_of(name: str) -> tzinfo:
    """Errors: UnknownZone."""
    from zoneinfo import ZoneInfo

    try:
        if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ValueError
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # the first two of names that are paths
        raise UnknownZone(_no_zone(name)) from None


def _no_zone(name: object) -> str:
    from difflib import get_close_matches
    from zoneinfo import available_timezones

    known = available_timezones()
    near = get_close_matches(str(name), known, n=1) or [
        each for each in sorted(known) if each.rpartition("/")[2].lower() == str(name).lower()
    ]
    hint = f' Did you mean "{near[0]}"?' if near else ""
    return (
        f"the time zone {name!r} is not known.{hint} Zones have the names of the tz database: "
        '"Europe/Berlin", "America/New_York", "UTC".'
    )


def _fields(expression: object) -> list[str]:
    if not isinstance(expression, str):
        raise BadSchedule(
            f'{expression!r} is not a schedule. Write five cron fields, as in "0 9 * * mon-fri".'
        )
    text = expression.strip().lower()
    if text.startswith("@"):
        if text not in NICKNAMES:
            known = ", ".join(NICKNAMES)
            raise BadSchedule(f'the schedule "{expression}" is no nickname that is known: {known}.')
        text = NICKNAMES[text]
    fields = text.split()
    if len(fields) != len(FIELDS):
        raise BadSchedule(
            f'the schedule "{expression}" has {len(fields)} fields. It takes five: {", ".join(FIELDS)}. '
            "There is no field for seconds: what must happen more often than once a minute is a workflow that "
            "sleeps in a loop."
        )
    for name, field in zip(FIELDS, fields, strict=True):
        if not _CHARACTERS.fullmatch(field):
            raise BadSchedule(f'the schedule "{expression}": the {name} field "{field}" cannot be read.')
    # croniter takes "9-9" for the whole day.
    return [_EQUAL_RANGE.sub(r"\1", field) for field in fields]


def _parsed(expression: str, fields: list[str]) -> tuple[tuple[int, ...], croniter]:
    """The minutes of a day that fit, and croniter for the days."""
    from croniter import croniter

    day, month, weekday = fields[2:]
    for name, field in zip(FIELDS, fields, strict=True):
        # croniter's `r` would be another moment at each start; its `h` is what `jitter` is for.
        if re.search(r"(^|,)[rh](\(|/|,|$)", field):
            raise BadSchedule(
                f'the schedule "{expression}": the {name} field "{field}" asks for a random moment. '
                "Give a fixed one, and `jitter=` to spread the load."
            )
    special = "#" in weekday or "l" in re.sub(r"[a-z]{3}", "", weekday) or "w" in day
    if special and not day.startswith(("*", "?")) and not weekday.startswith(("*", "?")):
        raise BadSchedule(
            f'the schedule "{expression}" restricts the day of the month ("{day}") and of the week ("{weekday}"), '
            "one of them with #, L or W: the fields would have to be read as one of two things. Make it two sources."
        )
    days = f"0 0 {day} {month} {weekday}"
    try:
        expanded = croniter.expand(" ".join(fields))[0]
        found = croniter(days, _midnight(date(2000, 1, 1)), implement_cron_bug=True)
    except _UNREAD:
        raise BadSchedule(f'the schedule "{expression}" cannot be read: {_reason(fields)}') from None
    minutes = range(60) if expanded[0] == ["*"] else [int(each) for each in expanded[0]]
    hours = range(24) if expanded[1] == ["*"] else [int(each) for each in expanded[1]]
    return tuple(sorted(hour * 60 + minute for hour in hours for minute in minutes)), found


def _reason(fields: list[str]) -> str:
    """Names the field that is wrong, which croniter's own words do not."""
    from croniter import croniter

    for place, field in enumerate(fields):
        try:
            croniter.expand(" ".join(["*"] * place + [field] + ["*"] * (len(fields) - place - 1)))
        except _UNREAD:
            return (
                f'the {FIELDS[place]} field "{field}" is no list of numbers, ranges (a-b) and steps (*/n) '
                f"from {_RANGES[place]}."
            )
    return "its fields do not go together."


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day)  # noqa: DTZ001 - a day on the wall, in no zone


def _offset_s(local: datetime) -> int:
    offset = local.utcoffset()
    assert offset is not None
    return round(offset.total_seconds())

"""What is to fire, of the ticks that have become due since the newest one that was dealt with."""

from __future__ import annotations

import msgspec

from ksl.define.cron import CronSource

GRACE_MS = 10_000  # a tick is on time until then
CATCH_UP_MAX = 1_000  # ticks that `misfire="all"` starts runs for; the older ones count as skipped


class Tick(msgspec.Struct, frozen=True):
    """A moment to fire for. `skipped`: ticks before it that it stands for."""

    nominal_ms: int
    skipped: int = 0


class Plan(msgspec.Struct, frozen=True):
    """`ticks` are to fire, in order. `until_ms`: the newest tick that is dealt with then. `skipped`: ticks left
    out behind the last of `ticks`, or all of them where none is to fire."""

    ticks: tuple[Tick, ...]
    until_ms: int
    skipped: int = 0


def plan(source: CronSource, after_ms: int, now_ms: int) -> Plan | None:
    """None when no tick after `after_ms` is due by now."""
    until_s = _due_until(source, after_ms, now_ms)
    if until_s is None:
        return None
    after_s = after_ms / 1000
    count = source.schedule.count(after_s, until_s)
    match source.misfire:
        case "coalesce":
            return Plan((Tick(until_s * 1000, count - 1),), until_s * 1000)
        case "all":
            return _fire(source.schedule.newest(after_s, until_s, CATCH_UP_MAX), count, until_s)
        case "skip":
            # No tick is on time whose nominal time lies further back.
            earliest_s = max(after_s, (now_ms - GRACE_MS - source.jitter_ms) / 1000 - 1)
            on_time = [
                each
                for each in source.schedule.newest(earliest_s, until_s, CATCH_UP_MAX)
                if now_ms - _moment_ms(source, each) <= GRACE_MS
            ]
            return _fire(on_time, count, until_s)


def due_ms(source: CronSource, after_ms: int) -> int | None:
    """When the first tick after another fires."""
    tick_s = source.schedule.next(after_ms / 1000)
    return None if tick_s is None else _moment_ms(source, tick_s)


def _fire(chosen: list[int], count: int, until_s: int) -> Plan:
    """Those left out count for the first that fires."""
    left_out = count - len(chosen)
    if not chosen:
        return Plan((), until_s * 1000, left_out)
    first, *others = chosen
    return Plan((Tick(first * 1000, left_out), *(Tick(each * 1000) for each in others)), until_s * 1000)


def _due_until(source: CronSource, after_ms: int, now_ms: int) -> int | None:
    """The newest tick that is due. Ticks fire in order: one waits for those before it, whatever their jitter."""
    schedule = source.schedule
    newest: int | None = None
    certain_s = schedule.previous((now_ms - source.jitter_ms) / 1000 + 0.001)
    if certain_s is not None and certain_s * 1000 > after_ms:
        newest = certain_s
    following = schedule.next(after_ms / 1000 if newest is None else newest)
    while following is not None and _moment_ms(source, following) <= now_ms:
        newest = following
        following = schedule.next(following)
    return newest


def _moment_ms(source: CronSource, tick_s: int) -> int:
    return tick_s * 1000 + source.delay_ms(tick_s * 1000)

"""The near future by slot: nothing early, nothing twice, nothing lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ksl.queue.wheel import TimerWheel
from ksl.records import TimerRow


def row(due_ms: int, run: str = "r") -> TimerRow:
    return TimerRow(due_ms, run, "sleep#0", "sleep")


def test_it_hands_out_what_is_due_earliest_first() -> None:
    wheel = TimerWheel()
    for due_ms in (25, 3, 14, 1_000_000):
        wheel.add(row(due_ms))
    assert [timer.due_ms for timer in wheel.take_due(25)] == [3, 14, 25]
    assert wheel.next_ms() == 1_000_000


def test_a_slot_that_is_due_in_part_keeps_the_rest() -> None:
    wheel = TimerWheel()
    wheel.add(row(11))
    wheel.add(row(19))
    assert wheel.take_due(10) == []
    assert [timer.due_ms for timer in wheel.take_due(15)] == [11]
    assert wheel.next_ms() == 19


def test_what_is_removed_is_not_handed_out_and_leaves_no_slot_behind() -> None:
    wheel = TimerWheel()
    wheel.add(row(11))
    wheel.add(row(11, "other"))
    wheel.remove(row(11))
    wheel.remove(row(11, "unknown"))
    assert [timer.run_id for timer in wheel.take_due(11)] == ["other"]
    assert wheel.next_ms() is None
    wheel.add(row(12))
    wheel.remove(row(12))
    assert wheel.next_ms() is None
    assert len(wheel) == 0


@given(
    st.lists(st.tuples(st.integers(0, 300), st.booleans()), max_size=60),
    st.lists(st.integers(0, 320), max_size=10),
)
def test_whatever_is_added_and_removed_each_timer_comes_once_and_never_early(
    timers: list[tuple[int, bool]], looks: list[int]
) -> None:
    wheel = TimerWheel()
    kept: list[TimerRow] = []
    for number, (due_ms, removed) in enumerate(timers):
        timer = row(due_ms, str(number))
        wheel.add(timer)
        if removed:
            wheel.remove(timer)
        else:
            kept.append(timer)
    taken: list[TimerRow] = []
    for now_ms in [*sorted(looks), 400]:
        due = wheel.take_due(now_ms)
        assert all(timer.due_ms <= now_ms for timer in due)
        assert due == sorted(due)
        taken += due
        left = [timer.due_ms for timer in kept if timer not in taken]
        assert wheel.next_ms() == min(left, default=None)
    assert sorted(taken) == sorted(kept)

from __future__ import annotations

from ksl.testing.clock import VirtualClock


def test_callbacks_are_called_at_their_own_times_in_order() -> None:
    clock = VirtualClock(1_000)
    seen: list[tuple[str, int]] = []
    clock.call_later(2.0, lambda: seen.append(("late", clock.now_ms())))
    clock.call_later(0.5, lambda: seen.append(("early", clock.now_ms())))
    assert clock.move_to(4_000) == 2
    assert seen == [("early", 1_500), ("late", 3_000)]
    assert clock.now_ms() == 4_000
    assert clock.steady_s() == 3.0


def test_a_callback_may_set_another_that_is_due_on_the_way() -> None:
    clock = VirtualClock(0)
    seen: list[int] = []
    clock.call_later(1.0, lambda: clock.call_later(1.0, lambda: seen.append(clock.now_ms())))
    clock.move_to(5_000)
    assert seen == [2_000]


def test_a_cancelled_callback_is_not_called_and_not_waited_for() -> None:
    clock = VirtualClock(0)
    clock.call_later(1.0, lambda: None).cancel()
    assert clock.next_ms() is None
    assert clock.move_to(5_000) == 0


def test_a_part_of_a_millisecond_is_waited_for_in_whole() -> None:
    clock = VirtualClock(0)
    clock.call_later(0.0001, lambda: None)
    assert clock.next_ms() == 1


def test_time_does_not_go_back() -> None:
    clock = VirtualClock(1_000)
    clock.move_to(500)
    assert clock.now_ms() == 1_000

"""How many attempts of one action may start: at once, and per time."""

# pyright: reportPrivateUsage=false, reportArgumentType=false, reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ksl.define.action import Action
from ksl.engine.attempt import Attempt
from ksl.engine.gate import Gate

from tests.engine_fixture import StillClock


class Timer:
    def cancel(self) -> None: ...


class Later:
    """Timers that go off by hand."""

    def __init__(self, clock: StillClock) -> None:
        self._clock = clock
        self._timers: list[tuple[float, Callable[[], None]]] = []

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        self._timers.append((self._clock.steady_s() + delay_s, callback))
        return Timer()

    def pass_s(self, seconds: float) -> None:
        self._clock.pass_ms(round(seconds * 1000))
        due = [callback for at, callback in self._timers if at <= self._clock.steady_s()]
        self._timers = [(at, callback) for at, callback in self._timers if at > self._clock.steady_s()]
        for callback in due:
            callback()


class Door:
    def __init__(self, **options: Any) -> None:
        def noop() -> None: ...

        self.clock = StillClock()
        self.loop = Later(self.clock)
        self.action: Action[..., Any] = Action(noop, **options)
        self.gate = Gate(self.action, self.clock, self.loop.call_later)
        self.started: list[str] = []

    def enter(self, *names: str) -> list[Attempt]:
        made = [Attempt("r", name, self.action, b"", 1, lambda _: None) for name in names]
        for attempt in made:
            self.gate.enter(attempt, lambda attempt: self.started.append(attempt.step))
        return made


def test_so_many_are_inside_and_the_next_comes_when_one_leaves() -> None:
    door = Door(concurrency=2)
    door.enter(*"abcd")
    assert door.started == ["a", "b"]
    door.gate.leave()
    assert door.started == ["a", "b", "c"]


def test_one_that_was_cancelled_while_waiting_is_passed_over() -> None:
    door = Door(concurrency=1)
    _, b, _ = door.enter(*"abc")
    b.cancelled = True
    door.gate.leave()
    assert door.started == ["a", "c"]


def test_a_rate_lets_so_many_start_in_any_stretch_of_its_period() -> None:
    door = Door(rate="2/s")
    door.enter(*"abcde")
    assert door.started == ["a", "b"]
    door.loop.pass_s(0.9)
    assert door.started == ["a", "b"]
    door.loop.pass_s(0.2)
    assert door.started == ["a", "b", "c", "d"]
    door.loop.pass_s(1.1)
    assert door.started == list("abcde")


def test_a_rate_below_one_start_per_period_spaces_them_out() -> None:
    door = Door(rate="0.5/s")
    door.enter("a", "b")
    door.loop.pass_s(1.5)
    assert door.started == ["a"]
    door.loop.pass_s(0.6)
    assert door.started == ["a", "b"]


def test_rate_and_concurrency_hold_together() -> None:
    door = Door(rate="10/s", concurrency=1)
    door.enter("a", "b")
    door.loop.pass_s(5)
    assert door.started == ["a"]
    door.gate.leave()
    assert door.started == ["a", "b"]

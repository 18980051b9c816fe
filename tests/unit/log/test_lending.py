"""The lender's decisions, with time and the loop in the test's hand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ksl.log import lending
from ksl.log.lending import LOOK_S, SLICE_S, Lender


class Scene:
    """Stands for the loop, whose timers fire on `look`, and for the event that the loop waits on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = self.cpu = 0.0
        self.timers: list[Callable[[], None]] = []
        self.lent: list[float] = []
        self.finishes = True
        clocks = SimpleNamespace(monotonic=lambda: self.now, thread_time=lambda: self.cpu)
        monkeypatch.setattr(lending, "time", clocks)
        monkeypatch.setattr(lending, "threading", SimpleNamespace(Event=lambda: self))
        self.lender = Lender(cast("asyncio.AbstractEventLoop", self))

    def call_later(self, delay: float, callback: Callable[[], None]) -> Any:
        assert delay == LOOK_S
        self.timers.append(callback)
        return self

    def cancel(self) -> None:
        self.timers.clear()

    def wait(self, timeout: float) -> bool:
        self.lent.append(timeout)
        if self.finishes:
            self.lender.finished()
        return self.finishes

    def set(self) -> None: ...

    def clear(self) -> None: ...

    def look(self, *, busy: bool) -> None:
        self.now += LOOK_S
        self.cpu += LOOK_S * (0.9 if busy else 0.1)
        self.timers.pop()()


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(monkeypatch)


def test_a_busy_loop_waits_for_a_thread_that_owes_an_answer(scene: Scene) -> None:
    scene.lender.sent()
    scene.look(busy=True)

    assert scene.lent == [SLICE_S]
    scene.look(busy=True)
    assert (scene.lent, scene.timers) == ([SLICE_S], [])


def test_it_waits_in_slices_until_the_answer_is_there(scene: Scene) -> None:
    scene.finishes = False
    scene.lender.sent()
    for _ in range(3):
        scene.look(busy=True)

    assert scene.lent == [SLICE_S] * 3
    assert len(scene.timers) == 1


def test_a_loop_that_sleeps_does_not_wait_for_a_slow_disk(scene: Scene) -> None:
    scene.lender.sent()
    for _ in range(3):
        scene.look(busy=False)

    assert scene.lent == []


def test_a_thread_that_gets_on_needs_nothing(scene: Scene) -> None:
    for _ in range(3):
        scene.lender.sent()
        scene.lender.sent()
        scene.lender.finished()
        scene.look(busy=True)
        assert scene.lent == []
        scene.lender.finished()


def test_nothing_is_watched_once_everything_is_answered_or_stopped(scene: Scene) -> None:
    scene.lender.sent()
    scene.lender.finished()
    scene.look(busy=True)
    assert (scene.lent, scene.timers) == ([], [])

    scene.lender.sent()
    scene.lender.stop()
    assert scene.timers == []

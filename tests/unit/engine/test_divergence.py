from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from ksl.engine.divergence import broken_rule
from ksl.records import Event, EventType


@dataclass
class Place:
    key: str | None
    ordinal: int = 1


@dataclass
class Table:
    """As much of a site table as the rule looks at."""

    sites: list[Place] = field(default_factory=list[Place])


MAIN = Table([Place("fetch"), Place("save"), Place("save~2"), Place("inner"), Place(None, 1)])
TABLES: dict[str, Any] = {"main": MAIN, "inner": Table([Place("score")])}


def event(step: str | None, type: EventType = "step_completed", seq: int = 5) -> Event:
    return Event("r1", seq, type, step, 0)


def rule(
    step: str | None, *, later: list[str] | None = None, asked: list[str] | None = None, ended: bool = False
) -> str:
    following = [event(each, seq=6 + place) for place, each in enumerate(later or [])]
    table: Any = MAIN
    return broken_rule(event(step), following, asked=asked or [], ended=ended, table=table, tables=TABLES)


@pytest.mark.parametrize(
    "step", ["gone#0", "gone~2#3", "gone[0.1]#0", "inner#0/gone#0", "outer#0/score#0", "x~d2#0"]
)
def test_a_step_that_no_source_calls_was_removed(step: str) -> None:
    assert rule(step, asked=["fetch#0"]) == "step-removed"
    assert rule(step, ended=True) == "step-removed"


@pytest.mark.parametrize(
    "step", ["save#0", "save~2#1", "save[2]#0", "inner#0/score#0", "inner~2[1]#0/score#0", "any~d1#0"]
)
def test_a_step_that_the_source_calls_later_has_a_new_one_before_it(step: str) -> None:
    assert rule(step, asked=["fetch#0"]) == "step-added"


def test_a_step_before_which_a_recorded_one_stands_changed_places_with_it() -> None:
    assert rule("save#0", asked=["fetch#0"], later=["fetch#0"]) == "moved"


def test_a_body_that_ended_before_what_its_source_calls_ended_early() -> None:
    assert rule("save#0", ended=True) == "ended-early"
    assert rule(None, ended=True) == "ended-early"


def test_a_timer_of_the_body_has_no_place_in_the_source() -> None:
    assert rule("timer#0") == "step-removed"
    assert rule("timer[0]#2", asked=["fetch#0"]) == "step-added"
    assert rule("inner#0/timer#0", ended=True) == "ended-early"

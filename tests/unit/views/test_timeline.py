from __future__ import annotations

from typing import Any

import pytest

from ksl.views.timeline import timeline_json
from ksl.views.times import rfc3339


def step(
    id: str, start: int, end: int | None, kind: str = "action", status: str = "succeeded"
) -> dict[str, Any]:
    return {
        "id": id,
        "kind": kind,
        "status": status,
        "attempts": 1,
        "started_at": rfc3339(start),
        "finished_at": None if end is None else rfc3339(end),
    }


def attempt(parent: str, start: int, end: int, status: str = "failed") -> dict[str, Any]:
    ends = {"started_at": rfc3339(start), "finished_at": rfc3339(end)}
    return {"kind": "attempt", "parent": parent, "status": status, **ends}


def places(told: dict[str, Any]) -> list[list[tuple[float, float, str]]]:
    return [[(bar["left"], bar["width"], bar["status"]) for bar in row["bars"]] for row in told["rows"]]


def test_nothing_has_no_rows() -> None:
    assert timeline_json([], [], now_ms=0) == {"rows": [], "gaps": [], "earlier": 0}


def test_steps_lie_where_their_time_is() -> None:
    told = timeline_json([step("a#0", 1000, 2000), step("b#0", 2000, 5000)], [], now_ms=9000)
    assert places(told) == [[(0, 0.25, "succeeded")], [(0.25, 0.75, "succeeded")]]
    assert told["gaps"] == []


def test_a_step_under_way_reaches_until_now() -> None:
    told = timeline_json([step("a#0", 0, 1000), step("b#0", 1000, None, status="running")], [], now_ms=4000)
    assert places(told)[1] == [(0.25, 0.75, "running")]


def test_each_attempt_has_its_bar_and_so_has_the_time_between() -> None:
    attempts = [attempt("a#0", 0, 1000), attempt("a#0", 1200, 2200, "succeeded")]
    [row] = places(timeline_json([step("a#0", 0, 2200)], attempts, now_ms=0))
    assert [status for _, _, status in row] == ["failed", "backoff", "succeeded"]
    assert [left + width for left, width, _ in row][:2] == pytest.approx([left for left, _, _ in row][1:])
    assert row[-1][0] + row[-1][1] == pytest.approx(1)


def test_a_long_wait_is_drawn_short_and_said_to_be() -> None:
    day = 86_400_000
    steps = [
        step("a#0", 0, 1000),
        step("sleep#0", 1000, 1000 + 3 * day, "sleep"),
        step("b#0", 1000 + 3 * day, 2000 + 3 * day),
    ]
    told = timeline_json(steps, [], now_ms=0)
    [[first], [wait], [last]] = places(told)
    assert first[1] == pytest.approx(last[1])
    assert 0.03 < wait[1] < first[1]
    [gap] = told["gaps"]
    assert (gap["left"], gap["width"], gap["ms"]) == (wait[0], pytest.approx(wait[1]), 3 * day)


def test_a_run_that_only_waited_is_drawn_as_long_as_it_was() -> None:
    told = timeline_json(
        [step("sleep#0", 0, 1000, "sleep"), step("sleep#1", 1000, 4000, "sleep")], [], now_ms=0
    )
    assert places(told)[1] == [(0.25, 0.75, "succeeded")]
    assert told["gaps"] == []


def test_of_many_steps_the_newest_are_shown() -> None:
    steps = [step(f"a#{number}", number * 10, number * 10 + 5) for number in range(500)]
    told = timeline_json(steps, [], now_ms=0, most=100)
    assert (len(told["rows"]), told["earlier"], told["rows"][0]["step"]) == (100, 400, "a#400")


def test_a_step_inside_a_workflow_says_how_deep_it_is() -> None:
    [row] = timeline_json([step("outer#0/inner#1", 0, 1)], [], now_ms=0)["rows"]
    assert (row["name"], row["depth"]) == ("inner#1", 1)


def test_clocks_that_went_back_do_no_harm() -> None:
    told = timeline_json([step("a#0", 5000, 1000)], [], now_ms=0)
    assert places(told) == [[(0, 0, "succeeded")]]


def test_a_step_stands_before_those_inside_it() -> None:
    steps = [
        step("a#0", 0, 1),
        step("b#0/x#0", 1, 2),
        step("c#0", 2, 3),
        step("b#0/y#0", 3, 4),
        step("b#0", 1, 5),
    ]
    told = timeline_json(steps, [], now_ms=9)
    assert [row["step"] for row in told["rows"]] == ["a#0", "b#0", "b#0/x#0", "b#0/y#0", "c#0"]


def test_a_step_that_has_not_begun_is_not_left_out_as_an_earlier_one() -> None:
    told = timeline_json([step("a#0", 0, 1), step("b#0", 1, None) | {"started_at": None}], [], now_ms=9)
    assert [row["step"] for row in told["rows"]] == ["a#0"]
    assert told["earlier"] == 0


def test_a_wait_inside_a_step_is_drawn_short_also_below_the_bar_of_that_step() -> None:
    day = 86_400_000
    steps = [
        step("b#0/a#0", 0, 1000),
        step("b#0/hook#0", 1000, 1000 + day, "hook"),
        step("b#0/c#0", 1000 + day, 2000 + day),
    ]
    told = timeline_json([*steps, step("b#0", 0, 2000 + day, "workflow")], [], now_ms=0)
    assert [gap["ms"] for gap in told["gaps"]] == [day]
    assert told["rows"][0]["step"] == "b#0"
    assert places(told)[0] == [(0, 1, "succeeded")]

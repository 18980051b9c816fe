"""The grammar of filters: what each word asks for, and where a wrong one is."""

from __future__ import annotations

from typing import Any

import pytest

from ksl.records import RunFilter, RunStatus, RunTerm
from ksl.views.run_query import BadQuery, run_query

NOW = 1_795_000_000_000


def terms(text: str) -> tuple[RunTerm, ...]:
    return run_query(text, now_ms=NOW).terms


@pytest.mark.parametrize("text", ["", "   ", "\t\n"])
def test_nothing_asks_for_everything(text: str) -> None:
    assert run_query(text, now_ms=NOW) == RunFilter()


def test_statuses_and_a_beginning_are_said_in_the_way_the_log_has_an_index_for() -> None:
    asked = run_query("state:failed,held since:1h", now_ms=NOW)

    assert asked == RunFilter(statuses=(RunStatus.FAILED, RunStatus.HELD), since_ms=NOW - 3_600_000)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("state:failed,retrying", RunTerm("state", ("failed", "retrying"))),
        ("-state:succeeded", RunTerm("state", ("succeeded",), negated=True)),
        ("State:Retrying", RunTerm("state", ("retrying",))),
        ("workflow:order,digest", RunTerm("workflow", ("order", "digest"))),
        ("trigger:webhook", RunTerm("trigger", ("webhook",))),
        ("subscriber:ada@example.org", RunTerm("subscriber", ("ada@example.org",))),
        ("version:a41c9e", RunTerm("version", ("a41c9e",))),
        ("until:2h", RunTerm("until", (NOW - 7_200_000,))),
        ("-since:2h", RunTerm("until", (NOW - 7_200_001,))),
        ("took:>5s", RunTerm("longer", (5000,), now_ms=NOW)),
        ("took:<1m30s", RunTerm("shorter", (90_000,), now_ms=NOW)),
        ("step:charge-card#1", RunTerm("step", ("charge-card#1",))),
        ('error:"connection reset, twice"', RunTerm("error", ("connection reset, twice",))),
        ("o-118", RunTerm("text", ("o-118",))),
        ('"o 118: late"', RunTerm("text", ("o 118: late",))),
        ("-urgent", RunTerm("text", ("urgent",), negated=True)),
        ("12:30", RunTerm("text", ("12:30",))),
    ],
)
def test_each_word_asks_for_one_thing(text: str, wanted: RunTerm) -> None:
    assert terms(text) == (wanted,)


def test_words_are_joined_in_their_order() -> None:
    assert [term.key for term in terms('step:a  took:>1s "x y" z')] == ["step", "longer", "text", "text"]


@pytest.mark.parametrize(
    ("text", "start", "end", "says"),
    [
        ("stat:failed", 0, 11, 'no filter "stat:". Did you mean "state:"?'),
        ("workflow:a tag:x", 11, 16, "runs have no tags"),
        ("state:done", 0, 10, 'no state "done"'),
        ("x state:faild", 2, 13, 'Did you mean "failed"?'),
        ("trigger:timer", 0, 13, "There are api, cron"),
        ("took:5s", 0, 7, "took:>5s"),
        ("took:>soon", 0, 10, "a duration like"),
        ("since:yesterday", 0, 15, "a stretch of time back from now"),
        ("workflow:", 0, 9, "nothing to look for"),
        ('""', 0, 2, "nothing to look for"),
        ("-", 0, 1, "nothing to look for"),
        ('a "b c', 2, 6, "opened and not closed"),
    ],
)
def test_a_word_that_cannot_be_read_is_pointed_at(text: str, start: int, end: int, says: str) -> None:
    with pytest.raises(BadQuery) as raised:
        run_query(text, now_ms=NOW)

    assert says in str(raised.value)
    found: Any = (raised.value.start, raised.value.end)
    assert found == (start, end)

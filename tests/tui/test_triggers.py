"""What is told of triggers: their lines, the one that is chosen, and its firings with what was rejected."""

from __future__ import annotations

from typing import Any

import pytest

from ksl.tui import words
from ksl.tui.lines import Lines
from ksl.tui.trigger_lines import TriggerColumns, about, firing_line
from ksl.tui.triggers import TriggersScreen

from tests.integration.api.serving import Served
from tests.tui.app import SIZES, shown, text_of, until
from tests.tui.project import fire

NOW = 1_795_262_400_000  # 2026-11-21T12:00:00Z, a Saturday


def firing(number: int, verdict: str = "started", **more: Any) -> dict[str, Any]:
    runs: dict[str, Any] = {"run_ids": [f"run_{number:08}"], "runs": 1} if verdict == "started" else {}
    plain: dict[str, Any] = {
        "firing_id": f"f{number}",
        "at": "2026-11-21T11:00:00Z",
        "verdict": verdict,
        "reason": None,
        "skipped": 0,
        "run_ids": [],
        "errors": [],
        "by": None,
    }
    return plain | runs | more


def trigger(kind: str = "cron", **more: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "slug": "mornings",
        "kind": kind,
        "description": "",
        "enabled": True,
        "attachments": [{"workflow": "signup", "enabled": True, "subscribers": None}],
        "recent": [],
        "last_at": None,
        "state": None,
        "refused": 0,
    }
    return plain | more


CRON = {"schedule": "0 9 * * mon-fri", "timezone": "UTC"}


def test_a_line_has_the_next_time_the_last_run_what_was_missed_and_thirty_signs() -> None:
    recent = [firing(1, skipped=3), firing(2, "failed"), firing(3, "skipped"), *map(firing, range(4, 31))]
    line = TriggerColumns(words.NICE, 140).line(trigger(recent=recent, **CRON), 140, NOW).plain
    assert line.split() == [
        "●", "mornings", "cron", "signup", "in", "45h", "60m", "ago", "00000001", "3", "✓✗·" + "✓" * 27,
    ]  # fmt: skip
    paused = TriggerColumns(words.NICE, 80).line(trigger(enabled=False, **CRON), 80, NOW).plain
    assert paused.split() == ["-", "mornings", "cron", "signup", "paused"]


def test_of_a_poll_it_is_told_where_it_stands_and_why_it_fails() -> None:
    told = [
        *about(
            trigger(
                "poll",
                state={"after": 17},
                failures=2,
                error="ConnectionError: no route",
                last_at="2026-11-21T11:55:00Z",
                retry_at="2026-11-21T12:01:00Z",
                recent=[firing(1, skipped=2)],
            ),
            NOW,
        )
    ]
    assert told == [
        "last due   5m ago",
        'cursor     {"after": 17}',
        "failed     2 times in a row",
        "again      in 60s",
        "error      ConnectionError: no route",
        "starts     signup",
        "missed     2 ticks, over 1 firing",
    ]


def test_a_firing_that_started_nothing_says_why() -> None:
    line = firing_line(firing(1, "rejected", reason="no signature", by="10.0.0.9"), 90, words.NICE, NOW)
    assert line.plain == "✗ 60m ago  rejected no signature  from 10.0.0.9"
    many = firing(1, run_ids=[f"run_{n:08}" for n in range(5)], skipped=1)
    assert (
        firing_line(many, 90, words.NICE, NOW).plain
        == "✓ 60m ago  started  00000000, 00000001, 00000002  and 2 more  for 1 missed tick too"
    )


async def test_the_list_answers_all_in_one(served: Served) -> None:
    await fire(served)
    told = (await served.client.get("/triggers", params={"figures": "true"})).json()["triggers"]
    orders = next(each for each in told if each["slug"] == "orders")
    [recent] = orders["recent"]
    assert (recent["verdict"], recent["runs"], len(recent["run_ids"])) == ("started", 1, 1)
    assert "payload" not in recent
    assert orders["payload_schema"]["type"] == "object"
    plain = (await served.client.get("/triggers")).json()["triggers"]
    assert "recent" not in plain[0]


@pytest.mark.parametrize("size", SIZES)
async def test_deliveries_that_were_rejected_are_there_with_the_reason(
    served: Served, size: tuple[int, int]
) -> None:
    await fire(served)
    answer = await served.stranger.post("/triggers/orders", json={"cents": 3})
    assert answer.status_code == 422
    async with shown(served, size) as (app, pilot):
        await pilot.press("4")
        await until(pilot, lambda: isinstance(app.screen, TriggersScreen) and app.screen.triggers)
        await pilot.press("j")
        await until(pilot, lambda: "rejected" in text_of(app))
        assert "refused    1 delivery in all" in text_of(app)
        line = next(each for each in text_of(app).splitlines() if "orders" in each and "webhook" in each)
        assert "✗✓" in line


async def test_a_firing_appears_by_itself_and_the_chosen_trigger_stays(served: Served) -> None:
    async with shown(served) as (app, pilot):
        await pilot.press("4")
        await until(pilot, lambda: isinstance(app.screen, TriggersScreen) and app.screen.triggers)
        await pilot.press("j")
        await until(pilot, lambda: "It has not fired yet." in text_of(app))
        await fire(served)
        await until(pilot, lambda: "started" in text_of(app))
        assert app.screen.query_one("#triggers", Lines).key == "orders"

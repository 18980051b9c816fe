"""Subscriptions over HTTP, and the runs they are for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.api.serving import Served, serving

SOURCES = """
from typing import Any

from ksl import Context, WebhookSource, workflow


@workflow(subscription="subscribable")
async def digest(input: Any, ctx: Context) -> Any:
    return [ctx.subscriber, ctx.trigger]


@workflow
async def plain(input: Any) -> None: ...


WebhookSource("news").attach(digest)
"""


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    (tmp_path / "ksl.toml").write_text('[store]\ndurability = "process"\n')
    (tmp_path / "workflows").mkdir()
    (tmp_path / "workflows" / "all.py").write_text(SOURCES)
    async with serving(tmp_path) as server:
        yield server


async def subscribe(served: Served, user: str) -> dict[str, Any]:
    answer = await served.client.post("/subscriptions", json={"workflow": "digest", "subscriber": user})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_with_nobody_subscribed_a_delivery_is_skipped(served: Served) -> None:
    answer = await served.stranger.post("/triggers/news", json={})

    assert (answer.status_code, answer.json()) == (200, {"ok": True, "skipped": True})
    assert (await served.client.get("/runs")).json()["runs"] == []


async def test_each_enabled_subscriber_gets_a_run_of_their_own(served: Served) -> None:
    ids = {
        user: (await subscribe(served, user))["subscription_id"]
        for user in ("ada", "bob", "cyd", "dan", "eve")
    }
    off = await served.client.patch(f"/subscriptions/{ids['bob']}", json={"enabled": False})
    gone = await served.client.delete(f"/subscriptions/{ids['dan']}")

    answer = await served.stranger.post("/triggers/news", json={})

    assert (off.json()["enabled"], gone.json()["subscriber"]) == (False, "dan")
    outputs = [(await served.settled(run_id))["output"] for run_id in answer.json()["run_ids"]]
    assert outputs == [["ada", "webhook"], ["cyd", "webhook"], ["eve", "webhook"]]
    assert {run["subscriber"] for run in (await served.client.get("/runs")).json()["runs"]} == {
        "ada",
        "cyd",
        "eve",
    }


async def test_once_subscribed_a_user_stays_so(served: Served) -> None:
    first = await subscribe(served, "ada")

    again = await served.client.post("/subscriptions", json={"workflow": "digest", "subscriber": "ada"})

    assert (again.status_code, again.json()) == (200, first)
    assert (await served.client.get("/subscriptions?workflow=digest")).json() == {"subscriptions": [first]}
    assert (await served.client.get("/subscriptions?workflow=plain")).json() == {"subscriptions": []}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"workflow": "plain", "subscriber": "ada"}, 422, "KSL308"),
        ({"workflow": "none", "subscriber": "ada"}, 404, "KSL400"),
        ({"workflow": "digest", "subscriber": ""}, 422, "KSL308"),
        ({"workflow": "digest", "subscriber": "a\nb"}, 422, "KSL308"),
        ({"workflow": "digest"}, 422, "KSL407"),
        ({"workflow": "digest", "subscriber": "ada", "more": 1}, 422, "KSL407"),
    ],
)
async def test_who_cannot_be_subscribed_is_told_why(
    served: Served, body: dict[str, Any], status: int, code: str
) -> None:
    answer = await served.client.post("/subscriptions", json=body)

    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_a_subscription_that_is_not_there_is_404(served: Served) -> None:
    assert (await served.client.delete("/subscriptions/sub_1")).status_code == 404
    assert (await served.client.patch("/subscriptions/sub_1", json={"enabled": True})).status_code == 404

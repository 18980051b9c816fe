"""Who used a hook's link: stored beside the answers, and never in their way."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ksl.errors import StoreFull
from ksl.records.link_visit import LinkUse

from tests.integration.api.serving import Served, serving

BROWSER = {"Accept": "text/html", "User-Agent": "Scanner/1.0 \t" + "x" * 500}
Json = dict[str, Any]


async def link_of(served: Served, run_id: str, **wanted: int) -> Json:
    """As soon as so much is counted."""
    while True:
        run = await served.run(run_id, "links")
        for link in run["links"]:
            if all(link[key] == number for key, number in wanted.items()):
                return link
        await asyncio.sleep(0.02)


async def test_each_use_is_kept_with_who_and_what_came_of_it(served: Served) -> None:
    run_id, link = await served.asked("approval", {})
    hook = (await served.client.get("/hooks")).json()["hooks"][0]
    assert hook["link"] == {"opened": 0, "looked": 0, "sent": 0, "answered": 0, "visits": []}
    await served.stranger.head(link, headers=BROWSER)
    for _ in range(2):
        await served.stranger.get(link, headers=BROWSER)
    blind = await served.stranger.post(link, data={"approved": "true"}, headers={"Accept": "text/html"})
    assert blind.status_code == 403
    assert (await served.stranger.post(link, json={"approved": "maybe"})).status_code == 422
    await link_of(served, run_id, sent=2)
    [listed] = (await served.client.get("/hooks")).json()["hooks"]
    assert (listed["link"]["opened"], listed["link"]["answered"]) == (2, 0)
    assert (await served.stranger.post(link, json={"approved": True})).status_code == 200
    assert (await served.stranger.post(link, json={"approved": True})).status_code == 409
    told = await link_of(served, run_id, looked=1, opened=2, sent=4, answered=1)
    assert told["step"] == "hook#0"
    assert [(each["method"], each["status"], each["answered"]) for each in told["visits"]] == [
        ("HEAD", 200, False),
        ("GET", 200, False),
        ("GET", 200, False),
        ("POST", 403, False),
        ("POST", 422, False),
        ("POST", 200, True),
        ("POST", 409, False),
    ]
    first = told["visits"][0]
    assert first["address"] == "127.0.0.1"
    assert first["agent"].startswith("Scanner/1.0 xx")
    assert len(first["agent"]) == 200
    assert first["at"].endswith("Z")


async def test_an_answer_by_opening_and_a_rejection_are_answers(served: Served) -> None:
    run_id, link = await served.asked("question")
    assert (await served.stranger.get(f"{link}?value=1")).status_code == 200
    told = await link_of(served, run_id, opened=1, answered=1)
    assert told["visits"][0]["answered"] is True
    run_id, link = await served.asked("question")
    assert (await served.stranger.post(f"{link}/reject", json={})).status_code == 200
    await link_of(served, run_id, sent=1, answered=1)


async def test_the_link_itself_is_nowhere_in_the_database(folder: Path) -> None:
    async with serving(folder) as served:
        run_id, link = await served.asked("approval", {})
        await served.stranger.get(f"{link}?approved=true", headers=BROWSER)
        await link_of(served, run_id, opened=1)
    token = link.rpartition("/")[2]
    database = sqlite3.connect(folder / ".ksl" / "ksl.db")
    assert database.execute("SELECT count(*) FROM link_visit").fetchone() == (1,)
    assert token not in "\n".join(database.iterdump())
    database.close()


async def test_a_storm_is_a_few_commits(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id, link = await served.asked("approval", {})
    groups: list[int] = []
    add = served.runtime.store.visits.add

    async def counted(uses: Sequence[LinkUse]) -> None:
        groups.append(sum(use.looked for use in uses))
        await add(uses)

    monkeypatch.setattr(served.runtime.store.visits, "add", counted)
    for _ in range(10):
        answers = await asyncio.gather(*(served.stranger.head(link) for _ in range(50)))
        assert {answer.status_code for answer in answers} == {200}
    told = await link_of(served, run_id, looked=500)
    assert len(told["visits"]) == 300
    assert sum(groups) == 500
    assert len(groups) < 50  # far fewer than requests: the first at once, then a group at a time


async def test_a_full_disk_keeps_no_page_from_being_read_and_loses_no_visit(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id, link = await served.asked("approval", {})
    monkeypatch.setattr("ksl.api.link_visits.AGAIN_S", 0.01)

    async def full(_uses: Sequence[LinkUse]) -> None:
        raise StoreFull("no space is left")

    with monkeypatch.context() as disk:
        disk.setattr(served.runtime.store.visits, "add", full)
        for _ in range(5):
            assert (await served.stranger.get(link, headers=BROWSER)).status_code == 200
    await link_of(served, run_id, opened=5)


async def test_a_slow_disk_keeps_nobody_waiting(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id, link = await served.asked("approval", {})
    add, goes_on = served.runtime.store.visits.add, asyncio.Event()

    async def slow(uses: Sequence[LinkUse]) -> None:
        await goes_on.wait()
        await add(uses)

    monkeypatch.setattr(served.runtime.store.visits, "add", slow)
    for _ in range(3):
        assert (await served.stranger.get(link, headers=BROWSER)).status_code == 200
    goes_on.set()
    await link_of(served, run_id, opened=3)


async def test_what_is_pending_is_stored_when_the_server_stops(folder: Path) -> None:
    async with serving(folder) as before:
        run_id, link = await before.asked("approval", {})
        for _ in range(20):
            await before.stranger.head(link)
    async with serving(folder) as after:
        [link] = (await after.run(run_id, "links"))["links"]
        assert link["looked"] == 20


async def test_they_go_with_their_run(served: Served) -> None:
    run_id, link = await served.asked("question")
    await served.stranger.post(link, json=1)
    await link_of(served, run_id, answered=1)
    await served.settled(run_id)
    await served.client.post("/prune", json={"older_than": 0})
    assert await served.runtime.store.visits.of([run_id]) == []


async def test_of_an_unknown_link_nothing_is_noted(served: Served) -> None:
    assert (await served.stranger.get("/hooks/x", headers=BROWSER)).status_code == 404
    assert (await served.stranger.post("/hooks/x", json=1)).status_code == 404
    run_id, link = await served.asked("question")
    await served.stranger.head(link)
    await link_of(served, run_id, looked=1)

"""Pausing, releasing, forking, and changing many runs, over HTTP on the real runtime."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from ksl.engine import many

from tests.integration.api.serving import Served, serving

Json = dict[str, Any]


async def post(served: Served, path: str, status: int, **body: object) -> Json:
    answer = await served.client.post(path, json=body)
    assert answer.status_code == status, answer.text
    parsed: Json = answer.json()
    return parsed


async def test_a_paused_run_is_held_until_it_is_released(served: Served) -> None:
    run_id, link = await served.asked("question")
    answer = await post(served, f"/runs/{run_id}/pause", 202, reason="look first")
    assert answer == {"run_id": run_id, "status": "held"}
    run = await served.run(run_id, "events")
    assert (run["error"]["type"], run["error"]["message"]) == ("Paused", "look first")
    assert run["events"][-1]["meta"]["by"] == "api"
    assert (await served.stranger.post(link, json=1)).status_code == 409
    refused = await post(served, f"/runs/{run_id}/pause", 409)
    assert (refused["code"], "held already" in refused["detail"]) == ("KSL409", True)
    assert (await post(served, f"/runs/{run_id}/release", 202))["status"] == "waiting"
    assert (await served.stranger.post(link, json=1)).status_code == 200
    assert (await served.settled(run_id))["output"] == 1


async def test_each_operation_and_each_answer_is_an_event_with_who_and_when(served: Served) -> None:
    paused, link = await served.asked("question")
    await post(served, f"/runs/{paused}/pause", 202, reason="look first")
    await post(served, f"/runs/{paused}/release", 202)
    assert (await served.stranger.post(link, json=1)).status_code == 200
    resumed, _ = await served.asked("question")
    await post(served, f"/runs/{resumed}/hooks/resume", 200, payload=2)
    rejected, _ = await served.asked("question")
    await post(served, f"/runs/{rejected}/hooks/reject", 200, reason="no")
    await served.settled(rejected)
    await post(served, f"/runs/{rejected}/retry", 202)
    cancelled = await served.start("sleeper")
    await post(served, f"/runs/{cancelled}/cancel", 202, reason="enough")
    fork = (await post(served, f"/runs/{paused}/fork", 202, at="hook#0"))["run_id"]
    expected = [
        (paused, "run_held", "api"), (paused, "run_released", "api"), (paused, "hook_resumed", "link"),
        (resumed, "hook_resumed", "api"), (rejected, "hook_rejected", "api"), (rejected, "run_retrying", "api"),
        (cancelled, "run_cancel_requested", "api"), (fork, "run_created", "api"),
    ]  # fmt: skip
    for run_id, kind, who in expected:
        await served.settled(run_id, waits=True)
        run = await served.run(run_id, "events")
        [event] = [each for each in run["events"] if each["type"] == kind]
        assert (kind, event["meta"]["by"]) == (kind, who)
        assert datetime.fromisoformat(event["at"]).utcoffset() is not None


async def test_only_a_held_run_can_be_released(served: Served) -> None:
    run_id = await served.start("sleeper")
    refused = await post(served, f"/runs/{run_id}/release", 409, accept_drift=True)
    assert refused["code"] == "KSL409"
    unread = await served.client.post(f"/runs/{run_id}/release", json={"accept_drift": "yes"})
    assert unread.status_code == 422


async def test_a_fork_keeps_the_history_up_to_its_step_and_each_names_the_other(served: Served) -> None:
    run_id = (await served.ended("greeting", {"name": "Ada"}))["run_id"]
    again = await post(served, f"/runs/{run_id}/fork", 202, at="greet#0", input={"name": "Bob"})
    fork = await served.settled(again["run_id"])
    assert (fork["output"], fork["trigger"]) == ({"message": "Hello, Bob"}, "retry")
    set_by_hand = await post(
        served, f"/runs/{run_id}/fork", 202, at="step:greet#0", set={"greet#0": "Good day"}
    )
    other = await served.settled(set_by_hand["run_id"])
    assert (other["output"], other["input"]) == ({"message": "Good day"}, {"name": "Ada"})
    assert (fork["forked_from"], fork["forks"]) == (run_id, [])
    run = await served.run(run_id)
    assert (run["forked_from"], run["forks"]) == (None, [other["run_id"], fork["run_id"]])
    assert run["output"] == {"message": "Hello, Ada"}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"at": "greet#7"}, 400),
        ({"at": "greet#0", "set": {"greet#1": 1}}, 400),
        ({"at": "greet#0", "sett": {}}, 422),
        ({"at": "greet#0", "input": {"nme": "Ada"}}, 422),
    ],
)
async def test_a_fork_that_cannot_be_is_refused_and_makes_no_run(
    served: Served, body: Json, status: int
) -> None:
    run_id = (await served.ended("greeting", {"name": "Ada"}))["run_id"]
    answer = await served.client.post(f"/runs/{run_id}/fork", json=body)
    assert answer.status_code == status, answer.text
    assert len((await served.client.get("/runs")).json()["runs"]) == 1


async def test_an_unknown_run_takes_no_operation(served: Served) -> None:
    for verb in ("pause", "release", "cancel", "retry"):
        assert (await post(served, f"/runs/run_none/{verb}", 404))["code"] == "KSL414"
    assert (await post(served, "/runs/run_none/fork", 404, at="a#0"))["code"] == "KSL414"


async def test_a_verb_is_no_run_s_id(served: Served) -> None:
    for verb in many.TAKES:
        assert (await served.client.get(f"/runs/{verb}")).json()["code"] == "KSL414"
        assert (await served.client.post(f"/runs/{verb}")).json()["code"] == "KSL609"
        assert (await served.stranger.post(f"/runs/{verb}?status=failed")).status_code == 401


async def test_many_runs_are_counted_then_changed(served: Served) -> None:
    sleeping = [await served.start("sleeper") for _ in range(5)]
    other, _ = await served.asked("question")
    query = "?workflow=sleeper&since=1h"
    dry = await post(served, f"/runs/cancel{query}&dry_run=true", 200)
    assert (dry["matched"], dry["changed"]) == (5, 0)
    done = await post(served, f"/runs/cancel{query}", 200, confirm=5, reason="all of them")
    assert (done["matched"], done["changed"], done["errors"], done["next_cursor"]) == (5, 5, [], None)
    for run_id in sleeping:
        run = await served.run(run_id, "events")
        assert run["status"] == "cancelled"
        assert "all of them" in str(run["events"])
    assert (await served.run(other))["status"] == "waiting"
    assert (await post(served, f"/runs/cancel{query}&dry_run=true", 200))["matched"] == 0


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("cancel?workflow=sleeper", {}, 400),
        ("cancel?workflow=sleeper", {"confirm": 2}, 409),
        ("cancel", {"confirm": 3}, 400),
        ("cancel?status=succeeded", {"confirm": 3}, 400),
        ("retry?status=sleeping", {"confirm": 3}, 400),
        ("pause?since=yesterday", {"confirm": 3}, 400),
        ("pause?workflow=sleeper", {"confirm": -1}, 422),
        ("release?workflow=sleeper", {"confirm": 3, "force": True}, 422),
    ],
)
async def test_what_is_not_clearly_meant_changes_no_run(
    served: Served, path: str, body: Json, status: int
) -> None:
    started = [await served.start("sleeper") for _ in range(3)]
    refused = await post(served, f"/runs/{path}", status, **body)
    assert "code" in refused
    for run_id in started:
        run = await served.run(run_id, "events")
        assert not {"run_cancel_requested", "run_held"} & {event["type"] for event in run["events"]}


async def test_many_runs_are_changed_in_pages_of_which_none_exceeds_what_was_confirmed(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(many, "PAGE", 2)
    started = [await served.start("sleeper") for _ in range(5)]
    path = "/runs/pause?workflow=sleeper"
    first = await post(served, path, 200, confirm=5)
    assert (first["matched"], first["changed"]) == (5, 2)
    await served.start("sleeper")  # made meanwhile, so not one of them
    second = await post(served, f"{path}&cursor={first['next_cursor']}", 200, confirm=1)
    assert (second["matched"], second["changed"]) == (None, 1)
    third = await post(served, f"{path}&cursor={second['next_cursor']}", 200, confirm=9)
    assert (third["changed"], third["next_cursor"]) == (2, None)
    assert {(await served.run(run_id))["status"] for run_id in started} == {"held"}
    assert (await post(served, "/runs/release?status=held", 200, confirm=5))["changed"] == 5 - 3
    counted = await post(served, "/runs/release?status=held&dry_run=true", 200)
    assert counted["matched"] == 3


async def test_a_run_that_cannot_be_changed_is_named_and_the_others_are_changed(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = [(await served.ended("failing"))["run_id"] for _ in range(3)]
    retry = served.runtime.retry

    async def raced(run_id: str, *, by: str = "") -> object:
        if run_id == started[1]:
            await retry(run_id, by="somebody faster")
        return await retry(run_id, by=by)

    monkeypatch.setattr(served.runtime, "retry", raced)
    done = await post(served, "/runs/retry?workflow=failing", 200, confirm=3)
    assert (done["changed"], [error["run_id"] for error in done["errors"]]) == (2, [started[1]])
    assert done["errors"][0]["code"] == "KSL409"
    for run_id in started:
        assert (await served.settled(run_id))["attempt"] == 2


async def test_the_operations_are_in_the_description_of_the_interface(served: Served) -> None:
    paths = (await served.client.get("/openapi.json")).json()["paths"]
    for verb in many.TAKES:
        assert "confirm" in str(paths[f"/runs/{verb}"]["post"]["requestBody"])
        assert "202" in paths[f"/runs/{{run_id}}/{verb}"]["post"]["responses"]
    assert "202" in paths["/runs/{run_id}/fork"]["post"]["responses"]


# Old code, new code: what waits is rehearsed before the server takes work.

OLD = """
from ksl import Context, action, workflow

@action
async def note(text: str) -> str:
    return text

@action
async def other(text: str) -> str:
    return text

@workflow
async def edited(ctx: Context) -> str:
    first = await note.run(text="one")
    await ctx.hook()
    return first + await note.run(text="two")
"""
SAME = """
from ksl import Context, workflow

@workflow
async def untouched(ctx: Context) -> None:
    await ctx.sleep("1d")
"""
STEP = 'first = await note.run(text="one")'
DIVERGENCES = {
    "a sleep for a step": 'first = ""\n    await ctx.sleep("1s")',
    "another action": 'first = await other.run(text="one")',
    "a missing step": 'first = ""',
    "an extra earlier step": f'await other.run(text="zero")\n    {STEP}',
    "a gather for a sequence": 'import asyncio\n    first, _ = await asyncio.gather(note.run(text="one"), ctx.hook())',
}


@pytest.fixture
def changing(tmp_path: Path) -> Path:
    (tmp_path / "ksl.toml").write_text('[store]\ndurability = "process"\n')
    (tmp_path / "workflows").mkdir()
    (tmp_path / "workflows" / "edited.py").write_text(OLD)
    (tmp_path / "workflows" / "same.py").write_text(SAME)
    return tmp_path


@pytest.mark.parametrize("name", list(DIVERGENCES))
async def test_what_no_longer_fits_is_held_before_work_and_completes_with_the_old_code(
    name: str, changing: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "ksl.engine")
    code = changing / "workflows" / "edited.py"
    async with serving(changing) as served:
        run_id, link = await served.asked("edited")
        sleeping = await served.start("untouched")
        await served.runtime.settled(sleeping, timeout_s=0.0)
        before = (await served.run(sleeping, "events"))["events"]
    if name == "a gather for a sequence":
        code.write_text(OLD.replace(f"{STEP}\n    await ctx.hook()", DIVERGENCES[name]))
    else:
        code.write_text(OLD.replace(STEP, DIVERGENCES[name]))
    async with serving(changing) as served:
        assert served.runtime.unfit == 1
        assert f"run {run_id}: its history has" in caplog.text
        held = await served.run(run_id, "events")
        assert (held["status"], held["error"]["code"]) == ("held", "KSL401")
        assert (await served.stranger.post(link, json=1)).status_code == 409
        await served.client.post(f"/runs/{run_id}/retry")
        again = await served.run(run_id, "steps")
        assert (again["status"], [step["id"] for step in again["steps"]][:1]) == ("held", ["note#0"])
        assert (await served.run(sleeping, "events"))["events"] == before
    code.write_text(OLD)
    async with serving(changing) as served:
        assert served.runtime.unfit == 0
        done = await post(served, "/runs/retry?status=held&workflow=edited", 200, confirm=1)
        assert (done["changed"], done["errors"]) == (1, [])
        assert (await served.stranger.post(link, json=1)).status_code == 200
        assert (await served.settled(run_id))["output"] == "onetwo"
        assert (await served.run(sleeping, "events"))["events"] == before


async def test_runs_of_the_same_code_are_not_read_at_start(
    changing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(changing) as served:
        for _ in range(3):
            await served.asked("edited")
    from ksl.log.sqlite import SqliteStore

    read: list[str] = []
    events = SqliteStore.events

    async def watched(self: SqliteStore, run_id: str, **options: Any) -> Any:
        read.append(run_id)
        return await events(self, run_id, **options)

    monkeypatch.setattr(SqliteStore, "events", watched)
    async with serving(changing):
        assert read == []
    (changing / "workflows" / "edited.py").write_text("# moved by a line\n" + OLD)
    async with serving(changing) as served:
        assert (len(read), served.runtime.unfit) == (3, 0)


async def test_a_workflow_that_is_gone_holds_its_runs_at_start(changing: Path) -> None:
    async with serving(changing) as served:
        run_id, _ = await served.asked("edited")
    (changing / "workflows" / "edited.py").unlink()
    async with serving(changing) as served:
        run = await served.run(run_id)
        assert (run["status"], run["error"]["code"]) == ("held", "KSL417")


async def test_of_many_pauses_and_cancels_at_once_each_run_has_one_end(served: Served) -> None:
    started = [await served.start("sleeper") for _ in range(10)]

    async def ask(verb: str) -> httpx.Response:
        return await served.client.post(f"/runs/{verb}?workflow=sleeper", json={"confirm": 10})

    await asyncio.gather(*(ask(verb) for verb in ("pause", "cancel", "pause", "cancel")))
    await served.client.post("/runs/cancel?workflow=sleeper", json={"confirm": 10})
    for run_id in started:
        run = await served.run(run_id, "events")
        assert run["status"] == "cancelled"
        assert [event["type"] for event in run["events"]].count("run_cancelled") == 1
        assert [event["seq"] for event in run["events"]] == list(range(1, len(run["events"]) + 1))

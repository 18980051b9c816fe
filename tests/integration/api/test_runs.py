from __future__ import annotations

import pytest

from tests.integration.api.serving import Served


async def test_a_run_shows_its_events_steps_trace_and_logs_when_asked(served: Served) -> None:
    run_id = (await served.ended("greeting", {"name": "Ada"}))["run_id"]
    run = await served.run(run_id, "events,steps,trace,logs")
    assert [event["seq"] for event in run["events"]] == list(range(1, len(run["events"]) + 1))
    assert run["events"][0]["type"] == "run_created"
    assert run["events"][-1]["type"] == "run_completed"
    [step] = run["steps"]
    assert (step["id"], step["status"], step["output"]) == ("greet#0", "succeeded", "Hello, Ada")
    assert [span["id"] for span in run["trace"]["spans"]] == ["", "greet#0"]
    assert run["logs"] == []
    assert (await served.client.get(f"/runs/{run_id}/trace")).json() == run["trace"]


async def test_what_a_run_logged_is_shown_with_it(served: Served) -> None:
    run_id = await served.start("sleeper")
    async with served.client.stream("GET", f"/runs/{run_id}/stream") as response:
        async for line in response.aiter_lines():
            if "sleep_started" in line:
                break
    [line] = (await served.run(run_id, "logs"))["logs"]
    assert (line["message"], line["level"], line["days"]) == ("going to sleep", "info", 1)


async def test_a_failed_run_shows_its_error_and_no_output(served: Served) -> None:
    run = await served.ended("failing")
    assert (run["status"], run["output"]) == ("failed", None)
    assert "out of order" in run["error"]["message"]


async def test_runs_are_listed_newest_first_in_pages(served: Served) -> None:
    started = [await served.start("nothing") for _ in range(5)]
    seen: list[str] = []
    cursor = None
    while True:
        query = {"limit": "2", **({"cursor": cursor} if cursor else {})}
        page = (await served.client.get("/runs", params=query)).json()
        seen += [run["run_id"] for run in page["runs"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == started[::-1]


async def test_a_list_says_how_many_match_where_it_is_asked_to(served: Served) -> None:
    for _ in range(3):
        await served.ended("nothing")

    page = (
        await served.client.get("/runs", params={"q": "workflow:nothing", "count": "true", "limit": "2"})
    ).json()

    assert page["count"] == {"runs": 3, "exact": True}
    assert "count" not in (await served.client.get("/runs")).json()


async def test_a_filter_that_cannot_be_read_says_where(served: Served) -> None:
    refused = await served.client.get("/runs", params={"q": "workflow:nothing stat:failed"})

    assert refused.status_code == 400
    assert refused.json()["code"] == "KSL609"
    assert 'character 18: there is no filter "stat:"' in refused.json()["detail"]


async def test_runs_are_filtered_by_workflow_status_and_age(served: Served) -> None:
    done = (await served.ended("nothing"))["run_id"]
    failed = (await served.ended("failing"))["run_id"]

    async def ids(**query: str) -> list[str]:
        return [run["run_id"] for run in (await served.client.get("/runs", params=query)).json()["runs"]]

    assert await ids(workflow="nothing") == [done]
    assert await ids(status="failed") == [failed]
    assert await ids(status="failed,succeeded") == [failed, done]
    assert await ids(q="-state:failed") == [done]
    assert await ids(q='"out of order" error:order state:failed,held') == []
    assert await ids(q="error:order", status="failed", workflow="failing") == [failed]
    assert await ids(q="state:failed", status="succeeded") == []
    assert await ids(since="1h") == [failed, done]
    assert await ids(since="2100-01-01T00:00:00Z") == []


@pytest.mark.parametrize(
    "query",
    [
        "status=done",
        "since=yesterday",
        "limit=0",
        "limit=many",
        "limit=100000",
        "cursor=x",
        "cursor=" + "9" * 30,
    ],
)
async def test_a_filter_that_cannot_be_read_is_400(served: Served, query: str) -> None:
    answer = await served.client.get(f"/runs?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, "KSL609")


async def test_events_come_in_pages_of_ascending_seq(served: Served) -> None:
    run_id = (await served.ended("many", 5))["run_id"]
    seen: list[int] = []
    query: dict[str, str] = {"limit": "2"}
    while True:
        page = (await served.client.get(f"/runs/{run_id}/events", params=query)).json()
        seen += [event["seq"] for event in page["events"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert seen == list(range(1, len(seen) + 1))
    after = (await served.client.get(f"/runs/{run_id}/events?after={seen[-2]}")).json()
    assert [event["seq"] for event in after["events"]] == seen[-1:]


@pytest.mark.parametrize("path", ["", "/events", "/stream"])
async def test_an_unknown_run_is_404(served: Served, path: str) -> None:
    answer = await served.client.get(f"/runs/run_none{path}")
    assert (answer.status_code, answer.json()["code"]) == (404, "KSL414")


async def test_cancelling_answers_202_and_a_second_time_changes_nothing(served: Served) -> None:
    run_id = await served.start("sleeper")
    for _ in range(2):
        answer = await served.client.post(f"/runs/{run_id}/cancel", json={"reason": "no need"})
        assert answer.status_code == 202
    assert (await served.settled(run_id))["status"] == "cancelled"
    events = (await served.client.get(f"/runs/{run_id}/events")).json()["events"]
    [asked] = [event for event in events if event["type"] == "run_cancel_requested"]
    assert "no need" in str(asked)


async def test_cancelling_takes_no_unknown_field(served: Served) -> None:
    run_id = await served.start("sleeper")
    answer = await served.client.post(f"/runs/{run_id}/cancel", json={"resaon": "typo"})
    assert answer.status_code == 422
    assert "resaon" in answer.json()["detail"]


async def test_a_finished_run_can_neither_be_cancelled_nor_retried(served: Served) -> None:
    run_id = (await served.ended("nothing"))["run_id"]
    for what in ("cancel", "retry"):
        answer = await served.client.post(f"/runs/{run_id}/{what}")
        assert (answer.status_code, answer.json()["code"]) == (409, "KSL409")


async def test_a_failed_run_is_retried_on_demand(served: Served) -> None:
    run_id = (await served.ended("failing"))["run_id"]
    assert (await served.client.post(f"/runs/{run_id}/retry")).status_code == 202
    run = await served.settled(run_id)
    assert (run["status"], run["attempt"]) == ("failed", 2)


async def test_a_run_can_be_looked_at_after_any_of_its_events(served: Served) -> None:
    run_id = (await served.ended("failing"))["run_id"]

    newest = (await served.client.get(f"/runs/{run_id}/position")).json()
    begun = (await served.client.get(f"/runs/{run_id}/position", params={"seq": 1})).json()
    beyond = await served.client.get(f"/runs/{run_id}/position", params={"seq": 99})

    assert newest["state"] == "raised"
    assert newest["branches"][0]["frames"][0]["file"].startswith("workflows/")
    assert (begun["state"], begun["branches"], begun["event"]["type"]) == ("queued", [], "run_created")
    assert (beyond.status_code, beyond.json()["code"]) == (400, "KSL609")
    assert (await served.client.get("/runs/run_nobody/position")).status_code == 404

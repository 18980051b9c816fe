"""`POST /runs/{run_id}/wake` on the real runtime."""

from __future__ import annotations

import asyncio

from tests.integration.api.serving import Served
from tests.integration.api.visiting import visiting


async def asleep(served: Served) -> str:
    run_id = await served.start("sleeper")
    while (await served.run(run_id))["status"] != "sleeping":
        await asyncio.sleep(0.01)
    return run_id


async def test_a_sleeping_run_is_woken_and_its_event_says_by_whom(served: Served) -> None:
    run_id = await asleep(served)
    answer = await served.client.post(f"/runs/{run_id}/wake")
    assert (answer.status_code, answer.json()["run_id"]) == (202, run_id)
    assert (await served.settled(run_id))["status"] == "succeeded"
    run = await served.run(run_id, "events")
    (event,) = [event for event in run["events"] if event["type"] == "sleep_completed"]
    assert (event["step"], event["meta"]) == ("step:sleep#0", {"by": "api"})
    again = await served.client.post(f"/runs/{run_id}/wake", json={"step": "sleep#0"})
    assert (again.status_code, again.json()["code"]) == (409, "KSL409")


async def test_what_is_no_sleep_is_refused(served: Served) -> None:
    run_id, _ = await served.asked("question")
    for body, status in (({}, 409), ({"step": "hook#0"}, 409), ({"stop": "x"}, 422)):
        assert (await served.client.post(f"/runs/{run_id}/wake", json=body)).status_code == status
    assert (await served.client.post("/runs/run_x/wake")).status_code == 404
    assert (await served.stranger.post(f"/runs/{run_id}/wake")).status_code == 401


async def test_the_console_has_a_button_for_each_sleep(served: Served) -> None:
    run_id = await asleep(served)
    async with visiting(served) as visitor:
        page = (await visitor.get(f"runs/{run_id}")).text
        assert f'runs/{run_id}/wake"' in page
        assert "sleep#0</span> sleeps until" in page
        answer = await visitor.send(f"runs/{run_id}/wake", step="sleep#0")
        assert answer.status_code == 200, answer.text
        assert (await served.settled(run_id))["status"] == "succeeded"
        assert "sleeps until" not in (await visitor.get(f"runs/{run_id}")).text
    run = await served.run(run_id, "events")
    assert [e["meta"] for e in run["events"] if e["type"] == "sleep_completed"] == [{"by": "console"}]

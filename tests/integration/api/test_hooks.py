"""Hooks as an authenticated user sees them."""

from __future__ import annotations

import pytest

from tests.integration.api.serving import Served


async def test_waiting_hooks_are_listed_with_their_links(served: Served) -> None:
    run_id, link = await served.asked("approval", {})
    [hook] = (await served.client.get("/hooks")).json()["hooks"]
    assert hook["run_id"] == run_id
    assert (hook["step"], hook["workflow"], hook["name"]) == ("hook#0", "approval", "ship")
    assert (hook["title"], hook["details"]) == ("Ship it?", {"version": "1.2 <b>"})
    assert hook["schema"]["properties"]["approved"]["type"] == "boolean"
    assert hook["expires_at"] is None
    assert hook["url"] == f"{served.url}{link}"


async def test_the_hooks_of_one_run_are_listed_alone(served: Served) -> None:
    one, _ = await served.asked("approval", {})
    await served.asked("question")
    hooks = (await served.client.get("/hooks", params={"run_id": one})).json()["hooks"]
    assert [hook["run_id"] for hook in hooks] == [one]
    assert (await served.client.get("/hooks?run_id=run_none")).status_code == 404


@pytest.mark.parametrize("step", [{}, {"step": "hook#0"}, {"step": "step:hook#0"}])
async def test_the_only_hook_of_a_run_is_resumed_with_and_without_its_step(
    served: Served, step: dict[str, str]
) -> None:
    run_id, _ = await served.asked("approval", {})
    answer = await served.client.post(
        f"/runs/{run_id}/hooks/resume", json={**step, "payload": {"approved": True}}
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "resumed"
    assert answer.json()["step"] == "hook#0"
    assert (await served.settled(run_id))["output"]["approved"] is True


async def test_where_two_hooks_wait_the_step_must_be_named(served: Served) -> None:
    run_id, _ = await served.asked("both")
    answer = await served.client.post(f"/runs/{run_id}/hooks/resume", json={"payload": {"approved": True}})
    assert (answer.status_code, answer.json()["code"]) == (409, "KSL409")
    assert "hook#0" in answer.json()["detail"]
    assert "hook~2#0" in answer.json()["detail"]


async def test_a_payload_that_does_not_fit_leaves_the_hook_waiting(served: Served) -> None:
    run_id, _ = await served.asked("approval", {})
    answer = await served.client.post(f"/runs/{run_id}/hooks/resume", json={"payload": {"approved": "x"}})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["loc"][-1] == "approved"
    assert len((await served.client.get("/hooks")).json()["hooks"]) == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"approved": true}', 422),
        (b'{"step": 7}', 422),
        (b"[]", 422),
        (b"{", 400),
        (b'{"payload": "\xff"}', 400),
        (b'{"payload": {"approved": NaN}}', 400),
    ],
)
async def test_an_envelope_that_cannot_be_read_resumes_nothing(
    served: Served, body: bytes, status: int
) -> None:
    run_id, _ = await served.asked("approval", {})
    answer = await served.client.post(f"/runs/{run_id}/hooks/resume", content=body)
    assert answer.status_code == status, answer.text
    assert len((await served.client.get("/hooks")).json()["hooks"]) == 1


async def test_a_rejection_reaches_the_run_with_its_reason(served: Served) -> None:
    run_id, _ = await served.asked("approval", {})
    answer = await served.client.post(f"/runs/{run_id}/hooks/reject", json={"reason": "too early"})
    assert (answer.status_code, answer.json()["status"]) == (200, "rejected")
    run = await served.settled(run_id)
    assert run["status"] == "failed"
    assert "too early" in run["error"]["message"]


async def test_a_hook_that_is_not_there_is_404_and_one_of_an_unknown_run_too(served: Served) -> None:
    run_id, _ = await served.asked("approval", {})
    for address in (f"/runs/{run_id}", "/runs/run_none"):
        answer = await served.client.post(f"{address}/hooks/resume", json={"step": "hook#9"})
        assert answer.status_code == 404

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.integration.api.serving import Served, serving


async def test_a_start_answers_202_once_the_run_is_stored(served: Served) -> None:
    answer = await served.client.post("/workflows/greeting", json={"name": "Ada"})
    assert answer.status_code == 202
    assert set(answer.json()) == {"run_id", "status"}
    run_id = answer.json()["run_id"]
    assert answer.headers["location"] == f"/runs/{run_id}"
    row = await served.runtime.store.run(run_id)
    assert row is not None


async def test_a_start_that_waits_answers_with_the_finished_run(served: Served) -> None:
    run = await served.ended("greeting", {"name": "Ada"})
    assert run["status"] == "succeeded"
    assert run["input"] == {"name": "Ada"}
    assert run["output"] == {"message": "Hello, Ada"}
    assert run["trigger"] == "api"


async def test_a_wait_that_is_over_before_the_run_answers_202(served: Served) -> None:
    answer = await served.client.post("/workflows/sleeper?wait=10ms")
    assert answer.status_code == 202
    assert set(answer.json()) == {"run_id", "status"}


async def test_a_waiting_start_is_answered_when_the_server_stops(served: Served) -> None:
    asked = asyncio.create_task(served.client.post("/workflows/sleeper?wait=20s"))
    while not (await served.client.get("/runs")).json()["runs"]:
        pass
    served.stop.set()
    assert (await asked).status_code == 202


async def test_the_input_of_a_workflow_without_one_may_be_left_out(served: Served) -> None:
    answer = await served.client.post("/workflows/nothing?wait=20s")
    assert answer.json()["output"] == "done"


async def test_an_input_that_does_not_fit_says_where_and_creates_no_run(served: Served) -> None:
    answer = await served.client.post("/workflows/greeting", json={"name": 7})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["code"] == "KSL407"
    assert problem["errors"][0]["loc"][-1] == "name"
    assert (await served.client.get("/runs")).json() == {"runs": [], "next_cursor": None}


async def test_an_unknown_workflow_is_404_and_names_the_near_ones(served: Served) -> None:
    answer = await served.client.post("/workflows/greting", json={})
    assert answer.status_code == 404
    assert answer.json()["code"] == "KSL400"
    assert "greeting" in answer.json()["detail"]


@pytest.mark.parametrize(
    "body",
    [
        b'{"name": NaN}',
        b"\xef\xbb\xbf{}",
        b'{"name": "\\ud800"}',
        b"{",
        b'{"name": "\xff"}',
        b"[" * 300 + b"]" * 300,
    ],
    ids=["NaN", "byte-order mark", "lone surrogate", "unfinished", "not UTF-8", "too deep"],
)
async def test_what_is_not_strict_json_is_400(served: Served, body: bytes) -> None:
    answer = await served.client.post("/workflows/greeting", content=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "KSL604")
    assert (await served.client.get("/runs")).json()["runs"] == []


@pytest.mark.parametrize(
    "content_type",
    [
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain",
        "application/json; charset=latin-1",
    ],
)
async def test_another_content_type_is_415(served: Served, content_type: str) -> None:
    headers = {"Content-Type": content_type}
    answer = await served.client.post("/workflows/greeting", content=b'{"name": "Ada"}', headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (415, "KSL608")


async def test_a_body_over_the_limit_is_413_for_a_client_that_sends_it_all(served: Served) -> None:
    answer = await served.client.post("/workflows/greeting", content=b" " * (3 << 20))
    assert (answer.status_code, answer.json()["code"]) == (413, "KSL603")


async def test_a_repeated_key_answers_200_with_the_first_run(served: Served) -> None:
    key = {"Idempotency-Key": "order 7"}
    first = await served.client.post("/workflows/greeting", json={"name": "Ada"}, headers=key)
    await served.settled(first.json()["run_id"])
    again = await served.client.post("/workflows/greeting", json={"name": "Ada"}, headers=key)
    assert (first.status_code, again.status_code) == (202, 200)
    assert again.json()["run_id"] == first.json()["run_id"]
    assert again.json()["output"] == {"message": "Hello, Ada"}


async def test_a_key_with_another_input_is_409(served: Served) -> None:
    key = {"Idempotency-Key": "order 7"}
    await served.client.post("/workflows/greeting", json={"name": "Ada"}, headers=key)
    other = await served.client.post("/workflows/greeting", json={"name": "Bob"}, headers=key)
    assert (other.status_code, other.json()["code"]) == (409, "KSL430")


async def test_of_many_starts_with_one_key_at_once_one_makes_a_run(served: Served) -> None:
    key = {"Idempotency-Key": "k"}
    answers = await asyncio.gather(
        *(served.client.post("/workflows/greeting", json={"name": "Ada"}, headers=key) for _ in range(20))
    )
    assert sorted(answer.status_code for answer in answers) == [200] * 19 + [202]
    assert len({answer.json()["run_id"] for answer in answers}) == 1


@pytest.mark.parametrize("key", [b"", b"x" * 201, b"caf\xc3\xa9", b"a\tb"])
async def test_a_key_that_is_no_printable_ascii_is_400(served: Served, key: bytes) -> None:
    headers = [(b"Idempotency-Key", key), (b"Content-Type", b"application/json")]
    answer = await served.client.post("/workflows/greeting", content=b"{}", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "KSL609")


@pytest.mark.parametrize("wait", ["soon", "-1s", "2h", ""])
async def test_a_wait_that_cannot_be_read_starts_nothing(served: Served, wait: str) -> None:
    answer = await served.client.post("/workflows/nothing", params={"wait": wait})
    assert (answer.status_code, answer.json()["code"]) == (400, "KSL609")
    assert (await served.client.get("/runs")).json()["runs"] == []


async def test_a_workflow_shows_its_schemas(served: Served) -> None:
    listed = (await served.client.get("/workflows")).json()["workflows"]
    assert {"slug": "greeting", "name": "Greeting", "description": "Greets somebody."} in listed
    shown = (await served.client.get("/workflows/greeting")).json()
    assert shown["input_schema"]["properties"]["name"]["type"] == "string"
    assert shown["output_schema"]["type"] == "object"
    assert (await served.client.get("/workflows/greting")).status_code == 404


async def test_a_start_beyond_the_backlog_is_503_until_the_line_is_shorter(folder: Path) -> None:
    async with serving(folder, queue__concurrency=1, queue__backlog=2) as served:
        hold = {"Idempotency-Key": "first"}
        first = (await served.client.post("/workflows/holding", headers=hold)).json()["run_id"]
        while served.runtime.figures().steps_in_flight == 0:
            await served.client.get("/healthz")
        in_line = [await served.start("greeting", {"name": str(number)}) for number in range(2)]
        refused = await served.client.post("/workflows/greeting", json={"name": "one too many"})
        assert (refused.status_code, refused.json()["code"]) == (503, "KSL431")
        assert refused.headers["retry-after"] == "1"
        again = await served.client.post("/workflows/holding", headers=hold)
        assert (again.status_code, again.json()["run_id"]) == (200, first)
        await served.client.post(f"/runs/{first}/cancel")
        for run_id in in_line:
            assert (await served.settled(run_id))["status"] == "succeeded"
        assert (await served.ended("greeting", {"name": "later"}))["status"] == "succeeded"
        assert len((await served.client.get("/runs")).json()["runs"]) == 4

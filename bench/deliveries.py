"""Webhooks: deliveries of 1 KiB from 64 connections at once, each answered when its run is stored."""

from __future__ import annotations

import asyncio
import json
import re
from time import perf_counter
from urllib.parse import urlsplit

import httpx

from bench import engine
from bench.disk import commit_ms
from bench.rows import Place, Row, Sample, at_least, p50
from bench.served import Server

CONNECTIONS = 64
BODY_BYTES = 1024


def _deliveries(place: Place) -> Sample:
    count = place.size(10_000)
    with Server(engine.make_project(place)) as server:
        took_s, answers_ms, run_ids = asyncio.run(_post_all(server.url, count))
        stored = _stored(server, count)
    assert len(run_ids) == len(set(run_ids)) == count, "an answer is missing or was given twice"
    assert run_ids <= stored, "a run that was answered for is not there"
    answers_ms.sort()
    return Sample(
        count / took_s,
        {
            "p50": (answers_ms[count // 2], "ms"),
            "p99": (answers_ms[count * 99 // 100], "ms"),
            "lost": (float(len(run_ids - stored)), ""),
            "raw commit": (p50(commit_ms(place)), "ms"),
        },
    )


async def _post_all(url: str, count: int) -> tuple[float, list[float], set[str]]:
    """By hand over plain connections: a client library would be what is measured."""
    parts = urlsplit(url)
    numbers = iter(range(count))
    answers_ms: list[float] = []
    run_ids: set[str] = set()

    async def sender() -> None:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        for number in numbers:
            body = json.dumps({"number": number, "text": "x" * BODY_BYTES})[: BODY_BYTES - 2] + '"}'
            head = (
                f"POST /triggers/deliveries HTTP/1.1\r\nHost: {parts.netloc}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            began = perf_counter()
            writer.write(head.encode() + body.encode())
            answered = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", answered)
            assert answered.startswith(b"HTTP/1.1 202"), answered
            assert length is not None
            answer = json.loads(await reader.readexactly(int(length[1])))
            answers_ms.append((perf_counter() - began) * 1000)
            run_ids.update(answer["run_ids"])
        writer.close()
        await writer.wait_closed()

    began = perf_counter()
    async with asyncio.TaskGroup() as senders:
        for _ in range(CONNECTIONS):
            senders.create_task(sender())
    return perf_counter() - began, answers_ms, run_ids


def _stored(server: Server, count: int) -> set[str]:
    """Every run there is, as the server lists them."""
    found: set[str] = set()
    headers = {"Authorization": f"Bearer {server.token}"}
    with httpx.Client(base_url=server.url, headers=headers, timeout=60, trust_env=False) as client:
        cursor: dict[str, str] = {}
        while len(found) <= count:
            page = client.get("/runs", params={"limit": 1000, **cursor}).json()
            found.update(run["run_id"] for run in page["runs"])
            if page["next_cursor"] is None:
                break
            cursor = {"cursor": page["next_cursor"]}
    return found


ROWS = [
    Row(
        "deliveries",
        f"webhooks of 1 KiB a second, accepted and stored, {CONNECTIONS} connections",
        "/s",
        _deliveries,
        at_least(1_500),
    )
]

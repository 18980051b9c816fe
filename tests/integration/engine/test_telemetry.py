"""Spans that reach a receiver: one for each run, step and attempt, once, whatever dies in between."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from ksl.runtime.telemetry import Telemetry

from tests.engine_fixture import World

pytest.importorskip("opentelemetry.sdk")

FLOW = dedent("""
    @action(retry=Retry(attempts=3, initial="1s"))
    async def flaky(ctx: ActionContext) -> int:
        if ctx.attempt < 3:
            raise ValueError("not yet")
        return ctx.attempt

    @workflow
    async def inner(input: str) -> str:
        return await echo.run(value=input)

    @workflow(retry=Retry(attempts=1))
    async def w(input: str) -> str:
        await flaky.run()
        return await inner.run(input)

    @workflow(retry=Retry(attempts=1))
    async def bad(input: None) -> str:
        return await fail.run()
""")


class Receiver:
    """Takes OTLP over HTTP, as a collector does; `status` is what it answers with."""

    def __init__(self) -> None:
        self.status = 200
        self.batches: list[list[Any]] = []
        self.services: set[str] = set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert self.path == "/v1/traces"
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if receiver.status == 200:
                    receiver.take(body, self.headers.get("Content-Encoding"))
                self.send_response(receiver.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def take(self, body: bytes, encoding: str | None) -> None:
        import gzip

        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        request: Any = ExportTraceServiceRequest()
        request.ParseFromString(gzip.decompress(body) if encoding == "gzip" else body)
        spans: list[Any] = []
        for resource in request.resource_spans:
            self.services |= {
                each.value.string_value for each in resource.resource.attributes if each.key == "service.name"
            }
            for scope in resource.scope_spans:
                spans += scope.spans
        self.batches.append(spans)

    @property
    def spans(self) -> list[Any]:
        return [span for batch in self.batches for span in batch]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


def telemetry(world: World, receiver: Receiver, folder: Path) -> Telemetry:
    return Telemetry(world.store, endpoint=receiver.url, service="shop", place=folder / "telemetry")


def attribute(span: Any, key: str) -> str:
    return next(each.value.string_value for each in span.attributes if each.key == key)


async def test_a_run_its_steps_and_its_attempts_are_spans(
    world: World, receiver: Receiver, tmp_path: Path
) -> None:
    await world.load(FLOW)
    sending = telemetry(world, receiver, tmp_path)
    assert not await sending.once()  # from here on
    done = await world.run("w", "x")
    failed = await world.run("bad")
    assert (done.status, failed.status) == ("succeeded", "failed")

    assert not await sending.once()

    spans = {(attribute(span, "ksl.workflow"), span.name): span for span in receiver.spans}
    assert sorted(name for workflow, name in spans if workflow == "w") == [
        "attempt 1", "attempt 2", "attempt 3", "echo#0", "flaky#0", "inner#0", "w",
    ]  # fmt: skip
    assert receiver.services == {"shop"}
    root = spans["w", "w"]
    assert root.parent_span_id == b""
    assert spans["w", "inner#0"].parent_span_id == root.span_id
    assert spans["w", "echo#0"].parent_span_id == spans["w", "inner#0"].span_id
    assert {spans["w", f"attempt {n}"].parent_span_id for n in (1, 2, 3)} == {spans["w", "flaky#0"].span_id}
    assert {span.trace_id for span in spans.values() if attribute(span, "ksl.workflow") == "w"} == {
        root.trace_id
    }
    assert all(span.start_time_unix_nano <= span.end_time_unix_nano for span in receiver.spans)
    assert root.start_time_unix_nano // 1_000_000 == done.row.started_at_ms
    error = 2
    assert spans["bad", "bad"].status.code == error
    assert spans["w", "attempt 1"].status.code == error
    assert spans["w", "w"].status.code == 0


async def test_what_was_sent_is_not_sent_again_after_a_restart(
    world: World, receiver: Receiver, tmp_path: Path
) -> None:
    await world.load(FLOW)
    assert not await telemetry(world, receiver, tmp_path).once()
    await world.run("w", "x")
    await telemetry(world, receiver, tmp_path).once()
    sent = len(receiver.batches)

    await telemetry(world, receiver, tmp_path).once()

    assert (sent, len(receiver.batches)) == (1, 1)


async def test_what_is_sent_again_after_a_crash_is_the_same_span(
    world: World, receiver: Receiver, tmp_path: Path
) -> None:
    await world.load(FLOW)
    await telemetry(world, receiver, tmp_path).once()
    before = (tmp_path / "telemetry").read_text()
    await world.run("w", "x")
    await telemetry(world, receiver, tmp_path).once()
    (tmp_path / "telemetry").write_text(before)  # as if the process had died before it noted it

    await telemetry(world, receiver, tmp_path).once()

    first, second = receiver.batches
    assert [(span.trace_id, span.span_id) for span in first] == [
        (span.trace_id, span.span_id) for span in second
    ]
    assert len({span.span_id for span in first}) == len(first)


async def test_what_a_receiver_refused_is_sent_later(
    world: World, receiver: Receiver, tmp_path: Path
) -> None:
    await world.load(FLOW)
    sending = telemetry(world, receiver, tmp_path)
    await sending.once()
    await world.run("bad")
    receiver.status = 400

    with pytest.raises(OSError, match="refused"):
        await sending.once()
    receiver.status = 200
    await sending.once()

    assert [span.name for span in receiver.spans if span.parent_span_id == b""] == ["bad"]


async def test_runs_that_ended_before_it_was_asked_for_are_not_sent(
    world: World, receiver: Receiver, tmp_path: Path
) -> None:
    await world.load(FLOW)
    await world.run("bad")

    await telemetry(world, receiver, tmp_path).once()
    await telemetry(world, receiver, tmp_path).once()

    assert receiver.batches == []

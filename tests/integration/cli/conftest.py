from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

import pytest

Json = dict[str, Any]


@dataclass
class Said:
    """What the server was asked."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class TinyServer:
    """Answers on loopback what a test has put in; not ksl, so that a client is tested by the bytes alone.

    `answers` maps "METHOD /path" (without query) to (status, value); a list of them is used up in turn,
    and its last one stays. A `str` value goes out as it is, as an event stream.
    """

    url: str
    answers: dict[str, Any] = field(default_factory=dict[str, Any])
    said: list[Said] = field(default_factory=list[Said])

    def next_answer(self, route: str) -> tuple[int, Any]:
        known = self.answers.get(route, (404, {"code": "KSL605", "detail": f"Nothing is at {route}."}))
        if not isinstance(known, list):
            return known
        turns = cast("list[tuple[int, Any]]", known)
        return turns.pop(0) if len(turns) > 1 else turns[0]


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Iterator[TinyServer]:
    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            server.said.append(Said(self.command, self.path, dict(self.headers), body))
            status, value = server.next_answer(f"{self.command} {self.path.partition('?')[0]}")
            kind = "application/json" if status < 400 else "application/problem+json"
            content = json.dumps(value).encode()
            if isinstance(value, str):
                kind, content = "text/event-stream", value.encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = answer

        def log_message(self, format: str, *args: object) -> None: ...

    class Listening(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            if not isinstance(sys.exception(), ConnectionError):  # a client may go before it is answered
                super().handle_error(request, client_address)

    listening = Listening(("127.0.0.1", 0), Handler)
    server = TinyServer(f"http://127.0.0.1:{listening.server_port}")
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("KSL_URL", server.url)
    monkeypatch.setenv("KSL_TOKEN", "sesame")
    yield server
    listening.shutdown()
    thread.join()
    listening.server_close()


def run_json(status: str, **more: Any) -> Json:
    run: Json = {
        "run_id": "run_1",
        "workflow": "greeting",
        "status": status,
        "trigger": "api",
        "triggered_at": "2026-11-21T12:00:00.000Z",
        "started_at": "2026-11-21T12:00:00.000Z",
        "finished_at": None,
        "attempt": 1,
        "input": {"name": "Ada"},
        "output": None,
        "error": None,
        "subscriber": None,
        "code_version": None,
        "waiting_on": [],
    }
    return run | more


def event_json(seq: int, kind: str, **more: Any) -> Json:
    return {"seq": seq, "type": kind, "step": None, "at": "2026-11-21T12:00:00.000Z", "data": None} | more


def stream(*events: Json) -> str:
    return ": connected\n\n" + "".join(
        f"id: {event['seq']}\ndata: {json.dumps(event)}\n\n" for event in events
    )

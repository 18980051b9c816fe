from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute

from ksl.api import protocol
from ksl.api.app import create_app
from ksl.api.server import bind, serve, url_of
from ksl.build.config import load_settings
from ksl.build.discover import discover, unload
from ksl.errors import BadSetting, PortInUse
from ksl.runtime import Runtime

from tests.integration.api.serving import Served, serving

OPEN = {
    ("GET", "/healthz"),
    ("HEAD", "/healthz"),
    ("GET", "/readyz"),
    ("HEAD", "/readyz"),
    ("GET", "/hooks/{token}"),
    ("HEAD", "/hooks/{token}"),
    ("OPTIONS", "/hooks/{token}"),
    ("POST", "/hooks/{token}"),
    ("POST", "/hooks/{token}/reject"),
    ("POST", "/triggers/{endpoint}"),
    ("GET", "/ui"),
    ("GET", "/ui/login"),
    ("POST", "/ui/login"),
    ("GET", "/ui/login/{code}"),
    ("GET", "/ui/assets/{name}"),
}
# The console's door says 401 itself, to who brings neither a token nor a link.
DOOR = {("POST", "/ui/login"), ("GET", "/ui/login/{code}")}


async def test_every_route_refuses_who_has_no_token_unless_it_is_on_the_list(served: Served) -> None:
    seen: set[tuple[str, str]] = set()
    for route in every_route(create_app(served.runtime).routes):
        for method in route.methods or ():
            path = re.sub(r"\{[a-z_]+\}", "healthz", route.path)
            answer = await served.stranger.request(method, path)
            if (method, route.path) in OPEN:
                assert (answer.status_code == 401) == ((method, route.path) in DOOR), (method, path)
                seen.add((method, route.path))
            elif (method, route.path) == ("OPTIONS", "/hooks/{token}/reject"):
                assert answer.status_code == 204
            else:
                assert answer.status_code == 401, (method, path)
    assert seen == OPEN


async def test_every_route_refuses_who_names_another_host(served: Served) -> None:
    port = served.url.rpartition(":")[2]
    for route in every_route(create_app(served.runtime).routes):
        for method in route.methods or ():
            path = re.sub(r"\{[a-z_]+\}", "healthz", route.path)
            for host in ("ksl.example.com", f"ksl.example.com:{port}", "localhost:1", ""):
                answer = await served.client.request(method, path, headers={"Host": host})
                assert answer.status_code in (400, 403), (method, path, host)


async def test_every_route_that_changes_something_refuses_pages_of_others(served: Served) -> None:
    for route in every_route(create_app(served.runtime).routes):
        for method in route.methods or ():
            path = re.sub(r"\{[a-z_]+\}", "healthz", route.path)
            for origin in ("https://elsewhere.example", "http://localhost:1", "null"):
                if origin == "null" and path.startswith("/hooks/"):
                    continue  # how browsers send the form of a hook's page; it needs the page's cookie as well
                async with served.client.stream(method, path, headers={"Origin": origin}) as answer:
                    if method in ("GET", "HEAD", "OPTIONS"):
                        assert "access-control-allow-origin" not in answer.headers
                        continue
                    await answer.aread()
                    assert (answer.status_code, answer.json()["code"]) == (403, "KSL602"), (method, path)


def every_route(routes: Iterable[Any]) -> Iterator[APIRoute]:
    for route in routes:
        if isinstance(route, APIRoute):
            yield route
        else:
            # A router that was included. What has neither is no route that this test knows of, and fails.
            yield from every_route(route.original_router.routes)


async def test_a_workflow_named_like_an_open_address_is_not_open(served: Served) -> None:
    assert (await served.stranger.post("/workflows/health")).status_code == 401
    assert (await served.client.post("/workflows/health")).status_code == 202


async def test_a_wrong_token_is_told_from_a_missing_one_without_its_value(served: Served) -> None:
    missing = await served.stranger.get("/runs")
    assert "was not sent" in missing.json()["detail"]
    for header in ("Bearer guess", "Basic guess", "guess"):
        wrong = await served.stranger.get("/runs", headers={"Authorization": header})
        assert (wrong.status_code, wrong.json()["code"]) == (401, "KSL600")
        assert "not as `Bearer TOKEN` with the token of this server" in wrong.json()["detail"]
        assert "guess" not in wrong.text


async def test_an_unknown_address_is_a_404_problem_and_a_wrong_method_a_405(served: Served) -> None:
    unknown = await served.client.get("/nowhere")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "KSL605")
    assert unknown.headers["content-type"] == "application/problem+json"
    wrong = await served.client.delete("/runs")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET")
    assert wrong.headers["content-type"] == "application/problem+json"
    assert (await served.client.get("/runs/")).status_code == 404


async def test_health_needs_no_token_and_tells_no_more_than_that(served: Served) -> None:
    assert (await served.stranger.get("/healthz")).json() == {"status": "ok"}
    ready = await served.stranger.get("/readyz")
    assert (ready.status_code, ready.json()) == (200, {"ready": True, "reason": None})
    assert (await served.stranger.head("/healthz")).content == b""


async def test_metrics_count_runs_and_commits(served: Served) -> None:
    await served.ended("nothing")
    await served.start("sleeper")
    answer = await served.client.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    figures = dict(line.rsplit(" ", 1) for line in answer.text.splitlines() if not line.startswith("#"))
    assert figures['ksl_runs{status="succeeded"}'] == "1"
    assert int(figures["ksl_commits_total"]) > 0
    assert figures['ksl_commit_seconds_bucket{le="+Inf"}'] == figures["ksl_commit_seconds_count"]
    assert figures["ksl_resident_runs"] == "1"
    assert [figures[f"ksl_{name}"] for name in ("timers", "timers_due", "hooks_waiting")] == ["1", "0", "0"]
    names = {line.split()[2] for line in answer.text.splitlines() if line.startswith("# TYPE")}
    assert {re.sub(r"(_bucket|_sum|_count)?(\{.*)?$", "", key) for key in figures} <= names | {"ksl_runs"}


async def test_the_schema_describes_every_route_with_its_errors(served: Served) -> None:
    schema: dict[str, Any] = (await served.client.get("/openapi.json")).json()
    assert schema["openapi"].startswith("3.")
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            described = operation["responses"]
            assert described, (method, path)
            if path not in ("/healthz", "/readyz"):
                assert "application/problem+json" in described["403"]["content"]
            assert "422" not in described or "application/problem+json" in described["422"]["content"]
    start = schema["paths"]["/workflows/{slug}"]["post"]["responses"]
    assert {"200", "202", "401", "404", "409", "413", "415", "422"} <= set(start)
    defined = set(schema["components"]["schemas"])
    used = set(re.findall(r'"#/components/schemas/([^"]+)"', str(schema).replace("'", '"')))
    assert used <= defined
    assert "HTTPValidationError" not in defined


async def test_no_header_names_the_software(served: Served) -> None:
    assert "server" not in (await served.stranger.get("/healthz")).headers


async def test_headers_over_the_limit_are_refused(served: Served) -> None:
    answer = await served.stranger.get("/healthz", headers={"X-Long": "x" * 40_000})
    assert (answer.status_code, answer.json()["code"]) == (431, "KSL609")
    assert (await served.stranger.get("/healthz?" + "x" * 40_000)).status_code == 431


async def test_a_connection_that_sends_no_whole_request_is_closed(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "HEADERS_S", 0.01)
    port = int(served.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: loc")
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()


async def test_a_client_that_asks_first_is_told_at_once_that_its_body_is_too_large(served: Served) -> None:
    answer = await raw(served, b"Content-Length: 99999999\r\nExpect: 100-continue\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"100 Continue" not in answer


async def test_a_body_without_a_stated_length_is_cut_off_at_the_limit(served: Served) -> None:
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    answer = await raw(served, b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 20 + b"0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"KSL603" in answer


async def raw(served: Served, rest: bytes) -> bytes:
    """Starts a run with these last headers and this body; the answer, up to the end of the connection."""
    port = int(served.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = (
        f"POST /workflows/greeting HTTP/1.1\r\nHost: localhost:{port}\r\n"
        f"Authorization: Bearer {served.runtime.token}\r\nContent-Type: application/json\r\n"
    )
    writer.write(head.encode() + rest)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def test_a_server_that_is_cut_off_leaves_nothing_listening(folder: Path) -> None:
    settings = load_settings(folder)
    project = discover(folder)
    runtime = await Runtime.open(folder, settings, project=project, serve=True)
    ready = asyncio.Event()
    sock = bind("127.0.0.1", 0)
    port = sock.getsockname()[1]
    task = asyncio.create_task(serve(runtime, sock=sock, on_ready=lambda _: ready.set()))
    await ready.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with bind("127.0.0.1", port):
        pass
    await runtime.close(drain_s=0)
    unload(project)


async def test_requests_of_one_connection_follow_each_other(served: Served) -> None:
    port = int(served.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    request = f"GET /healthz HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n".encode()
    writer.write(request * 3)
    for _ in range(3):
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        await reader.readexactly(len(b'{"status":"ok"}'))
    writer.close()
    await writer.wait_closed()


async def test_a_public_url_is_answered_for(folder: Path) -> None:
    async with serving(folder, server__public_url="https://ksl.example.com") as served:
        there = {"Host": "ksl.example.com"}
        assert (await served.stranger.get("/healthz", headers=there)).status_code == 200
        assert (await served.stranger.get("/healthz", headers={"Host": "x.example.com"})).status_code == 403


def test_a_port_in_use_is_named_with_who_to_ask() -> None:
    with bind("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(PortInUse, match=f"Port {port} of 127.0.0.1 is in use.*ss -ltnp"):
            bind("127.0.0.1", port)


def test_a_host_that_is_not_of_this_machine_is_refused() -> None:
    with pytest.raises(BadSetting, match=r"server\.host"):
        bind("no.such.host.invalid", 0)
    with pytest.raises(BadSetting, match=r"server\.host"):
        bind("192.0.2.1", 0)


def test_the_url_of_a_socket_is_one_that_can_be_opened() -> None:
    with bind("0.0.0.0", 0) as sock:
        port = sock.getsockname()[1]
        assert url_of(sock) == f"http://127.0.0.1:{port}"
        with socket.create_connection(("127.0.0.1", port)):
            pass

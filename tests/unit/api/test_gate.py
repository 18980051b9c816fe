from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ksl.api.addresses import Addresses
from ksl.api.gate import Gate, shown
from ksl.api.ui.logins import Logins
from ksl.errors import KslError

TOKEN = "s3cret-token"
LOGINS = Logins(TOKEN)
BEARER = {"Authorization": f"Bearer {TOKEN}"}


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the size of the body; what arrives here has passed the gate."""
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": str(size).encode()})


def gate(*, public_url: str = "") -> Gate:
    return gate_before(echo, Addresses(host="127.0.0.1", public_url=public_url))


def gate_before(app: ASGIApp, addresses: Addresses) -> Gate:
    return Gate(
        app,
        token=TOKEN,
        addresses=addresses,
        body_max=100,
        port=7420,
        logins=LOGINS,
        login_page=lambda _: None,
        error_page=no_page,
    )


async def no_page(scope: Scope, error: KslError, status: int) -> None:
    return None


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(gate())
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:7420") as client:
        yield client


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/healthz"),
        ("HEAD", "/healthz"),
        ("GET", "/readyz"),
        ("GET", "/hooks/abc"),
        ("POST", "/hooks/abc"),
        ("HEAD", "/hooks/abc"),
        ("OPTIONS", "/hooks/abc"),
        ("POST", "/hooks/abc/reject"),
    ],
)
async def test_these_addresses_need_no_token(client: httpx.AsyncClient, method: str, path: str) -> None:
    assert (await client.request(method, path)).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/metrics"),
        ("GET", "/docs"),
        ("GET", "/openapi.json"),
        ("POST", "/healthz"),
        ("GET", "/healthz/"),
        ("GET", "/healthz/x"),
        ("GET", "/x/healthz"),
        ("GET", "/HEALTHZ"),
        ("GET", "/healthz%0a"),
        ("GET", "//healthz"),
        ("GET", "/hooks"),
        ("GET", "/hooks/"),
        ("GET", "/hooks//reject"),
        ("DELETE", "/hooks/abc"),
        ("POST", "/hooks/abc/reject/x"),
        ("GET", "/hooks/%2e%2e/runs"),
        ("POST", "/runs/r1/hooks/resume"),
        ("POST", "/workflows/healthz"),
        ("POST", "/workflows/health"),
        ("POST", "/workflows/ready"),
        ("POST", "/workflows/docs"),
        ("POST", "/workflows/metrics"),
        ("POST", "/workflows/hooks"),
        ("GET", "/workflows/x%2f..%2fhealthz"),
        ("GET", "/not/yet/there"),
    ],
)
async def test_every_other_address_does(client: httpx.AsyncClient, method: str, path: str) -> None:
    refused = await client.request(method, path)
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == "Bearer"
    assert refused.headers["content-type"] == "application/problem+json"
    assert (await client.request(method, path, headers=BEARER)).status_code == 200


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Bearer",
        "Bearer ",
        f"Basic {TOKEN}",
        TOKEN,
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        "Bearer ä",
    ],
)
async def test_a_wrong_token_opens_nothing(client: httpx.AsyncClient, value: str) -> None:
    refused = await client.get("/runs", headers=[(b"Authorization", value.encode("latin-1"))])
    assert refused.status_code == 401
    assert TOKEN not in refused.text


async def test_a_token_given_twice_opens_nothing(client: httpx.AsyncClient) -> None:
    twice = [("Authorization", f"Bearer {TOKEN}"), ("Authorization", f"Bearer {TOKEN}")]
    assert (await client.get("/runs", headers=twice)).status_code == 401


async def test_the_scheme_is_read_whatever_its_case(client: httpx.AsyncClient) -> None:
    assert (await client.get("/runs", headers={"Authorization": f"bearer {TOKEN}"})).status_code == 200


@pytest.mark.parametrize("path", ["/healthz", "/hooks/abc", "/runs"])
async def test_a_foreign_host_is_refused_with_and_without_a_token(
    client: httpx.AsyncClient, path: str
) -> None:
    refused = await client.get(path, headers={"Host": "evil.example:7420", **BEARER})
    assert refused.status_code == 403
    assert refused.json()["code"] == "KSL601"


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost:3000"])
async def test_a_page_of_another_site_can_change_nothing(client: httpx.AsyncClient, origin: str) -> None:
    refused = await client.post("/workflows/greeting", headers={"Origin": origin, **BEARER})
    assert refused.status_code == 403
    assert refused.json()["code"] == "KSL602"
    assert "access-control-allow-origin" not in refused.headers


async def test_a_page_of_this_server_can(client: httpx.AsyncClient) -> None:
    origin = {"Origin": "http://localhost:7420", **BEARER}
    assert (await client.post("/workflows/greeting", headers=origin)).status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "null"}, 200),
        ({"Origin": "null", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": "null", "Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": "http://evil.example"}, 403),
    ],
)
async def test_a_form_of_the_hooks_page_comes_with_the_origin_null(
    client: httpx.AsyncClient, headers: dict[str, str], status: int
) -> None:
    assert (await client.post("/hooks/abc", headers=headers)).status_code == status


async def test_a_body_of_the_limit_passes_and_one_byte_more_does_not(client: httpx.AsyncClient) -> None:
    assert (await client.post("/hooks/abc", content=b"x" * 100)).text == "100"
    refused = await client.post("/hooks/abc", content=b"x" * 101)
    assert refused.status_code == 413
    assert refused.json()["code"] == "KSL603"


async def test_a_body_in_chunks_of_no_stated_length_is_counted(client: httpx.AsyncClient) -> None:
    assert (await client.post("/hooks/abc", content=chunks(50, 50))).text == "100"
    assert (await client.post("/hooks/abc", content=chunks(50, 50, 1))).status_code == 413


async def test_a_token_is_asked_for_before_any_body_is_read() -> None:
    async def never() -> Message:
        raise AssertionError("the body was read")

    sent = await call(gate(), "POST", "/workflows/greeting", [(b"content-length", b"50")], never)
    assert sent[0]["status"] == 401


async def test_a_client_that_leaves_in_mid_body_gets_no_answer() -> None:
    messages: list[Message] = [
        {"type": "http.request", "body": b"x", "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> Message:
        return messages.pop(0)

    assert await call(gate(), "POST", "/hooks/abc", [(b"content-length", b"50")], receive) == []


async def test_every_answer_says_that_it_is_private(client: httpx.AsyncClient) -> None:
    for path in ("/healthz", "/runs", "/hooks/abc"):
        headers = (await client.get(path)).headers
        assert headers["cache-control"] == "no-store"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-frame-options"] == "DENY"
        assert headers["x-content-type-options"] == "nosniff"
        assert "noindex" in headers["x-robots-tag"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]


async def test_a_web_socket_is_closed_before_it_opens() -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await gate()({"type": "websocket", "path": "/healthz", "headers": []}, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1008}]


async def test_a_mistake_of_ours_is_a_500_that_tells_nothing_and_a_line_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("a detail that is nobody's business")

    addresses = Addresses(host="127.0.0.1", public_url="")
    app = gate_before(broken, addresses)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:7420") as client:
        answer = await client.post("/hooks/a-secret-token/reject")
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert "nobody's business" not in answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert "nobody's business" in caplog.text
    assert "a-secret-token" not in caplog.text


def test_a_path_is_logged_without_the_token_of_a_hook() -> None:
    assert shown("/runs/r1") == "/runs/r1"
    assert shown("/hooks") == "/hooks"
    hidden = shown("/hooks/a-secret-token/reject")
    assert re.fullmatch(r"/hooks/#[0-9a-f]{8}/reject", hidden)


async def call(
    app: Gate, method: str, path: str, headers: list[tuple[bytes, bytes]], receive: Receive
) -> list[Message]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    scope: dict[str, Any] = {
        "type": "http",
        "method": method,
        "path": path,
        "server": ("127.0.0.1", 7420),
        "headers": [(b"host", b"localhost:7420"), *headers],
    }
    await app(scope, receive, send)
    return sent


async def chunks(*sizes: int) -> AsyncIterator[bytes]:
    for size in sizes:
        yield b"x" * size

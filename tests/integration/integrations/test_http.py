"""Requests against real servers on loopback. Only the look-up of names is not real."""

from __future__ import annotations

import asyncio
import gzip
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest
from pydantic import BaseModel

from ksl import ActionContext, Credential, Credentials, OAuth
from ksl.define import listening
from ksl.integrations.http import (
    AddressRefused,
    BasicLogin,
    BearerToken,
    HeaderSecret,
    HttpAnswer,
    HttpBusy,
    HttpClient,
    HttpError,
    HttpRefused,
    HttpUnavailable,
    http_get,
    http_post,
)

from tests.integration.integrations.certificates import certificate
from tests.integration.integrations.peer import Peer, Seen, answer, peer

CTX = ActionContext(run_id="r1", step_id="post#0", idempotency_key="r1/post#0")


def client(**options: Any) -> HttpClient:
    defaults: dict[str, Any] = {"allow": ["127.0.0.1"], "timeout": "20s"}
    return HttpClient(**{**defaults, **options})


def names(**addresses: list[str]) -> Callable[[str, int], Any]:
    """A look-up in which the n-th question about a name gets the n-th of its addresses, and then the last."""
    asked: dict[str, int] = {}

    async def resolve(host: str, _port: int) -> list[str]:
        name = host.replace(".", "_").replace("-", "_")
        if name not in addresses:
            return [host]
        nth = asked[name] = asked.get(name, 0) + 1
        return [addresses[name][min(nth, len(addresses[name])) - 1]]

    return resolve


# --- what is sent and what comes back ---------------------------------------------------------------


class Order(BaseModel):
    id: int
    item: str


async def test_a_get_brings_status_headers_and_body(there: Peer) -> None:
    sent = {"Content-Type": "application/json", "Set-Cookie": "s=1"}
    there.answers("/order", b'{"id": 7, "item": "tea"}', headers=sent)
    got = await client().get(
        CTX, there.url("/order"), query={"q": "a b&c", "n": 7, "yes": True, "t": ["x", "y"]}
    )
    assert (got.status, got.url) == (200, there.url("/order"))
    assert got.headers["content-type"] == "application/json"
    assert "set-cookie" not in got.headers
    assert got.parse(Order) == Order(id=7, item="tea")
    (seen,) = there.seen
    assert (seen.method, seen.target) == ("GET", "/order?q=a+b%26c&n=7&yes=true&t=x&t=y")
    assert "idempotency-key" not in seen.headers


@pytest.mark.parametrize(
    ("body", "sent", "content_type"),
    [
        ({"json": {"a": [1, None]}}, b'{"a":[1,null]}', "application/json"),
        ({"json": Order(id=1, item="é")}, '{"id":1,"item":"é"}'.encode(), "application/json"),
        ({"form": {"a": "1 2", "b": "&"}}, b"a=1+2&b=%26", "application/x-www-form-urlencoded"),
        ({"text": "hé"}, "hé".encode(), "text/plain; charset=utf-8"),
    ],
)
async def test_a_post_carries_its_body_and_the_step_s_key(
    there: Peer, body: dict[str, Any], sent: bytes, content_type: str
) -> None:
    there.answers("/", b"ok")
    assert (await client().post(CTX, there.url(), **body)).text == "ok"
    (seen,) = there.seen
    assert (seen.body, seen.headers["content-type"]) == (sent, content_type)
    assert seen.headers["idempotency-key"] == "r1/post#0"


async def test_a_base_url_is_where_addresses_start(there: Peer) -> None:
    there.answers("/v1/orders/7", b"seven")
    one = client(base_url=there.url("/v1"), headers={"X-Version": "2"})
    for url in ("orders/7", "/orders/7", there.url("/v1/orders/7")):
        assert (await one.get(CTX, url)).text == "seven"
    assert there.seen[0].headers["x-version"] == "2"
    with pytest.raises(HttpRefused, match="is not on the host"):
        await one.get(CTX, "https://example.com/")


# --- credentials ------------------------------------------------------------------------------------

CREDENTIALS: list[tuple[BaseModel, str, str]] = [
    (BearerToken.model_validate({"token": "t0k"}), "authorization", "Bearer t0k"),
    (
        BasicLogin.model_validate({"username": "ada", "password": "p:w"}),
        "authorization",
        "Basic YWRhOnA6dw==",
    ),
    (HeaderSecret.model_validate({"header": "X-Key", "value": "k3y"}), "x-key", "k3y"),
]


@pytest.mark.parametrize(("value", "header", "sent"), CREDENTIALS)
async def test_a_credential_goes_to_its_own_host_and_nowhere_else(
    there: Peer, value: BaseModel, header: str, sent: str
) -> None:
    crm = Credential("crm", fields=type(value))
    ctx = ActionContext(idempotency_key="k", credentials=Credentials({crm: value}))
    one = client(base_url=there.url(), credential=crm)
    async with peer() as other:
        there.redirects("/away", other.url("/"), status="307 Temporary Redirect")
        there.redirects("/near", there.url("/"))
        there.answers("/")
        other.answers("/")
        await one.get(ctx, "/near")
        await one.request(ctx, "POST", "/away", text="body")
        assert [seen.headers.get(header) for seen in there.seen] == [sent, sent, sent]
        (strayed,) = other.seen
        assert header not in strayed.headers
        assert "idempotency-key" not in strayed.headers
        assert strayed.body == b"body"
        with pytest.raises(HttpRefused, match="is not on the host"):
            await one.get(ctx, other.url("/"))


async def test_an_oauth_credential_is_a_bearer_token(there: Peer) -> None:
    there.answers("/")
    drive = Credential("drive", oauth=OAuth("https://example.com/authorize", "https://example.com/token"))
    token = drive.fields.model_validate({"access_token": "acc3ss"})
    ctx = ActionContext(credentials=Credentials({drive: token}))
    await client(base_url=there.url(), credential=drive).get(ctx, "/")
    assert there.seen[0].headers["authorization"] == "Bearer acc3ss"


@pytest.mark.parametrize(
    "body", [{"json": float("nan")}, {"json": "\ud800"}, {"json": object()}, {"json": 1, "text": "x"}]
)
async def test_a_body_that_cannot_be_written_is_refused(there: Peer, body: dict[str, Any]) -> None:
    with pytest.raises(HttpRefused, match="Nothing was sent"):
        await client().post(CTX, there.url(), **body)
    assert there.connections == 0


def test_a_credential_needs_a_host_and_fields_that_can_be_sent() -> None:
    with pytest.raises(ValueError, match="needs base_url"):
        HttpClient(credential=Credential("crm", fields=BearerToken))
    with pytest.raises(ValueError, match="Take BearerToken"):
        HttpClient(base_url="https://example.com", credential=Credential("crm", fields=Order))


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer canary"},
        {"cookie": "canary"},
        {"Host": "canary"},
        {"Content-Length": "7"},
        {"X": "canary\r\nX-Other: y"},
        {"X": "canary\n"},
        {"X Y": "canary"},
        {"X": "canaryé"},
        {"X": "canary", "x": "b"},
        {"": "canary"},
    ],
)
async def test_a_header_that_must_not_be_given_is_refused_and_its_value_not_told(
    there: Peer, headers: dict[str, str]
) -> None:
    with pytest.raises(HttpRefused) as error:
        await client().get(CTX, there.url(), headers=headers)
    assert "canary" not in str(error.value)
    assert there.connections == 0


NOT_ASKED = [
    *("ftp://127.0.0.1/", "file:///etc/passwd", "gopher://x", "/only/a/path", "", "http://", "javascript:1"),
    *(
        "http://u:canary@127.0.0.1/",
        "http://[::1",
        "http://127.0.0.1:99999/",
        "http://a\x00b/",
        "http://\ud800/",
    ),
]


@pytest.mark.parametrize("url", NOT_ASKED, ids=repr)
async def test_an_address_that_cannot_be_asked_is_refused(url: str) -> None:
    with pytest.raises(HttpRefused) as error:
        await client().get(CTX, url)
    assert "canary" not in str(error.value)


# --- failures ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "status", ["400 Bad", "401 No", "404 Not Found", "409 C", "422 U", "451 L", "501 N", "505 V"]
)
async def test_an_answer_that_says_no_is_final(there: Peer, status: str) -> None:
    there.answers("/", b"because of the plan", status=status)
    with pytest.raises(HttpRefused, match=f"answered {status[:3]}: because of the plan"):
        await client().get(CTX, there.url("/?key=canary"))
    assert (await client().get(CTX, there.url(), accept=[int(status[:3])])).status == int(status[:3])


@pytest.mark.parametrize("status", ["408 T", "429 Slow", "500 Oops", "502 B", "503 S", "504 G", "520 U"])
async def test_an_answer_that_says_later_is_worth_another_attempt(there: Peer, status: str) -> None:
    there.answers("/", status=status)
    with pytest.raises(HttpUnavailable, match=f"answered {status[:3]}"):
        await client().get(CTX, there.url())
    there.answers("/", status=status, headers={"Retry-After": "7"})
    with pytest.raises(HttpBusy) as busy:
        await client().get(CTX, there.url())
    assert busy.value.after == 7
    in_a_minute = format_datetime(datetime.now(UTC) + timedelta(seconds=600), usegmt=True)
    there.answers("/", status=status, headers={"Retry-After": in_a_minute})
    with pytest.raises(HttpBusy) as dated:
        await client().get(CTX, there.url())
    assert 500 < dated.value.after <= 600


async def test_a_message_does_not_hold_the_query_which_may_be_a_key(there: Peer) -> None:
    there.answers("/x", status="500 Oops")
    with pytest.raises(HttpUnavailable) as error:
        await client().get(CTX, there.url("/x?key=canary"))
    assert "canary" not in str(error.value)
    assert there.url("/x") in str(error.value)


async def test_no_connection_is_worth_another_attempt() -> None:
    async with peer() as gone:
        url = gone.url()
    with pytest.raises(HttpUnavailable):
        await client().get(CTX, url)

    async def unknown(host: str, port: int) -> list[str]:
        raise OSError("no such name")

    with pytest.raises(HttpUnavailable, match="cannot be looked up"):
        await client(resolve=unknown).get(CTX, "http://nowhere.example/")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        b"not http at all\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nplain",
    ],
)
async def test_an_answer_that_is_broken_is_worth_another_attempt(there: Peer, raw: bytes) -> None:
    async def respond(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)

    there.routes["/"] = respond
    with pytest.raises(HttpUnavailable):
        await client().get(CTX, there.url())


async def test_whatever_a_peer_answers_is_an_answer_or_one_of_our_errors(there: Peer) -> None:
    chance = Random(7)
    pieces = [
        answer(b'{"a": 1}', headers={"Content-Type": "application/json; charset=utf-8"}),
        answer(gzip.compress(b"x" * 300), headers={"Content-Encoding": "gzip"}),
        answer(status="302 Found", headers={"Location": "/next?x=1"}),
        answer(status="503 Busy", headers={"Retry-After": "Sun, 01 Mar 2026 12:01:00 GMT"}),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ]
    kinds: set[str] = set()

    async def respond(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        raw = bytearray(chance.choice(pieces))
        for _ in range(chance.randint(1, 4)):
            raw[chance.randrange(len(raw))] = chance.randrange(256)
        writer.write(bytes(raw[: chance.randint(len(raw) // 2, len(raw))]))

    there.routes["/"] = there.routes["/next"] = respond
    for _ in range(300):
        try:
            kinds.add(type(await client(timeout="10s").get(CTX, there.url())).__name__)
        except HttpError as error:
            kinds.add(type(error).__name__)
    assert kinds >= {"HttpAnswer", "HttpUnavailable", "HttpRefused"}


# --- bounds -----------------------------------------------------------------------------------------


async def test_a_body_that_drips_is_given_up_as_a_whole(there: Peer) -> None:
    gone = asyncio.Event()

    async def drip(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        try:
            for _ in range(1_000_000):
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.01)
        finally:
            gone.set()

    there.routes["/"] = drip
    with pytest.raises(HttpUnavailable, match="no whole answer in 300ms"):
        await client(timeout="300ms").get(CTX, there.url())
    await gone.wait()


async def test_a_peer_that_never_answers_is_given_up(there: Peer) -> None:
    silent = asyncio.Event()

    async def respond(_seen: Seen, _writer: asyncio.StreamWriter) -> None:
        await silent.wait()

    there.routes["/"] = respond
    with pytest.raises(HttpUnavailable):
        await client(timeout="200ms").get(CTX, there.url())
    silent.set()


async def test_a_huge_body_is_not_read_to_its_end(there: Peer) -> None:
    sent = 0

    async def endless(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while sent < 1 << 30:
            writer.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")
            await writer.drain()
            sent += 0x10000

    there.routes["/"] = endless
    with pytest.raises(HttpRefused, match="larger than 1MiB"):
        await client(body_max="1MiB").get(CTX, there.url())
    assert sent < 64 << 20
    there.answers("/told", bytes(2_000))
    with pytest.raises(HttpRefused, match="larger than 1KiB"):
        await client(body_max="1KiB").get(CTX, there.url("/told"))


async def test_a_decompression_bomb_is_not_unpacked(there: Peer) -> None:
    bomb = gzip.compress(bytes(64 << 20), compresslevel=9)
    assert len(bomb) < 1 << 20
    there.answers("/bomb", bomb, headers={"Content-Encoding": "gzip"})
    there.answers("/again", gzip.compress(bomb), headers={"Content-Encoding": "gzip, gzip"})
    with pytest.raises(HttpRefused, match="larger than 10MiB"):
        await client().get(CTX, there.url("/bomb"))
    with pytest.raises(HttpRefused, match="not asked for"):
        await client().get(CTX, there.url("/again"))
    there.answers(
        "/", gzip.compress(b"small"), headers={"Content-Encoding": "gzip", "Content-Type": "text/plain"}
    )
    assert (await client().get(CTX, there.url())).text == "small"


# --- redirects --------------------------------------------------------------------------------------


async def test_redirects_are_followed_as_browsers_do(there: Peer) -> None:
    there.answers("/end", b"end")
    for status in ("301 M", "302 F", "303 S"):
        there.redirects("/start", "/end", status=status)
        assert (await client().post(CTX, there.url("/start"), text="x")).url == there.url("/end")
        assert (there.seen[-1].method, there.seen[-1].body) == ("GET", b"")
        assert "content-type" not in there.seen[-1].headers
    for status in ("307 T", "308 P"):
        there.redirects("/start", "/end", status=status)
        await client().post(CTX, there.url("/start"), text="x")
        assert (there.seen[-1].method, there.seen[-1].body) == ("POST", b"x")


async def test_redirects_end(there: Peer) -> None:
    there.redirects("/", "/")
    with pytest.raises(HttpRefused, match="more than 5 redirects"):
        await client().get(CTX, there.url())
    assert len(there.seen) == 6
    there.answers("/nowhere", status="302 Found")
    with pytest.raises(HttpRefused, match="without saying where"):
        await client().get(CTX, there.url("/nowhere"))
    assert (await client(redirects=0).get(CTX, there.url(), accept=[302])).headers["location"] == "/"


@pytest.mark.parametrize("target", ["ftp://example.com/", "file:///etc/passwd", "http://u:p@127.0.0.1/"])
async def test_a_redirect_to_what_could_not_be_asked_is_refused(there: Peer, target: str) -> None:
    there.redirects("/", target)
    with pytest.raises(HttpRefused):
        await client().get(CTX, there.url())


# --- addresses that may not be reached --------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "0", "127.1", "0177.0.0.1"],
)
async def test_loopback_is_refused_however_it_is_written(there: Peer, host: str) -> None:
    there.answers("/", b"inner")
    with pytest.raises(HttpRefused, match="Nothing was sent"):
        await HttpClient().get(CTX, there.url(host=host))
    for one in (http_get, http_post):
        with pytest.raises(HttpRefused):
            await one.run(url=there.url(host=host))
    assert there.connections == 0


INNER = [
    *("http://169.254.169.254/latest/meta-data/", "http://10.0.0.1/", "http://[::1]/", "http://[fd00::1]/"),
    *("http://2852039166/", "http://[64:ff9b::a9fe:a9fe]/", "http://inner.example/"),
]


@pytest.mark.parametrize("target", INNER)
async def test_a_redirect_to_an_inner_address_is_refused(there: Peer, target: str) -> None:
    there.redirects("/", target)
    with pytest.raises(AddressRefused, match="Nothing was sent"):
        await client(resolve=rebound()).get(CTX, there.url())


def rebound() -> Callable[[str, int], Any]:
    from ksl.integrations.http.network import resolved

    fake = names(inner_example=["192.168.0.1"])

    async def resolve(host: str, port: int) -> list[str]:
        return await fake(host, port) if host.endswith(".example") else await resolved(host, port)

    return resolve


async def test_a_name_is_looked_up_once_and_the_address_that_was_checked_is_the_one_that_is_reached() -> None:
    async with peer("127.0.0.1") as outer, peer("127.0.0.2") as inner:
        outer.answers("/", b"outer")
        inner.answers("/", b"inner")
        # 127.0.0.1 stands for a public address here; the second answer of the name is the attack
        resolve = names(rebind_example=["127.0.0.1", "127.0.0.2"])
        got = await client(resolve=resolve).get(CTX, outer.url(host="rebind.example"))
        assert got.text == "outer"
        assert outer.seen[0].headers["host"] == f"rebind.example:{outer.port}"
        with pytest.raises(
            AddressRefused, match=r"rebind\.example leads to 127\.0\.0\.2, a loopback address"
        ):
            await client(resolve=resolve).get(CTX, outer.url(host="rebind.example"))
        assert inner.connections == 0


async def test_a_redirect_back_to_a_name_that_leads_elsewhere_by_then_is_refused() -> None:
    async with peer("127.0.0.1") as outer:
        outer.redirects("/", outer.url("/next", host="rebind.example"))
        resolve = names(rebind_example=["127.0.0.1", "127.0.0.2"])
        with pytest.raises(AddressRefused):
            await client(resolve=resolve).get(CTX, outer.url(host="rebind.example"))
        assert len(outer.seen) == 1


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
async def test_the_same_holds_for_ipv6() -> None:
    async with peer("::1") as there:
        there.answers("/", b"six")
        with pytest.raises(AddressRefused):
            await client().get(CTX, there.url())
        assert there.connections == 0
        assert (await client(allow=["::1"]).get(CTX, there.url())).text == "six"


async def test_of_several_addresses_only_the_permitted_are_tried(there: Peer) -> None:
    there.answers("/", b"ok")

    async def mixed(_host: str, _port: int) -> list[str]:
        return ["10.0.0.1", "127.0.0.1", "169.254.169.254"]

    assert (await client(resolve=mixed).get(CTX, there.url(host="mixed.example"))).text == "ok"
    with pytest.raises(AddressRefused):
        await HttpClient(resolve=mixed).get(CTX, there.url(host="mixed.example"))


async def test_the_server_that_runs_the_step_is_refused_even_where_loopback_is_allowed() -> None:
    async with peer() as own, peer("127.0.0.2") as beside:
        own.answers("/", b"own")
        listening.opened(own.port)
        listening.opened(beside.port)
        try:
            for served in (own, beside):
                with pytest.raises(AddressRefused, match="the very server"):
                    await client(allow=["127.0.0.0/8"]).get(CTX, served.url())
            assert (own.seen, beside.seen) == ([], [])
        finally:
            listening.closed(own.port)
            listening.closed(beside.port)
        assert (await client().get(CTX, own.url())).text == "own"


async def test_proxies_of_the_environment_are_not_asked(there: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    there.answers("/", b"direct")
    async with peer() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url())
        assert (await client().get(CTX, there.url())).text == "direct"
        assert proxy.connections == 0


# --- TLS --------------------------------------------------------------------------------------------


async def test_the_certificate_is_that_of_the_name_though_the_connection_goes_to_an_address(
    tmp_path: Path,
) -> None:
    paper = certificate(tmp_path, "api.example")
    resolve = names(api_example=["127.0.0.1"], other_example=["127.0.0.1"])
    async with peer(tls=paper.server_context()) as there:
        there.answers("/", b"private")
        there.redirects("/down", "http://api.example/")
        one = client(resolve=resolve, ca_file=str(paper.file))
        assert (await one.get(CTX, there.url(host="api.example"))).text == "private"
        for other in (there.url(host="other.example"), there.url(host="127.0.0.1")):
            with pytest.raises(HttpUnavailable, match="certificate verify failed"):
                await one.get(CTX, other)
        with pytest.raises(HttpUnavailable, match="certificate verify failed"):
            await client(resolve=resolve).get(CTX, there.url(host="api.example"))
        with pytest.raises(HttpRefused, match="holds no certificates"):
            await client(ca_file=str(tmp_path)).get(CTX, there.url(host="api.example"))
        with pytest.raises(HttpRefused, match="redirected from https"):
            await one.get(CTX, there.url("/down", host="api.example"))


# --- inside a run -----------------------------------------------------------------------------------


def test_an_answer_is_a_value_of_the_history() -> None:
    one = HttpAnswer(status=200, url="u", headers={"a": "b"}, text="é\x00")
    assert HttpAnswer.model_validate_json(one.model_dump_json()) == one

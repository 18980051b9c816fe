"""Deliveries over real HTTP: what is answered, what is started, what is kept."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.api.serving import Served, serving

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()

SOURCES = """
from typing import Any

from pydantic import BaseModel, SecretStr, field_validator

from ksl import Context, Credential, Delivery, StandardWebhooks, WebhookSource, action, workflow


class Secret(BaseModel):
    secret: SecretStr


class Event(BaseModel):
    kind: str = ""
    name: str = "nobody"


class Picky(BaseModel):
    name: str

    @field_validator("name")
    @classmethod
    def no(cls, name: str) -> str:
        raise ValueError(f"not {name}")


@workflow
async def greet(input: dict[str, Any], ctx: Context) -> list[Any]:
    return [input, ctx.trigger]


@workflow
async def count(input: int) -> int:
    return input


signed = Credential("signed", fields=Secret)

WebhookSource("open", payload=Event, filter=lambda event: event.kind != "ping").attach(greet)
WebhookSource("signed", payload=Event, verify=StandardWebhooks(credential=signed)).attach(greet)
WebhookSource("made", "shared", payload=Event, filter=lambda event: event.kind == "made").attach(greet)
WebhookSource("gone", "shared", payload=Event, filter=lambda event: event.kind == "gone").attach(greet)
WebhookSource("form", form=True).attach(greet)
WebhookSource("picky", payload=Picky).attach(greet)
WebhookSource("bad").attach(count, transform=lambda payload: payload["n"])


def told(payload: Any, delivery: Delivery) -> dict[str, Any]:
    return {
        "agent": delivery.headers["x-agent"],
        "page": delivery.query["page"],
        "raw": delivery.body.decode(),
        "id": delivery.delivery_id,
    }


WebhookSource("headed", filter=lambda _, delivery: "x-agent" in delivery.headers).attach(greet, transform=told)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "ksl.toml").write_text('[store]\ndurability = "process"\n')
    (tmp_path / "triggers").mkdir()
    (tmp_path / "workflows").mkdir()
    (tmp_path / "workflows" / "all.py").write_text(SOURCES)
    return tmp_path


@pytest.fixture
async def served(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    monkeypatch.setenv("KSL_HOME", str(folder / "home"))
    async with serving(folder) as server:
        assert server.runtime.vault is not None
        await server.runtime.vault.set("signed", {"secret": SECRET})
        yield server


def signed(body: bytes, delivery_id: str, *, at: int | None = None) -> dict[str, str]:
    at = int(time.time()) if at is None else at
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    made = hmac.digest(key, f"{delivery_id}.{at}.".encode() + body, hashlib.sha256)
    return {
        "content-type": "application/json",
        "webhook-id": delivery_id,
        "webhook-timestamp": str(at),
        "webhook-signature": f"v1,{base64.b64encode(made).decode()}",
    }


async def firings(served: Served, slug: str, **asked: Any) -> list[dict[str, Any]]:
    await served.runtime.store.flush()
    return (await served.client.get(f"/triggers/{slug}/runs", params=asked)).json()["firings"]


async def test_a_delivery_starts_a_run_and_is_answered_with_its_id(served: Served) -> None:
    answer = await served.stranger.post("/triggers/open", json={"name": "Ada", "kind": "made"})

    assert answer.status_code == 202
    (run_id,) = answer.json()["run_ids"]
    run = await served.settled(run_id)
    assert run["output"] == [{"name": "Ada", "kind": "made"}, "webhook"]
    assert run["trigger"] == "webhook"
    (firing,) = await firings(served, "open")
    assert (firing["verdict"], firing["run_ids"]) == ("started", [run_id])
    assert firing["payload"] == {"name": "Ada", "kind": "made"}
    created = (await served.client.get(f"/runs/{run_id}/events")).json()["events"][0]
    assert created["meta"] == {"source": "open", "firing": firing["firing_id"]}


async def test_what_the_filter_refuses_is_answered_as_skipped(served: Served) -> None:
    answer = await served.stranger.post("/triggers/open", json={"kind": "ping"})

    assert (answer.status_code, answer.json()) == (200, {"ok": True, "skipped": True})
    assert (await firings(served, "open"))[0]["verdict"] == "skipped"


async def test_the_wrong_shape_is_422_and_kept_without_its_body(served: Served) -> None:
    answer = await served.stranger.post("/triggers/open", json={"kind": 7})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["loc"] == ["kind"]
    (firing,) = await firings(served, "open")
    assert (firing["verdict"], firing["payload"]) == ("rejected", None)


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"content-type": "application/json"}, b"{", 400),
        ({"content-type": "application/json"}, b'{"kind": NaN}', 400),
        ({"content-type": "text/plain"}, b"{}", 415),
        ({"content-type": "application/x-www-form-urlencoded"}, b"kind=made", 415),
        ({"content-type": "application/json; charset=latin-1"}, b"{}", 415),
        ({"content-type": "multipart/form-data; boundary=x"}, b"--x--", 415),
        ({}, b"{}", 415),
        ({"content-type": "application/vnd.api+json"}, b"{}", 202),
        ({"content-type": "application/json"}, b'{"name": "' + b"x" * (1 << 20) + b'"}', 413),
    ],
)
async def test_bodies_are_decoded_by_the_type_they_declare(
    served: Served, headers: dict[str, str], body: bytes, status: int
) -> None:
    answer = await served.stranger.post("/triggers/open", content=body, headers=headers)

    assert answer.status_code == status, answer.text


async def test_a_body_that_is_declared_twice_is_refused(served: Served) -> None:
    answer = await served.stranger.post(
        "/triggers/open",
        content=b"{}",
        headers=[(b"content-type", b"application/json"), (b"content-type", b"text/plain")],
    )

    assert answer.status_code == 415


async def test_a_form_is_taken_where_the_source_asks_for_it(served: Served) -> None:
    answer = await served.stranger.post("/triggers/form", data={"a": "1", "b": ["2", "3"]})

    run = await served.settled(answer.json()["run_ids"][0])
    assert run["input"] == {"a": "1", "b": ["2", "3"]}
    assert (await served.stranger.post("/triggers/form", json={"a": 1})).status_code == 202


async def test_headers_query_and_body_reach_filter_and_transform(served: Served) -> None:
    unheaded = await served.stranger.post("/triggers/headed?page=2", content=b"{}", headers=JSON)
    answer = await served.stranger.post(
        "/triggers/headed?page=2", content=b' {"a":1}', headers={**JSON, "X-Agent": "me"}
    )

    assert unheaded.json() == {"ok": True, "skipped": True}
    run = await served.settled(answer.json()["run_ids"][0])
    assert run["input"] == {"agent": "me", "page": "2", "raw": ' {"a":1}', "id": None}


JSON = {"content-type": "application/json"}


async def test_sources_that_share_an_endpoint_each_take_what_is_theirs(served: Served) -> None:
    made = await served.stranger.post("/triggers/shared", json={"kind": "made"})
    none = await served.stranger.post("/triggers/shared", json={"kind": "other"})
    misfit = await served.stranger.post("/triggers/shared", json={"kind": 7})

    assert (made.status_code, len(made.json()["run_ids"])) == (202, 1)
    assert (none.status_code, none.json()) == (200, {"ok": True, "skipped": True})
    assert (misfit.status_code, misfit.json()) == (200, {"ok": True, "skipped": True})
    assert [each["verdict"] for each in await firings(served, "made")] == ["skipped", "started"]
    assert [each["verdict"] for each in await firings(served, "gone")] == ["skipped", "skipped"]


async def test_an_endpoint_that_nobody_listens_at_is_404(served: Served) -> None:
    answer = await served.stranger.post("/triggers/made", json={})

    assert (answer.status_code, answer.json()["code"]) == (404, "KSL300")


async def test_what_cannot_be_turned_into_a_run_is_422_and_may_come_again(served: Served) -> None:
    answer = await served.stranger.post("/triggers/bad", json={"m": 7})

    assert (answer.status_code, answer.json()["code"]) == (422, "KSL305")
    assert "KeyError" not in answer.text
    (firing,) = await firings(served, "bad")
    assert firing["verdict"] == "failed"
    assert firing["errors"][0]["type"] == "KeyError"


async def test_an_unverified_delivery_is_401_without_a_word_why(served: Served) -> None:
    body = b'{"name": "Ada"}'
    headers = signed(body, "msg_1")
    wrong = {**headers, "webhook-signature": "v1,AAAA"}

    answer = await served.stranger.post("/triggers/signed", content=body, headers=wrong)

    assert (answer.status_code, answer.json()["code"]) == (401, "KSL303")
    assert "signature" not in answer.json()["detail"]
    assert "www-authenticate" not in answer.headers
    (firing,) = await firings(served, "signed")
    assert (firing["verdict"], firing["payload"], firing["run_ids"]) == ("rejected", None, [])
    assert "signature" in firing["reason"]


async def test_a_verified_delivery_that_is_repeated_starts_one_run(served: Served, folder: Path) -> None:
    body = b'{"name": "Ada"}'

    answers = await asyncio.gather(
        *(
            served.stranger.post("/triggers/signed", content=body, headers=signed(body, "msg_1"))
            for _ in range(20)
        )
    )

    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.text for answer in answers}) == 1
    assert len((await served.client.get("/runs")).json()["runs"]) == 1
    other = b'{"name": "Eve"}'
    conflict = await served.stranger.post("/triggers/signed", content=other, headers=signed(other, "msg_1"))
    assert (conflict.status_code, conflict.json()["code"]) == (409, "KSL304")
    assert len((await served.client.get("/runs")).json()["runs"]) == 1


async def test_a_repeated_delivery_gets_the_same_answer_after_a_restart(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KSL_HOME", str(folder / "home"))
    body = b'{"name": "Ada"}'
    answers: list[Any] = []
    runs: list[Any] = []
    for restart in range(3):
        async with serving(folder) as served:
            if not restart:
                assert served.runtime.vault is not None
                await served.runtime.vault.set("signed", {"secret": SECRET})
            answer = await served.stranger.post(
                "/triggers/signed", content=body, headers=signed(body, "msg_1")
            )
            answers.append((answer.status_code, answer.json()))
            runs = (await served.client.get("/runs")).json()["runs"]

    assert answers[0][0] == 202
    assert answers == answers[:1] * 3
    assert len(runs) == 1


async def test_a_known_secret_in_a_delivery_is_not_kept(served: Served, folder: Path) -> None:
    body = json.dumps({"name": SECRET}).encode()

    answer = await served.stranger.post("/triggers/signed", content=body, headers=signed(body, "msg_1"))
    bad = await served.stranger.post("/triggers/bad", json={SECRET: SECRET})

    await served.settled(answer.json()["run_ids"][0])
    assert bad.status_code == 422
    assert served.runtime.vault is not None
    assert (await served.runtime.store.triggers.firings("signed")).rows[0].payload == (
        b'{"name":"[redacted:signed]"}'
    )
    await served.runtime.store.flush()
    for name in ("ksl.db", "ksl.db-wal"):
        assert SECRET.encode() not in (folder / ".ksl" / name).read_bytes()


async def test_a_known_secret_in_the_reason_of_a_refusal_is_not_kept(served: Served, folder: Path) -> None:
    # Where the reason is cut, half a secret would remain.
    for pad in ("", "x" * 400):
        await served.stranger.post("/triggers/picky", json={"name": pad + SECRET})

    kept = await firings(served, "picky")
    assert [each["verdict"] for each in kept] == ["rejected", "rejected"]
    assert "[redacted:signed]" in kept[1]["reason"]
    for name in ("ksl.db", "ksl.db-wal"):
        assert SECRET[:20].encode() not in (folder / ".ksl" / name).read_bytes()


async def test_a_form_that_cannot_be_read_is_kept_with_the_reason(served: Served) -> None:
    answer = await served.stranger.post(
        "/triggers/form",
        content=b"name=%ff",
        headers={"content-type": "application/x-www-form-urlencoded"},
    )

    assert answer.status_code == 400
    (firing,) = await firings(served, "form")
    assert (firing["verdict"], "utf-8" in firing["reason"]) == ("rejected", True)


async def test_an_address_with_very_many_parameters_is_read_like_any_other(served: Served) -> None:
    answer = await served.stranger.post(f"/triggers/open?{'a&' * 5_000}", json={"name": "Ada"})

    assert answer.status_code == 202


async def test_a_disabled_source_takes_deliveries_and_starts_nothing(served: Served) -> None:
    body = b'{"name": "Ada"}'
    off = await served.client.post("/triggers/signed/disable")
    skipped = await served.stranger.post("/triggers/signed", content=body, headers=signed(body, "msg_1"))
    on = await served.client.post("/triggers/signed/enable")
    started = await served.stranger.post("/triggers/signed", content=body, headers=signed(body, "msg_1"))

    assert off.json() == {"slug": "signed", "workflow": None, "enabled": False}
    assert on.json()["enabled"] is True
    assert skipped.json() == {"ok": True, "skipped": True}
    assert started.status_code == 202
    kept = await firings(served, "signed")
    assert [(each["verdict"], each["reason"]) for each in kept] == [
        ("started", None),
        ("skipped", "the source is disabled"),
    ]
    assert kept[1]["payload"] == {"name": "Ada"}


async def test_a_flood_of_bad_deliveries_leaves_the_newest_hundred_and_a_count(served: Served) -> None:
    body = b"{}"
    for _ in range(6):
        await asyncio.gather(
            *(
                served.stranger.post("/triggers/signed", content=body, headers={**JSON, "webhook-id": "x"})
                for _ in range(50)
            )
        )
    await served.runtime.store.flush()

    kept = await firings(served, "signed", verdict="rejected", limit=1000)
    assert len(kept) == 100
    assert (await served.client.get("/triggers/signed")).json()["refused"] == 300


async def test_only_a_post_to_an_endpoint_needs_no_token(served: Served) -> None:
    for method, path in [
        ("GET", "/triggers"),
        ("GET", "/triggers/open"),
        ("PUT", "/triggers/open"),
        ("GET", "/triggers/open/runs"),
        ("POST", "/triggers/open/invoke"),
        ("POST", "/triggers/open/disable"),
        ("POST", "/triggers/open/"),
        ("GET", "/subscriptions"),
        ("POST", "/subscriptions"),
    ]:
        assert (await served.stranger.request(method, path)).status_code == 401, (method, path)


async def test_a_web_page_of_another_site_cannot_deliver(served: Served) -> None:
    answer = await served.stranger.post("/triggers/open", json={}, headers={"origin": "https://evil.example"})

    assert answer.status_code == 403


async def test_the_list_and_the_page_of_a_source_say_what_it_is(served: Served) -> None:
    listed = {each["slug"]: each for each in (await served.client.get("/triggers")).json()["triggers"]}
    whole = (await served.client.get("/triggers/signed")).json()

    assert sorted(listed) == ["bad", "form", "gone", "headed", "made", "open", "picky", "signed"]
    assert listed["made"]["url"] == f"{served.url}/triggers/shared"
    assert listed["signed"]["verify"] == "StandardWebhooks"
    assert whole["attachments"] == [
        {"id": "signed:greet", "workflow": "greet", "enabled": True, "subscribers": None}
    ]
    assert whole["payload_schema"]["properties"].keys() == {"kind", "name"}
    assert (await served.client.get("/triggers/none")).status_code == 404


async def test_a_webhook_is_invoked_by_hand_with_an_input(served: Served) -> None:
    answer = await served.client.post("/triggers/signed/invoke", json={"input": {"name": "Bob"}})

    assert answer.status_code == 202
    firing = answer.json()
    assert (firing["verdict"], firing["payload"], firing["by"]) == ("started", {"name": "Bob"}, "api")
    assert (await served.settled(firing["run_ids"][0]))["input"] == {"name": "Bob", "kind": ""}
    misfit = await served.client.post("/triggers/signed/invoke", json={"input": {"name": 7}})
    assert misfit.status_code == 422
    assert json.loads(misfit.text)["code"] == "KSL407"

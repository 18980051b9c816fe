"""Deliveries to a server that is killed: what was answered is there, what is repeated happens once.

`CRASH_KILLED_ANSWERS` says how often the server is killed right after an answer, `CRASH_FAN_OUT_STRIDE` which of
the writes of a fan-out kill it (1: every one). By hand: 300 and 1, with `-o faulthandler_timeout=1800`.
"""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.crash.forked_serve import ForkedServe
from tests.crash.process import Died, Serve
from tests.crash.strace import Injection, why_not

pytestmark = [pytest.mark.crash, pytest.mark.process]

KILLS = int(os.environ.get("CRASH_KILLED_ANSWERS", "10"))
STRIDE = int(os.environ.get("CRASH_FAN_OUT_STRIDE", "5"))

PROJECT = """
from typing import Any

from pydantic import BaseModel, SecretStr

from ksl import Context, Credential, SharedToken, WebhookSource, workflow


class Secret(BaseModel):
    secret: SecretStr


@workflow(subscription="subscribable")
async def digest(input: Any, ctx: Context) -> None:
    await ctx.hook()


@workflow
async def greet(input: Any) -> Any:
    return input


verify = SharedToken(credential=Credential("sender", fields=Secret), delivery_header="X-Delivery")
WebhookSource("news", verify=verify).attach(digest)
WebhookSource("hello", verify=verify).attach(greet)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KSL_HOME", str(tmp_path / "home"))
    made = tmp_path / "project"
    (made / "workflows").mkdir(parents=True)
    (made / "ksl.toml").write_text("")
    (made / "workflows" / "all.py").write_text(PROJECT)
    # Not in this process, which forks: SQLite in the child would take over files that are closed there.
    command = [
        sys.executable,
        "-m",
        "ksl",
        "-C",
        str(made),
        "credentials",
        "set",
        "sender",
        "--set",
        "secret=-",
    ]
    told = subprocess.run(command, input="opensesame", capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    return made


def deliver(server: Serve, endpoint: str, delivery_id: str, payload: Any = None) -> httpx.Response:
    """As a sender would: without the token of ksl. Errors: Died."""
    headers = {"x-webhook-token": "opensesame", "x-delivery": delivery_id}
    url = server.client().base_url.join(f"/triggers/{endpoint}")
    try:
        return httpx.post(url, json=payload or {}, headers=headers, timeout=30.0, trust_env=False)
    except httpx.TransportError as error:
        server.process.wait(timeout=10)
        raise Died from error


def runs(server: Serve) -> list[dict[str, Any]]:
    return server.ask("GET", "/runs?limit=1000").json()["runs"]


def test_what_was_answered_is_there_after_a_kill_within_20_ms(folder: Path) -> None:
    chance = random.Random(7)
    answered: dict[str, list[str]] = {}
    for number in range(KILLS):
        with ForkedServe(folder) as server:
            known = {run["run_id"] for run in runs(server)}
            assert all(run_id in known for run_ids in answered.values() for run_id in run_ids)
            answer = deliver(server, "hello", f"d{number}", {"n": number})
            assert answer.status_code == 202
            answered[f"d{number}"] = answer.json()["run_ids"]
            if chance.random() < 0.5:
                time.sleep(
                    chance.uniform(0, 0.018)
                )  # to kill it at another moment, not to wait for something
            server.kill()
    with ForkedServe(folder) as server:
        promised = [run_id for run_ids in answered.values() for run_id in run_ids]
        assert sorted(run["run_id"] for run in runs(server)) == sorted(promised)
        # Who did not hear the answer asks again, and hears it now.
        for delivery_id, run_ids in list(answered.items())[-5:]:
            number = int(delivery_id[1:])
            assert deliver(server, "hello", delivery_id, {"n": number}).json() == {"run_ids": run_ids}


def test_a_connection_that_is_cut_before_the_answer_and_a_retry_make_one_run(folder: Path) -> None:
    body = b'{"n":1}'  # as httpx writes it: with other spaces it would be another body
    with ForkedServe(folder) as server:
        url = httpx.URL(str(server.client().base_url))
        for number in range(40):
            head = (
                f"POST /triggers/hello HTTP/1.1\r\nHost: 127.0.0.1:{url.port}\r\n"
                "Content-Type: application/json\r\nX-Webhook-Token: opensesame\r\n"
                f"X-Delivery: cut{number}\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            with socket.create_connection((url.host, url.port or 0)) as connection:
                connection.sendall(head.encode() + body)
                if number % 2:
                    # Reset instead of closed: the answer meets a dead connection at once.
                    linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            again = deliver(server, "hello", f"cut{number}", {"n": 1})
            assert again.status_code == 202, again.text
        assert len(runs(server)) == 40


@pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
@pytest.mark.parametrize("calls", ["pwrite64", "fsync,fdatasync"])
def test_a_fan_out_killed_at_any_write_gives_each_subscriber_one_run(
    folder: Path, tmp_path: Path, calls: str
) -> None:
    with ForkedServe(folder) as server:
        ids: dict[str, str] = {}
        for user in ("ada", "bob", "cyd", "dan", "eve"):
            asked = {"workflow": "digest", "subscriber": user}
            ids[user] = server.ask("POST", "/subscriptions", asked).json()["subscription_id"]
        server.ask("PATCH", f"/subscriptions/{ids['bob']}", {"enabled": False})
        server.ask("DELETE", f"/subscriptions/{ids['dan']}")
    died = before = after = 0
    place = 1
    while True:
        trial = tmp_path / f"{calls[:6]}-{place}"
        shutil.copytree(folder, trial, ignore=shutil.ignore_patterns("stderr", "lock"))
        answered = False
        with ForkedServe(trial) as server:
            server.client()
            injection = Injection(f"{calls}:signal=KILL:when={place}", tmp_path / f"{trial.name}.log")
            injection.attach(server.process.pid)
            try:
                answered = deliver(server, "news", "d1").status_code == 202
                assert server.process.poll() is None
            except (Died, AssertionError):
                died += 1
        injection.wait()
        with ForkedServe(trial) as server:
            found = [run["subscriber"] for run in runs(server)]
            assert len(found) in (0, 3), "a part of the fan-out is there"
            assert len(found) == 3 or not answered
            before, after = before + (not found), after + bool(found)
            assert deliver(server, "news", "d1").status_code == 202
            assert sorted(run["subscriber"] for run in runs(server)) == ["ada", "cyd", "eve"]
            assert {run["workflow"] for run in runs(server)} == {"digest"}
        shutil.rmtree(trial)
        if answered:
            break
        place += STRIDE if calls == "pwrite64" else 1
    assert before or calls != "pwrite64", "the server never died before the commit"
    assert died, "the server never died"

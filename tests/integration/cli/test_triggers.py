"""Commands about triggers and subscriptions, with a server and without one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ksl.cli.app import cli

from tests.integration.cli.conftest import TinyServer

PROJECT = """
from typing import Any

from ksl import Context, CronSource, WebhookSource, workflow


@workflow(subscription="subscribable")
async def digest(input: Any, ctx: Context) -> Any:
    return ctx.subscriber


@workflow
async def greet(input: dict[str, int]) -> Any:
    return input


signup = WebhookSource("signup", "sign.up").attach(greet)
CronSource("daily", "0 9 * * mon-fri", "Europe/Berlin", {"n": 1}).attach(digest)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "ksl.toml").write_text("")
    (tmp_path / "workflows").mkdir()
    (tmp_path / "workflows" / "all.py").write_text(PROJECT)
    return tmp_path


def ksl(folder: Path, *args: str) -> Result:
    return CliRunner().invoke(cli, ["-C", str(folder), *args], catch_exceptions=False)


def done(folder: Path, *args: str) -> Any:
    result = ksl(folder, *args)
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_sources_are_listed_without_a_server_and_without_a_database(project: Path) -> None:
    listed = done(project, "triggers", "list")["triggers"]

    assert [(each["slug"], each["kind"]) for each in listed] == [("daily", "cron"), ("signup", "webhook")]
    assert listed[1]["url"] == "http://127.0.0.1:7420/triggers/sign.up"
    assert not (project / ".ksl" / "ksl.db").exists()


def test_the_address_of_a_source_is_plain_text_for_shells(project: Path) -> None:
    assert ksl(project, "triggers", "url", "signup").stdout == "http://127.0.0.1:7420/triggers/sign.up\n"
    url = done(project, "triggers", "url", "signup", "--json")["url"]
    assert url == "http://127.0.0.1:7420/triggers/sign.up"


def test_the_next_times_of_a_source_have_their_offsets(project: Path) -> None:
    shown = done(project, "triggers", "show", "daily", "--next", "3", "--from", "2026-10-22T12:00:00Z")

    assert shown["next"] == [
        {"local": "2026-10-23T09:00:00+02:00", "utc": "2026-10-23T07:00:00Z"},
        {"local": "2026-10-26T09:00:00+01:00", "utc": "2026-10-26T08:00:00Z"},
        {"local": "2026-10-27T09:00:00+01:00", "utc": "2026-10-27T08:00:00Z"},
    ]


def test_next_times_may_be_asked_from_a_day_of_the_sources_zone(project: Path) -> None:
    for since in ("2026-10-23", "2026-10-22T23:00:00+01:00", "2026-10-23T08:59:59"):
        (first,) = done(project, "triggers", "show", "daily", "--next", "1", "--from", since)["next"]
        assert first["utc"] == "2026-10-23T07:00:00Z"
    (after,) = done(project, "triggers", "show", "daily", "--next", "1", "--from", "2026-10-23T09:00:00")[
        "next"
    ]
    assert after["utc"] == "2026-10-26T08:00:00Z"


def test_a_source_is_fired_by_hand_and_its_payload_shown_first(project: Path) -> None:
    done(project, "subscriptions", "add", "digest", "ada")

    result = ksl(project, "triggers", "invoke", "daily")
    assert result.stderr.splitlines()[0] == 'Payload: {"n": 1}'
    firing = json.loads(result.stdout)
    assert (firing["payload"], firing["by"], firing["runs"][0]["subscriber"]) == ({"n": 1}, "cli", "ada")
    assert done(project, "runs", "show", firing["run_ids"][0])["trigger"] == "cron"
    assert done(project, "triggers", "runs", "daily")["firings"][0]["firing_id"] == firing["firing_id"]


def test_a_firing_that_failed_ends_with_exit_code_1(project: Path) -> None:
    result = ksl(project, "triggers", "invoke", "signup", "--input", '{"a": "x"}')

    assert result.exit_code == 1
    assert json.loads(result.stdout)["errors"][0]["type"] == "InvalidInput"
    assert done(project, "runs", "list")["runs"] == []


def test_what_is_disabled_stays_so(project: Path) -> None:
    assert done(project, "triggers", "disable", "signup", "--workflow", "greet")["enabled"] is False
    assert done(project, "triggers", "disable", "daily")["enabled"] is False
    (project / "workflows" / "all.py").write_text(PROJECT + "\n# edited\n")

    daily, signup = done(project, "triggers", "list")["triggers"]
    assert (daily["enabled"], signup["enabled"], signup["attachments"][0]["enabled"]) == (False, True, False)
    assert done(project, "triggers", "invoke", "signup", "--input", "{}")["verdict"] == "skipped"
    done(project, "triggers", "enable", "signup", "--workflow", "greet")
    assert done(project, "triggers", "invoke", "signup", "--input", "{}")["verdict"] == "started"


def test_subscriptions_come_and_go(project: Path) -> None:
    ada = done(project, "subscriptions", "add", "digest", "ada")
    assert done(project, "subscriptions", "add", "digest", "ada") == ada
    bob = done(project, "subscriptions", "add", "digest", "bob")

    assert done(project, "subscriptions", "disable", bob["subscription_id"])["enabled"] is False
    assert done(project, "subscriptions", "remove", ada["subscription_id"]) == ada
    assert done(project, "subscriptions", "list")["subscriptions"] == [{**bob, "enabled": False}]
    assert done(project, "triggers", "invoke", "daily")["reason"] == "nobody is subscribed"
    done(project, "subscriptions", "enable", bob["subscription_id"])
    assert len(done(project, "triggers", "invoke", "daily")["runs"]) == 1


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["triggers", "show", "none"], "KSL300"),
        (["triggers", "runs", "none"], "KSL300"),
        (["triggers", "disable", "signup", "--workflow", "digest"], "KSL300"),
        (["triggers", "invoke", "daily", "--input", "{}"], "KSL609"),
        (["triggers", "invoke", "signup", "--input", "{"], "KSL604"),
        (["triggers", "url", "daily"], "KSL609"),
        (["triggers", "show", "daily", "--from", "soon"], "KSL609"),
        (["subscriptions", "add", "greet", "ada"], "KSL308"),
        (["subscriptions", "add", "none", "ada"], "KSL400"),
        (["subscriptions", "add", "digest", " "], "KSL308"),
        (["subscriptions", "remove", "sub_1"], "KSL307"),
    ],
)
def test_what_cannot_be_done_is_said(project: Path, args: list[str], code: str) -> None:
    result = ksl(project, *args)

    assert result.exit_code in (1, 2), result.stdout
    assert any(line.startswith(code) for line in result.stderr.splitlines())


def test_a_server_is_asked_where_one_runs(tiny: TinyServer, project: Path) -> None:
    tiny.answers = {
        "GET /triggers/signup": (200, {"slug": "signup", "kind": "webhook"}),
        "POST /triggers/signup/invoke": (202, {"verdict": "started", "run_ids": ["run_1"]}),
        "POST /triggers/signup/disable": (200, {"slug": "signup", "workflow": "greet", "enabled": False}),
        "POST /subscriptions": (201, {"subscription_id": "sub_1"}),
    }

    assert done(project, "triggers", "invoke", "signup", "--input", ' {"a":1}')["run_ids"] == ["run_1"]
    done(project, "triggers", "disable", "signup", "--workflow", "greet")
    done(project, "subscriptions", "add", "digest", "ada")

    assert [(said.method, said.path, said.body) for said in tiny.said] == [
        ("GET", "/triggers/signup", b""),
        ("POST", "/triggers/signup/invoke", b'{"input":  {"a":1}}'),
        ("POST", "/triggers/signup/disable", b'{"workflow":"greet"}'),
        ("POST", "/subscriptions", b'{"workflow":"digest","subscriber":"ada"}'),
    ]

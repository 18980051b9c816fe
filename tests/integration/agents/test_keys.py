"""Where the keys of models come from: credentials, then the environment, as they are at each turn."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ksl.agent.keys import VARIABLES
from ksl.build.config import load_settings
from ksl.build.discover import discover, unload
from ksl.cli.app import cli
from ksl.records import Event, RunRow
from ksl.runtime import Runtime
from ksl.vault.vault import Vault

from tests.chat_server import KEY, ChatServer
from tests.chat_server import text as chat_text
from tests.vendor_servers import Messages, Said, VendorServer

pytest.importorskip("pydantic_ai")

Json = dict[str, Any]
FLOWS = """
from typing import Any

from ksl import Agent, action, prompt_llm, workflow

MODEL = "{model}"
robot = Agent("robot", model=MODEL, memory=False)


@workflow
async def ask(input: str) -> str:
    return await prompt_llm(input, model=MODEL)


@workflow
async def by_agent(input: str) -> str:
    return (await robot.prompt(input)).text


@action
async def outside(question: str) -> str:
    return await prompt_llm(question, model=MODEL)


@workflow
async def in_an_action(input: str) -> str:
    return await outside.run(question=input)
"""
OWN = """
from ksl import Credential
from pydantic import BaseModel, SecretStr


class Key(BaseModel):
    {field}: SecretStr


corporate = Credential("{name}", fields=Key)
"""


@pytest.fixture(autouse=True)
def no_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KSL_HOME", str(tmp_path / "home"))
    for variables in VARIABLES.values():
        for variable in variables:
            monkeypatch.delenv(variable, raising=False)


@pytest.fixture
async def server() -> AsyncIterator[VendorServer]:
    async with VendorServer(Messages(), lambda _: Said("Yes.")) as server:
        yield server


@pytest.fixture
def folder(tmp_path: Path, server: VendorServer) -> Path:
    (tmp_path / "workflows").mkdir()
    (tmp_path / "workflows" / "main.py").write_text(FLOWS.format(model=server.model))
    (tmp_path / "ksl.toml").write_text(server.settings())
    return tmp_path


class Served:
    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        assert runtime.vault is not None
        self.vault: Vault = runtime.vault

    async def run(self, slug: str = "ask", **options: Any) -> tuple[RunRow, list[Event]]:
        started = await self.runtime.start(slug, b'"Is it?"', **options)
        row = await self.runtime.settled(started.run.run_id, timeout_s=60)
        return row, await self.runtime.store.events(row.run_id)


@pytest.fixture
async def served(folder: Path) -> AsyncIterator[Served]:
    project = discover(folder)
    project.raise_if_broken()
    settings = load_settings(folder, os.environ)
    runtime = await Runtime.open(folder, settings, project=project, serve=True)
    yield Served(runtime)
    await runtime.close()
    unload(project)


def failure(events: list[Event]) -> Json:
    return json.loads(events[-1].data or b"{}")


def uses(events: list[Event]) -> list[tuple[str, str | None, str]]:
    """(step, credential, scope) of all that were used."""
    return [
        (event.step or "", use.name, use.scope)
        for event in events
        if event.meta is not None
        for use in event.meta.credentials
    ]


async def test_a_credential_goes_before_the_environment_and_a_new_one_counts_at_the_next_turn(
    served: Served, server: VendorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "key-of-the-environment")
    for key in ("key-number-one", "key-number-two"):
        await served.vault.set("anthropic", {"api_key": key})
        row, _ = await served.run()
        assert row.status.value == "succeeded"
    await served.vault.remove("anthropic")
    await served.run()

    assert [asked.key for asked in server.asked] == [
        "key-number-one",
        "key-number-two",
        "key-of-the-environment",
    ]


async def test_its_use_is_recorded_with_the_turn_and_told_in_the_log(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    await served.vault.set("anthropic", {"api_key": "key-of-the-project"})
    with caplog.at_level("INFO", logger="ksl.credentials"):
        _, asked = await served.run()
        _, prompted = await served.run("by-agent")

    assert uses(asked) == [("prompt-llm#0", "anthropic", "project")]
    assert uses(prompted) == [("robot#0/turn#0", "anthropic", "project")]
    assert [record.message.split(", for")[0] for record in caplog.records] == [
        "credential anthropic used"
    ] * 2
    assert "key-of-the-project" not in repr([asked, prompted]) + caplog.text
    assert served.runtime.redactor.text("a key-of-the-project z") == "a [redacted:anthropic] z"


async def test_the_subscriber_s_own_goes_before_the_project_s_and_that_before_the_organization_s(
    served: Served, server: VendorServer
) -> None:
    await served.vault.set("anthropic", {"api_key": "key-of-all-projects"}, scope="organization")
    await served.run()
    await served.vault.set("anthropic", {"api_key": "key-of-the-project"})
    await served.vault.set("anthropic", {"api_key": "key-of-ada"}, scope="user", user="ada")
    await served.run()
    await served.run(subscriber="ada")
    _, events = await served.run("by-agent", subscriber="bea")

    keys = [asked.key for asked in server.asked]
    assert keys == ["key-of-all-projects", "key-of-the-project", "key-of-ada", "key-of-the-project"]
    assert uses(events) == [("robot#0/turn#0", "anthropic", "project")]


async def test_an_action_that_asks_a_model_is_given_the_same_key(
    served: Served, server: VendorServer
) -> None:
    await served.vault.set("anthropic", {"api_key": "key-of-the-project"})

    row, _ = await served.run("in-an-action")

    assert row.status.value == "succeeded"
    assert [asked.key for asked in server.asked] == ["key-of-the-project"]


async def test_without_any_the_step_fails_at_once_and_names_both_ways(
    served: Served, server: VendorServer
) -> None:
    _, events = await served.run()

    error = failure(events)
    assert error["code"] == "KSL801"
    assert "ksl credentials set anthropic --set api_key=@env:ANTHROPIC_API_KEY" in error["message"]
    assert "the variable ANTHROPIC_API_KEY" in error["message"]
    assert server.asked == []
    assert "run_retrying" not in [event.type for event in events]


class TestNamedInSettings:
    @pytest.fixture
    def folder(self, folder: Path, server: VendorServer) -> Path:
        (folder / "ksl.toml").write_text(server.settings("credential:corporate"))
        return folder

    async def test_it_is_the_only_one_that_is_looked_up(
        self, served: Served, server: VendorServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ANTHROPIC_API_KEY", "key-of-the-environment")
        _, events = await served.run()
        assert failure(events)["code"] == "KSL801"
        assert 'api_key = "env:ANTHROPIC_API_KEY"' in failure(events)["message"]

        await served.vault.set("corporate", {"api_key": "key-of-the-house"})
        _, events = await served.run()

        assert uses(events) == [("prompt-llm#0", "corporate", "project")]
        assert [asked.key for asked in server.asked] == ["key-of-the-house"]

    async def test_the_project_may_define_it(self, folder: Path, server: VendorServer) -> None:
        for field, ends in (("api_key", "run_completed"), ("token", "run_failed")):
            (folder / "workflows" / "own.py").write_text(OWN.format(name="corporate", field=field))
            project = discover(folder)
            runtime = await Runtime.open(folder, load_settings(folder), project=project, serve=True)
            try:
                served = Served(runtime)
                await served.vault.remove("corporate") if ends == "run_failed" else None
                await served.vault.set("corporate", {field: "key-of-the-house"})
                _, events = await served.run()
            finally:
                await runtime.close()
                unload(project)
            assert events[-1].type == ends
        assert "has no field api_key" in failure(events)["message"]
        assert len(server.asked) == 1


def command(folder: Path, *words: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(cli, ["-C", str(folder), *words], input=stdin)


def test_the_build_knows_what_is_set_without_a_server(folder: Path, server: VendorServer) -> None:
    broken = json.loads(command(folder, "build", "--json").stdout)["errors"]
    assert {each["code"] for each in broken} == {"KSL801"}
    assert "ksl credentials set anthropic" in broken[0]["message"]

    stored = command(
        folder, "credentials", "set", "anthropic", "--set", "api_key=-", stdin="key-of-the-project\n"
    )

    assert stored.exit_code == 0, stored.stderr
    assert command(folder, "build", "--json").exit_code == 0
    listed = json.loads(command(folder, "credentials", "list", "--json").stdout)
    assert [(each["name"], each["defined"]) for each in listed["credentials"]] == [("anthropic", True)]


def test_models_says_where_each_key_comes_from(
    folder: Path, server: VendorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "key-of-the-environment")
    (folder / "ksl.toml").write_text(
        server.settings()
        + '[models.providers.local]\nbase_url = "http://127.0.0.1:9/v1"\napi_key = "written-here"\n'
    )
    command(folder, "credentials", "set", "anthropic", "--set", "api_key=-", stdin="key-of-the-project\n")

    vendors = {
        each["name"]: each for each in json.loads(command(folder, "models", "--json").stdout)["vendors"]
    }

    assert {name: each["key"] for name, each in vendors.items()} == {
        "anthropic": "credential anthropic",
        "google": None,
        "openai": "environment OPENAI_API_KEY",
        "local": "ksl.toml",
        "test": None,
    }
    assert vendors["anthropic"]["address"] == server.url
    assert (vendors["google"]["ready"], vendors["openai"]["ready"]) == (False, True)
    assert vendors["google"]["hint"] == "set credential google or GEMINI_API_KEY or GOOGLE_API_KEY"
    assert "key-of" not in command(folder, "models").stdout


async def test_models_looks_at_a_server_with_the_key_of_its_credential(folder: Path) -> None:
    import asyncio

    async with ChatServer([chat_text("x")]) as chat:
        (folder / "ksl.toml").write_text(chat.settings.replace(f'"{KEY}"', '"credential:local-key"'))
        stored = await asyncio.to_thread(
            command, folder, "credentials", "set", "local-key", "--set", "api_key=-", stdin=f"{KEY}\n"
        )
        assert stored.exit_code == 0, stored.stderr
        shown = await asyncio.to_thread(command, folder, "models", "--json")

    (local,) = [each for each in json.loads(shown.stdout)["vendors"] if each["name"] == "local"]
    assert (local["ready"], local["key"], local["models"]) == (True, "credential local-key", ["small"])


@pytest.mark.parametrize(
    "table",
    [
        '[models.providers.mine]\napi_key = "x"',
        '[models.providers.openai]\nbase_url = "not an address"',
        '[models.providers.openai]\napi_key = "credential:Not A Name"',
        '[models.providers.openai]\napi_key = "env:"',
    ],
)
def test_settings_of_a_provider_are_checked(folder: Path, table: str) -> None:
    from ksl.errors import BadSetting

    (folder / "ksl.toml").write_text(table)
    with pytest.raises(BadSetting, match="providers"):
        load_settings(folder)


def test_the_settings_know_the_vendors() -> None:
    from ksl.build.settings_values import _VENDORS  # pyright: ignore[reportPrivateUsage]

    assert tuple(VARIABLES) == _VENDORS

"""Who is given which credential, over stores without files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from pydantic import BaseModel, SecretStr

from ksl import Credential
from ksl.errors import BadRequest, CredentialDamaged, InvalidCredential, MissingCredential
from ksl.log.credentials import MemoryCredentials
from ksl.records import CredentialChange, Scope
from ksl.vault.keys import KeyPlace
from ksl.vault.redactor import Redactor
from ksl.vault.shelf import Shelf
from ksl.vault.vault import Vault

from tests.integration.credentials.project import done, write_project


class Token(BaseModel):
    token: SecretStr
    number: int = 1


class Plain(BaseModel):
    """Whose author forgot to say what is secret."""

    token: str


slack = Credential("slack", fields=Token)
plain = Credential("plain", fields=Plain)


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    def shelf(name: str) -> Shelf:
        return Shelf(MemoryCredentials(), KeyPlace(tmp_path / name, None), what=name, shared=False)

    return Vault(
        {"slack": slack, "plain": plain},
        project=shelf("project"),
        organization=shelf("organization"),
        redactor=Redactor(),
        now_ms=lambda: 1_750_000_000_000,
    )


async def given(vault: Vault, **how: Any) -> tuple[str, str]:
    resolved = await vault.resolve([slack], **how)
    return resolved.credentials[slack].token.get_secret_value(), resolved.uses[0].scope


async def test_the_subscribers_own_comes_first_then_the_projects_then_the_organizations(vault: Vault) -> None:
    with pytest.raises(MissingCredential, match="looked in: project, organization"):
        await given(vault)
    await vault.set("slack", {"token": "of-the-organization"}, scope="organization")
    assert await given(vault, subscriber="ada") == ("of-the-organization", "organization")
    await vault.set("slack", {"token": "of-the-project"})
    assert await given(vault, subscriber="ada") == ("of-the-project", "project")
    await vault.set("slack", {"token": "of-ada-herself"}, scope="user", user="ada")
    assert await given(vault, subscriber="ada") == ("of-ada-herself", "user")
    assert await given(vault, subscriber="eve") == ("of-the-project", "project")
    assert await given(vault) == ("of-the-project", "project")


@pytest.mark.parametrize("scope", ["user", "project", "organization"])
async def test_a_pinned_scope_is_asked_alone(vault: Vault, scope: Scope) -> None:
    scopes: list[Scope] = ["user", "project", "organization"]
    for other in scopes:
        if other != scope:
            await vault.set(
                "slack", {"token": f"of-{other}"}, scope=other, user="ada" if other == "user" else None
            )
    with pytest.raises(MissingCredential, match=rf"looked in: {'user ada' if scope == 'user' else scope}\."):
        await given(vault, pinned=scope, subscriber="ada")
    await vault.set(
        "slack", {"token": "of-the-right-one"}, scope=scope, user="ada" if scope == "user" else None
    )
    assert await given(vault, pinned=scope, subscriber="ada") == ("of-the-right-one", scope)


async def test_pinned_to_the_user_where_there_is_none(vault: Vault) -> None:
    with pytest.raises(MissingCredential, match="not started for a subscriber"):
        await given(vault, pinned="user")


async def test_a_changed_value_is_given_from_then_on_and_both_are_masked(vault: Vault) -> None:
    await vault.set("slack", {"token": "the-first-value"})
    assert (await given(vault))[0] == "the-first-value"
    await vault.set("slack", {"token": "the-second-value"})
    assert (await given(vault))[0] == "the-second-value"
    assert vault.redactor.text("the-first-value the-second-value") == "[redacted:slack] [redacted:slack]"
    await vault.remove("slack")
    with pytest.raises(MissingCredential):
        await given(vault)


async def test_what_a_refused_value_said_is_not_repeated(vault: Vault) -> None:
    with pytest.raises(InvalidCredential) as told:
        await vault.set("slack", {"token": ["a-secret-in-a-list"], "number": "a-secret-number"})
    assert "a-secret" not in f"{told.value} {told.value.errors}"
    assert {each["loc"][0] for each in told.value.errors} == {"token", "number"}


async def test_a_number_may_come_as_text(vault: Vault) -> None:
    await vault.set("slack", {"token": "text-of-a-token", "number": "42"})
    assert (await vault.resolve([slack])).credentials[slack].number == 42


async def test_where_nothing_is_marked_secret_every_text_is(vault: Vault) -> None:
    answer = await vault.set("plain", {"token": "said-to-be-plain"})
    assert answer["secret"] == ["token"]
    assert vault.redactor.text("said-to-be-plain") == "[redacted:plain]"


async def test_a_scope_goes_with_its_user(vault: Vault) -> None:
    wrong: list[tuple[Scope, str | None]] = [("user", None), ("project", "ada"), ("organization", "ada")]
    for scope, user in wrong:
        with pytest.raises(BadRequest):
            await vault.set("slack", {"token": "some-token"}, scope=scope, user=user)


async def test_a_new_process_knows_what_is_stored_before_it_is_used(vault: Vault) -> None:
    await vault.set("slack", {"token": "stored-and-not-used"})
    await vault.set("slack", {"token": "of-ada-not-used"}, scope="user", user="ada")
    vault.redactor = Redactor()
    assert not vault.redactor.active
    await vault.learn()
    assert vault.redactor.text("stored-and-not-used of-ada-not-used") == "[redacted:slack] [redacted:slack]"


@pytest.mark.process
def test_a_script_in_the_project_is_given_them_beside_whoever_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KSL_HOME", str(tmp_path / "home"))
    project = write_project(tmp_path / "demo")
    code = "import asyncio; from actions.all import who; print(asyncio.run(who.run()))"

    def script() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", code],
            cwd=project,
            env=os.environ | {"PYTHONPATH": str(project)},
            capture_output=True,
            text=True,
            check=False,
        )

    missing = script()
    assert "MissingCredential" in missing.stderr
    done(
        project,
        "credentials",
        "set",
        "slack",
        "--set",
        "token=of-the-organization",
        "--scope",
        "organization",
    )
    assert script().stdout == "{'channel': 'general', 'length': '19'}\n"
    done(project, "credentials", "set", "slack", "--set", "token=of-the-project", "--set", "channel=ops")
    assert script().stdout == "{'channel': 'ops', 'length': '14'}\n"


async def test_a_damaged_credential_keeps_no_other_from_being_used(
    vault: Vault, caplog: pytest.LogCaptureFixture
) -> None:
    await vault.set("slack", {"token": "a-sound-token"})
    await vault.set("plain", {"token": "a-damaged-token"})
    project = vault._project  # pyright: ignore[reportPrivateUsage]  # no command damages anything
    assert project is not None
    tables = project._tables  # pyright: ignore[reportPrivateUsage]
    (row,) = [each for each in (await tables.credentials()).rows if each.name == "plain"]
    await tables.change_credentials(CredentialChange(put=(replace(row, sealed=row.sealed[::-1]),)))
    project._read = None  # pyright: ignore[reportPrivateUsage]  # as a process that begins

    await vault.learn()

    assert "KSL705" in caplog.text
    assert (await given(vault))[0] == "a-sound-token"
    with pytest.raises(CredentialDamaged):
        await vault.resolve([plain])

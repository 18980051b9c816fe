"""OAuth 2 against an authorization server on loopback, from the address in the terminal to the refreshed token."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import httpx
import pytest
from pydantic import BaseModel, SecretStr

from ksl import Credential, OAuth
from ksl.log.credentials import MemoryCredentials
from ksl.vault.keys import KeyPlace
from ksl.vault.redactor import Redactor
from ksl.vault.shelf import Shelf
from ksl.vault.vault import Vault

from tests.integration.credentials.authority import CLIENT_ID, CLIENT_SECRET, Authority, authority
from tests.integration.credentials.project import apart, done, serving, write_project

pytestmark = pytest.mark.process

ACTIONS = """
from ksl import ActionContext, Credential, OAuth, action

calendar = Credential(
    "calendar",
    oauth=OAuth("{url}/authorize", "{url}/token", client_id="ksl-demo", scopes=["calendar.read"]),
)


@action(credentials=[calendar])
async def look(ctx: ActionContext) -> dict[str, str]:
    token = ctx.credentials[calendar]
    return {{"header": token.authorization, "length": str(len(token.access_token.get_secret_value()))}}
"""
WORKFLOWS = """
import asyncio

from ksl import Retry, workflow

from actions.all import look


@workflow(retry=Retry(attempts=1))
async def once() -> dict[str, str]:
    return await look.run()


@workflow(retry=Retry(attempts=1))
async def many() -> list[dict[str, str]]:
    return await asyncio.gather(*[look.run() for _ in range(20)])
"""


@pytest.fixture
def service() -> Iterator[Authority]:
    with authority() as made:
        yield made


@pytest.fixture
def project(tmp_path: Path, service: Authority, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KSL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CLIENT_SECRET", CLIENT_SECRET)
    return write_project(tmp_path / "demo", actions=ACTIONS.format(url=service.url), workflows=WORKFLOWS)


class Connecting:
    """`ksl credentials connect` and the person at the browser."""

    def __init__(self, project: Path, *args: str) -> None:
        command = ["credentials", "connect", "calendar", "--no-browser", *args]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ksl", "-C", str(project), *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ,
        )  # fmt: skip
        assert self.process.stderr is not None
        self.said = ""
        self.url = ""
        for line in self.process.stderr:
            self.said += line
            if found := re.search(r"^  (http\S+)", line):
                self.url = found[1]
                break

    def end(self) -> tuple[int, str]:
        """Exit code and everything it printed."""
        stdout, stderr = self.process.communicate(timeout=30)
        return self.process.returncode, self.said + stdout + stderr


def allow(url: str) -> httpx.Response:
    return httpx.get(url, follow_redirects=True, trust_env=False)


def connect(project: Path, *args: str) -> tuple[int, str]:
    connecting = Connecting(project, *args)
    assert connecting.url, connecting.end()
    assert allow(connecting.url).status_code == 200
    return connecting.end()


def set_client_secret(project: Path) -> None:
    done(project, "credentials", "set", "calendar", "--set", "client_secret=@env:CLIENT_SECRET")


def assert_no_token(service: Authority, text: str | bytes) -> None:
    content = text.encode() if isinstance(text, str) else text
    for token in [*service.issued, CLIENT_SECRET]:
        assert token.encode() not in content


def test_a_credential_is_connected_in_the_browser_and_used(project: Path, service: Authority) -> None:
    set_client_secret(project)

    missing = apart(project, "workflows", "run", "once")
    assert (missing.returncode, "ksl credentials connect calendar" in missing.stdout) == (1, True)

    code, said = connect(project)

    assert "Warning" not in said
    assert (code, service.asked) == (0, ["authorization_code"]), said
    assert_no_token(service, said)
    listed = done(project, "credentials", "list")["credentials"]
    assert listed[0]["fields"] == [
        "access_token", "client_secret", "expires_at", "refresh_token", "scope", "token_type",
    ]  # fmt: skip
    run = done(project, "workflows", "run", "once")
    assert run["output"] == {"header": "Bearer [redacted:calendar]", "length": str(len(service.issued[0]))}
    assert service.asked == ["authorization_code"]  # it is good for an hour
    for path in (project / ".ksl").glob("ksl.db*"):
        assert_no_token(service, path.read_bytes())


def test_a_running_server_takes_the_tokens(project: Path, service: Authority) -> None:
    with serving(project) as server:
        set_client_secret(project)
        code, said = connect(project, "--scope", "organization")
        assert code == 0, said
        done(project, "credentials", "remove", "calendar")
        assert server.run("once")["status"] == "succeeded"
    assert_no_token(service, "".join(server.said))


def test_twenty_steps_at_once_refresh_once_and_the_new_token_survives_a_crash(
    project: Path, service: Authority
) -> None:
    service.lives_s = [30, 30, 3600]  # each but the last is about to run out when it is used
    set_client_secret(project)
    connect(project)

    with serving(project) as server:
        assert server.run("many")["status"] == "succeeded"
        refreshed = service.asked.count("refresh_token")
    with serving(project) as server:
        assert server.run("many")["status"] == "succeeded"
        assert server.run("many")["status"] == "succeeded"

    # The first token had run out for every use, the second for the next ones; nothing was refreshed with a token
    # that had been used before, which this service would have noticed.
    assert not service.withdrawn
    assert refreshed <= 2
    assert service.asked == ["authorization_code", "refresh_token", "refresh_token"]


def test_a_refused_refresh_says_what_to_do_and_is_not_tried_again(project: Path, service: Authority) -> None:
    service.lives_s = [30]
    set_client_secret(project)
    connect(project)
    service.refresh_token = "another"

    failed = apart(project, "workflows", "run", "once")

    assert failed.returncode == 1
    assert "AuthorizationFailed" in failed.stdout
    assert "ksl credentials connect calendar" in failed.stdout
    assert "this token was used before" in failed.stdout
    assert_no_token(service, failed.stdout + failed.stderr)
    assert service.asked.count("refresh_token") == 1


def test_a_service_that_is_down_is_an_ordinary_failure(project: Path, service: Authority) -> None:
    service.lives_s = [30]
    set_client_secret(project)
    connect(project)
    service.down = True
    failed = apart(project, "workflows", "run", "once")
    assert (failed.returncode, "HTTPStatusError" in failed.stdout) == (1, True), failed.stdout
    service.down = False
    assert done(project, "workflows", "run", "once")["status"] == "succeeded"


def test_who_says_no_is_heard(project: Path, service: Authority) -> None:
    set_client_secret(project)
    service.denies = True
    code, said = connect(project)
    assert (code, "KSL706" in said, "Ada said no" in said) == (1, True, True), said
    assert done(project, "credentials", "list")["credentials"][0]["fields"] == ["client_secret"]


def test_an_answer_with_another_state_is_refused(project: Path, service: Authority) -> None:
    set_client_secret(project)
    connecting = Connecting(project)
    found = re.search(r"redirect_uri=([^&]+)", connecting.url)
    assert found is not None
    redirect = str(httpx.URL("http://x?u=" + found[1]).params["u"])
    assert httpx.get(redirect.replace("/callback", "/favicon.ico"), trust_env=False).status_code == 404

    httpx.get(redirect, params={"code": "stolen", "state": "guessed"}, trust_env=False)

    code, said = connecting.end()
    assert (code, "`state` is not the one" in said, service.asked) == (1, True, []), said


def test_nobody_comes_back(project: Path) -> None:
    set_client_secret(project)
    code, said = Connecting(project, "--timeout", "100ms").end()
    assert (code, "nobody came back" in said) == (1, True), said


def test_a_credential_without_oauth_or_over_plain_http_is_refused(tmp_path: Path) -> None:
    text = ACTIONS.format(url="http://example.test").replace('client_id="ksl-demo", ', "")
    project = write_project(tmp_path / "demo", actions=text, workflows=WORKFLOWS)
    refused = apart(project, "credentials", "connect", "calendar", "--no-browser")
    assert (refused.returncode, "not an https:// address" in refused.stderr) == (1, True), refused.stderr
    other = write_project(tmp_path / "other")
    refused = apart(other, "credentials", "connect", "slack", "--no-browser")
    assert (refused.returncode, "is not obtained with OAuth" in refused.stderr) == (1, True), refused.stderr


class Narrow(BaseModel):
    """A model of one's own, with no more than is needed."""

    access_token: SecretStr = SecretStr("")
    refresh_token: SecretStr = SecretStr("")
    expires_at: datetime | None = None
    client_secret: SecretStr = SecretStr(CLIENT_SECRET)


async def test_a_step_that_is_cancelled_while_its_token_is_refreshed_loses_no_token(
    tmp_path: Path, service: Authority
) -> None:
    urls = f"{service.url}/authorize", f"{service.url}/token"
    credential = Credential("calendar", fields=Narrow, oauth=OAuth(*urls, client_id=CLIENT_ID))
    shelves = [
        Shelf(MemoryCredentials(), KeyPlace(tmp_path / name, None), what=name, shared=False)
        for name in ("p", "o")
    ]
    vault = Vault(
        {"calendar": credential},
        project=shelves[0],
        organization=shelves[1],
        redactor=Redactor(),
        now_ms=lambda: time.time_ns() // 1_000_000,
    )
    service.refresh_token = "the-first-refresh-token"
    old = {
        "access_token": "the-old-one",
        "refresh_token": service.refresh_token,
        "expires_at": "2020-01-01T00:00:00Z",
    }
    await vault.set("calendar", {**old, "client_secret": CLIENT_SECRET})
    service.may_answer.clear()

    step = asyncio.create_task(vault.resolve([credential]))
    await asyncio.to_thread(service.heard.wait, 30)
    step.cancel()
    service.may_answer.set()
    with pytest.raises(asyncio.CancelledError):
        await step
    await vault.settled()

    given = (await vault.resolve([credential])).credentials[credential]
    assert given.refresh_token.get_secret_value() == service.refresh_token
    assert given.access_token.get_secret_value() in service.issued
    assert service.asked == ["refresh_token"]

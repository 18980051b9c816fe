"""A project with credentials, and `ksl` called on it: in this process, or as a server of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from click.testing import CliRunner, Result

from ksl.cli.app import cli
from ksl.log.lock import read_holder

Json = dict[str, Any]
READY_S = 30.0

ACTIONS = '''
"""Actions that act for somebody."""

import base64
import json
from urllib.parse import quote

import httpx
from pydantic import BaseModel, SecretStr

from ksl import ActionContext, Credential, Retry, action


class SlackToken(BaseModel):
    token: SecretStr
    channel: str = "general"


class Login(BaseModel):
    user: str
    password: SecretStr
    port: int = 25


slack = Credential("slack", fields=SlackToken)
smtp = Credential("smtp", fields=Login, description="Sends mail")


@action(credentials=[slack])
async def who(ctx: ActionContext) -> dict[str, str]:
    given = ctx.credentials[slack]
    return {"channel": given.channel, "length": str(len(given.token.get_secret_value()))}


@action(credentials=[slack])
def who_in_a_thread(ctx: ActionContext) -> str:
    return ctx.credentials["slack"].channel


@action(credentials=[slack])
async def leak(ctx: ActionContext) -> dict[str, object]:
    """Everything that must not be done with a secret, and then some."""
    secret = ctx.credentials[slack].token.get_secret_value()
    data = secret.encode()
    ctx.log.info(f"the token is {secret}", token=secret, header="Basic " + base64.b64encode(b"u:" + data).decode())
    ctx.progress("sending", token=secret)
    return {
        "plain": secret,
        "url": f"https://example.test/?token={quote(secret, safe='')}",
        "json": json.dumps({"inner": secret}),
        "basic": base64.b64encode(b"user:" + data).decode(),
        "base64": [base64.b64encode(b"x" * n + data).decode() for n in range(3)],
        "base64url": base64.urlsafe_b64encode(data).decode(),
        "hex": data.hex(),
        "HEX": data.hex().upper(),
        secret: "a key",
    }


@action(credentials=[slack], retry=Retry(attempts=2, initial=0))
async def fail_with_it(ctx: ActionContext) -> None:
    secret = ctx.credentials[slack].token.get_secret_value()
    try:
        raise KeyError(secret)
    except KeyError as error:
        raise RuntimeError(f"401 for https://example.test/{quote(secret, safe='')}") from error


@action(credentials=[slack])
async def ask_nobody(ctx: ActionContext) -> None:
    secret = ctx.credentials[slack].token.get_secret_value()
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"http://127.0.0.1:9/?token={secret}", headers={"Authorization": f"Bearer {secret}"})
        answer.raise_for_status()


@action
async def echo(value: object) -> object:
    return value
'''

WORKFLOWS = """
from typing import Any

from ksl import Context, Retry, workflow

from actions.all import ask_nobody, echo, fail_with_it, leak, who, who_in_a_thread


@workflow
async def identity() -> dict[str, str]:
    return await who.run()


@workflow
async def threaded() -> str:
    return await who_in_a_thread.run()


@workflow
async def of_the_organization() -> dict[str, str]:
    return await who.scope("organization").run()


@workflow(retry=Retry(attempts=1))
async def leaking(ctx: Context) -> Any:
    found = await leak.run()
    ctx.log.info("the body got", **{key: str(value) for key, value in found.items() if key.isidentifier()})
    await echo.run(found["plain"])
    return found


@workflow(retry=Retry(attempts=2, initial=0))
async def failing() -> None:
    await fail_with_it.run()


@workflow(retry=Retry(attempts=1))
async def unreachable() -> None:
    await ask_nobody.run()


@workflow(retry=Retry(attempts=1))
async def asking(input: dict[str, Any], ctx: Context) -> Any:
    answer = await ctx.hook(title=f"Is it {input['guess']}?", details=input)
    return await echo.run([input, answer])
"""


def write_project(folder: Path, *, actions: str = ACTIONS, workflows: str = WORKFLOWS) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "ksl.toml").write_text(
        '[store]\ndurability = "process"\n[server]\nport = 0\n[project]\nname = "demo"\n'
    )
    for name, text in (("actions", actions), ("workflows", workflows)):
        (folder / name).mkdir(parents=True)
        (folder / name / "all.py").write_text(text.lstrip())
    return folder


def ksl(folder: Path, *args: str, stdin: str | None = None, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(cli, ["-C", str(folder), *args], input=stdin, env=env)


def apart(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own, which knows of no secret yet."""
    return subprocess.run(
        [sys.executable, "-m", "ksl", "-C", str(folder), *args], capture_output=True, text=True, check=False
    )


def done(folder: Path, *args: str, stdin: str | None = None) -> Json:
    """The JSON of a command that ends with 0."""
    result = ksl(folder, *args, stdin=stdin)
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


class Server:
    def __init__(self, folder: Path, url: str, said: list[str], process: subprocess.Popen[bytes]) -> None:
        self.folder = folder
        self.said = said
        self.process = process
        token = (folder / ".ksl" / "token").read_text().strip()
        self.http = httpx.Client(
            base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=30.0, trust_env=False
        )

    def ask(self, method: str, path: str, **options: Any) -> Any:
        answer = self.http.request(method, path, **options)
        assert answer.is_success, answer.text
        return answer.json()

    def run(self, workflow: str, input: Any = None) -> Json:
        return self.ask("POST", f"/workflows/{workflow}", params={"wait": "30s"}, json=input)


@contextmanager
def serving(folder: Path, **env: str) -> Generator[Server]:
    """Killed at the end, as a crash would; `said` is all of its stderr then."""
    path = folder / "stderr"
    with path.open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "ksl", "-C", str(folder), "serve"],
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            env=os.environ | env,
        )
    server: Server | None = None
    said: list[str] = []
    try:
        server = Server(folder, _url(folder, process), said, process)
        yield server
    finally:
        process.kill()
        process.wait()
        said.append(path.read_text())
        path.unlink()
        if server is not None:
            server.http.close()


def _url(folder: Path, process: subprocess.Popen[bytes]) -> str:
    until = time.monotonic() + READY_S
    while process.poll() is None and time.monotonic() < until:
        holder = read_holder(folder / ".ksl")
        if holder is not None and holder.pid == process.pid and holder.url:
            return holder.url
        time.sleep(0.01)
    raise AssertionError((folder / "stderr").read_text())

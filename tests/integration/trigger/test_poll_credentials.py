"""Actions that a poll calls get the project's credentials, and what they betray of them is masked."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, cast

import pytest

from ksl.build.config import load_settings
from ksl.build.discover import discover, unload
from ksl.define.poll import PollSource
from ksl.errors import PollFailed
from ksl.runtime import Runtime

SECRET = "canary-7f3a9c51d2e8"
CODE = """
from pydantic import BaseModel, SecretStr

from ksl import ActionContext, Credential, PollContext, PollSource, action, workflow


class Token(BaseModel):
    token: SecretStr


tracker = Credential("tracker", fields=Token)
failing = [True]


@action(credentials=[tracker])
async def ask(ctx: ActionContext) -> str:
    return ctx.credentials[tracker].token.get_secret_value()


@workflow
async def take(input: int) -> int:
    return input


async def fetch(ctx: PollContext[str]) -> list[int]:
    token = await ask.run()
    ctx.set_state(f"after {token}")
    if failing[0]:
        raise ConnectionError(f"refused {token}" + "." * 12 + token * 500)  # is cut inside of one
    return [len(token)]


PollSource("tracker", "@yearly", fetch, state=str, each=True).attach(take)
"""


async def test_a_poll_uses_the_projects_credential_and_betrays_nothing_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KSL_HOME", str(tmp_path / "home"))
    folder = tmp_path / "project"
    (folder / "workflows").mkdir(parents=True)
    (folder / "ksl.toml").touch()
    (folder / "workflows" / "tracked.py").write_text(CODE)
    project = discover(folder)
    project.raise_if_broken()
    runtime = await Runtime.open(folder, load_settings(folder, {}), project=project, serve=False)
    try:
        assert runtime.vault is not None
        found = runtime.triggers.source("tracker")
        assert isinstance(found, PollSource)
        source = cast("PollSource[Any]", found)
        with pytest.raises(PollFailed, match="MissingCredential"):
            await runtime.polls.poll(source, by="ada")
        await runtime.vault.set("tracker", {"token": SECRET})
        with pytest.raises(PollFailed):
            await runtime.polls.poll(source, by="ada")
        module: Any = sys.modules["workflows.tracked"]
        module.failing[0] = False
        (row,) = await runtime.polls.poll(source, by="ada")
        run = await runtime.settled(row.runs[0].run_id, timeout_s=10)
        assert run.status == "succeeded"
        assert row.payload == str([len(SECRET)]).encode()
        failed = (await runtime.store.triggers.firings("tracker")).rows[1]
        assert "refused [redacted:tracker]" in failed.reason
        state = runtime.triggers.state("tracker")
        assert state is not None
        assert state.cursor == b'"after [redacted:tracker]"'
    finally:
        await runtime.close(drain_s=0)
        unload(project)
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix != ".py":
            assert SECRET[:7].encode() not in path.read_bytes(), path

"""Hooks whose links were made from a key that is not in the data folder any more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.integration.api.serving import Served, serving
from tests.integration.api.visiting import text_in, visiting

MAILING = """
from ksl import Context, action, workflow


@action
async def mail(link: str) -> str:
    return link


@workflow
async def mailing(ctx: Context) -> object:
    hook = ctx.hook(title="Read the mail?")
    await mail.run(link=f"Follow {hook.resume_url} please")
    return await hook
"""


async def asked_and_key_moved_away(folder: Path, workflow: str, input: Any = None) -> tuple[str, str]:
    async with serving(folder) as served:
        found = await served.asked(workflow, input)
    (folder / ".ksl" / "hook-keys").rename(folder / "moved")
    return found


async def listed(served: Served, run_id: str) -> dict[str, Any]:
    answer = await served.client.get("/hooks", params={"run_id": run_id})
    assert answer.status_code == 200, answer.text
    [hook] = answer.json()["hooks"]
    return hook


async def test_a_hook_whose_key_is_gone_is_listed_without_a_link_and_says_why(folder: Path) -> None:
    run_id, _ = await asked_and_key_moved_away(folder, "approval", {})
    async with serving(folder) as served:
        hook = await listed(served, run_id)
        assert hook["url"] is None
        assert "hook-keys" in hook["why_no_url"]
        newer, _ = await served.asked("question")
        assert (await listed(served, newer))["why_no_url"] is None
        async with visiting(served) as visitor:
            for path in ("hooks", f"hooks/{run_id}?step=hook%230", f"runs/{run_id}"):
                page = await visitor.get(path)
                assert page.status_code == 200, path
            assert "It cannot be shown. The key" in text_in(
                await visitor.get(f"hooks/{run_id}?step=hook%230")
            )


@pytest.mark.parametrize("verb", ["resume", "reject"])
async def test_a_hook_whose_key_is_gone_is_answered_by_its_run(folder: Path, verb: str) -> None:
    (folder / "workflows" / "mailing.py").write_text(MAILING.lstrip())
    with (folder / "ksl.toml").open("a") as settings:
        settings.write('[server]\npublic_url = "http://ksl.example"\n')  # the port differs each time
    run_id, _ = await asked_and_key_moved_away(folder, "mailing")
    async with serving(folder) as served:
        body = {"payload": "read"} if verb == "resume" else {"reason": "no"}
        answer = await served.client.post(f"/runs/{run_id}/hooks/{verb}", json=body)
        assert answer.status_code == 200, answer.text
        run = await served.settled(run_id)
        assert (run["status"], run["output"]) == (
            ("succeeded", "read") if verb == "resume" else ("failed", None)
        )
        assert (await served.client.get("/hooks")).json()["hooks"] == []


async def test_a_link_that_is_out_works_without_its_key(folder: Path) -> None:
    run_id, link = await asked_and_key_moved_away(folder, "question")
    async with serving(folder) as served:
        assert (await served.stranger.post(link, json="by link")).status_code == 200
        assert (await served.settled(run_id))["output"] == "by link"
        assert (await served.stranger.post(link, json="again")).status_code == 409


async def test_the_link_is_shown_again_when_the_key_is_back(folder: Path) -> None:
    run_id, link = await asked_and_key_moved_away(folder, "question")
    async with serving(folder) as served:
        await served.runtime.engine.load(run_id)
    (folder / "moved").rename(folder / ".ksl" / "hook-keys")
    async with serving(folder) as served:
        assert (await listed(served, run_id))["url"].endswith(link)


async def test_a_fork_of_a_run_whose_key_is_gone_is_answered_too(folder: Path) -> None:
    run_id, link = await asked_and_key_moved_away(folder, "both")
    async with serving(folder) as served:
        answer = await served.client.post(f"/runs/{run_id}/fork", json={"at": "step:hook~2#0"})
        assert answer.status_code in (200, 201, 202), answer.text
        fork = answer.json()["run_id"]
        await served.runtime.settled(fork, timeout_s=20, waits=True)
        hooks = (await served.client.get("/hooks", params={"run_id": fork})).json()["hooks"]
        for hook in hooks:
            body = {"step": hook["step"], "payload": {"approved": True}}
            answer = await served.client.post(f"/runs/{fork}/hooks/resume", json=body)
            assert answer.status_code == 200, answer.text
        assert (await served.settled(fork))["status"] == "succeeded"
        assert (await served.stranger.post(link, json={"approved": True})).status_code == 200

"""Tool sets in the hands of an agent whose step is part of a run."""

from __future__ import annotations

import asyncio
import json
from textwrap import dedent
from typing import Any

import pytest

from ksl.testing import script

from tests.engine_fixture import World
from tests.integration.agent_tools.test_shell import needs_namespaces


def use(*calls: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    return {"calls": [{"name": name, "args": args} for name, args in calls]}


def told(messages: Any) -> list[Any]:
    """What the newest request says of calls."""
    return [part["content"] for part in messages[-1]["parts"] if part["part_kind"] == "tool-return"]


def flow(model: str, options: str) -> str:
    return dedent(f"""
        from ksl import Sandbox

        robot = Agent("robot", model={model!r}, {options})

        @workflow
        async def w(input: None) -> str:
            return (await robot.prompt("Go.")).text
    """)


async def test_files_and_memory_come_to_the_same_wherever_a_crash_cuts_in(world: World) -> None:
    model = script(
        "worker",
        [
            use(("write", {"path": "a.md", "content": "one\n"})),
            use(
                ("edit", {"path": "a.md", "old": "one\n", "new": "one\ntwo\n"}),
                ("memory_write", {"path": "MEMORY.md", "content": "a.md is mine"}),
            ),
            use(("read", {"path": "a.md"}), ("memory_search", {"words": "mine"})),
            lambda messages: json.dumps(told(messages)),
        ],
    )
    await world.load(flow(model, 'sandbox=Sandbox("desk")'))

    done = await world.run()

    assert json.loads(done.output) == ["one\ntwo\n", "MEMORY.md:\na.md is mine"]
    calls = {step.removeprefix("robot#0/") for step in done.steps()}
    assert calls >= {"write#0", "edit#0", "memory_write#0", "read#0", "memory_search#0"}
    await world.crash_everywhere(done.run_id)


async def test_a_refused_path_goes_back_to_the_model_and_the_prompt_goes_on(world: World) -> None:
    model = script(
        "curious",
        [
            use(("read", {"path": "../../key"}), ("read", {"path": "/etc/passwd"})),
            lambda messages: json.dumps(told(messages)),
        ],
    )
    await world.load(flow(model, 'sandbox=Sandbox("desk"), memory=False'))

    done = await world.run()

    climbing, absolute = json.loads(done.output)
    assert climbing.startswith("Error: ../../key has '..' in it.")
    assert absolute.startswith("Error: /etc/passwd is an absolute path.")


@needs_namespaces
@pytest.mark.process
async def test_no_secret_of_the_server_reaches_the_model(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TICKETS_TOKEN", "tk-very-secret")
    seen: list[str] = []

    def look(messages: Any) -> str:
        seen.append(json.dumps(messages, default=str))
        return "done"

    model = script(
        "nosy",
        [
            use(
                ("bash", {"command": "env; set; cat /proc/*/environ; cat ../.ksl/key ../../key ~/.ksl/key"}),
                ("list", {"path": "."}),
                ("search", {"text": "secret"}),
            ),
            look,
        ],
    )
    await world.load(flow(model, 'sandbox=Sandbox("desk", shell=True)'))

    done = await world.run()

    assert done.output == "done"
    assert "HOME=/workspace" in seen[0]
    assert "tk-very-secret" not in seen[0]
    assert "tk-very-secret" not in repr(done.events)


async def test_without_a_shell_there_is_no_bash(world: World) -> None:
    model = script("eager", [use(("bash", {"command": "true"})), lambda messages: told(messages)[0]])
    await world.load(flow(model, 'sandbox=Sandbox("desk"), memory=False'))

    done = await world.run()

    assert done.output.startswith(
        "Error: there is no tool 'bash'. The tools are: read, write, edit, list, search"
    )


@needs_namespaces
async def test_a_command_that_a_crash_cut_off_is_told_to_the_model_and_not_run_again(world: World) -> None:
    model = script(
        "cut-off",
        [use(("bash", {"command": "echo x >> begun; sleep 60"})), lambda messages: told(messages)[0]],
    )
    await world.load(flow(model, 'sandbox=Sandbox("desk", shell=True), memory=False'))
    run_id = await world.start()
    begun = world.runtime.agents.workspaces_root / "desk" / "begun"
    async with asyncio.timeout(60):
        while not begun.exists():
            await asyncio.sleep(0.01)

    await world.restart()
    done = await world.finish(run_id)

    assert "may have taken effect or not" in done.output
    assert begun.read_text() == "x\n"
    assert done.steps("step_started") == ["robot#0/bash#0"]

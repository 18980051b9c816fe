"""An agent is edited while a run is inside it: what was recorded holds, what comes next goes by the new definition."""

from __future__ import annotations

from collections.abc import AsyncIterator
from textwrap import dedent
from typing import Any

import pytest

from ksl.testing import script

from tests.chat_server import ChatServer, calls, text
from tests.engine_fixture import World

Json = dict[str, Any]
FLOW = dedent("""
    robot = Agent("robot", OPTIONS)

    @workflow
    async def w(input: str) -> str:
        return (await robot.prompt(input)).text
""")


def flow(options: str) -> str:
    return FLOW.replace("OPTIONS", f"memory=False, {options}")


def use(*made: tuple[str, Json]) -> Json:
    return {"calls": [{"name": name, "args": args} for name, args in made]}


def told(messages: Any) -> list[Any]:
    """What the newest request says of calls."""
    return [part["content"] for part in messages[-1]["parts"] if part["part_kind"] == "tool-return"]


SLOW = use(("slow", {"value": "x"}))


async def begun(world: World, options: str, waits_for: str = "x") -> str:
    """A run whose agent's first turn is recorded, and whose first call is under way."""
    await world.load(flow(options))
    run_id = await world.start("w", "Go.")
    await world.rest()
    assert world.stage.waiting == [waits_for]
    return run_id


class TestOverTheNetwork:
    @pytest.fixture
    async def server(self) -> AsyncIterator[ChatServer]:
        pytest.importorskip("pydantic_ai")
        async with ChatServer([calls(("c1", "slow", {"value": "x"})), text("Done.")]) as server:
            yield server

    async def test_a_new_system_prompt_and_model_are_for_the_turns_to_come(
        self, world: World, server: ChatServer
    ) -> None:
        (world.folder / "ksl.toml").write_text(server.settings)
        run_id = await begun(world, 'model="local/small", system_prompt="Be brief.", tools=[slow]')

        await world.restart(flow('model="local/large", system_prompt="Be kind.", tools=[slow]'))
        done = await world.finish(run_id)

        assert done.output == "Done."
        assert server.turns == {0: 1, 1: 1}  # the first was not asked for again
        assert [(body["model"], body["messages"][0]["content"]) for body in server.requests] == [
            ("small", "Be brief."),
            ("large", "Be kind."),
        ]
        used = [event.meta.model_use for event in done.events if event.meta is not None]
        assert [use.model for use in used if use is not None] == ["local/small", "local/large"]


async def test_a_new_tool_can_be_called_in_the_turns_to_come(world: World) -> None:
    model = script("grows", [SLOW, use(("echo", {"value": "new"})), lambda m: str(told(m))])
    run_id = await begun(world, f"model={model!r}, tools=[slow]")

    await world.restart(flow(f"model={model!r}, tools=[slow, echo]"))

    assert (await world.finish(run_id)).output == "['new']"


async def test_a_tool_that_was_taken_away_is_gone_for_the_turns_to_come(world: World) -> None:
    model = script("shrinks", [SLOW, use(("echo", {"value": 1})), lambda m: told(m)[0]])
    run_id = await begun(world, f"model={model!r}, tools=[slow, echo]")

    await world.restart(flow(f"model={model!r}, tools=[slow]"))

    assert "there is no tool 'echo'" in (await world.finish(run_id)).output
    assert not [step for step in world.stage.steps if "echo" in step]


async def test_a_call_that_was_not_recorded_is_not_made_once_its_tool_is_gone(world: World) -> None:
    model = script("shrinks", [SLOW, lambda m: told(m)[0]])
    run_id = await begun(world, f"model={model!r}, tools=[slow, echo]")

    await world.restart(flow(f"model={model!r}, tools=[echo]"))

    assert "there is no tool 'slow'" in (await world.finish(run_id)).output
    assert world.stage.steps == ["robot#0/slow#0"]  # before


async def test_a_set_of_tools_that_was_taken_away_is_told_to_the_model(world: World) -> None:
    model = script("unset", [SLOW, use(("list", {})), lambda m: told(m)[0]])
    await world.load(
        "from ksl import Sandbox\n" + flow(f"model={model!r}, tools=[slow], sandbox=Sandbox('desk')")
    )
    run_id = await world.start("w", "Go.")
    await world.rest()

    await world.restart(flow(f"model={model!r}, tools=[slow]"))

    assert (await world.finish(run_id)).output == "Error: list is not available any more"


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        ("tools=[slow]", "echo#0"),
        ("tools=[requires_approval(echo), slow]", "echo#0"),
        ("tools=[echo, slow], max_steps=1", "turn#1"),
    ],
    ids=["a recorded call's tool", "an approval", "fewer turns than were made"],
)
async def test_what_was_recorded_and_the_code_gives_no_more_holds_the_run(
    world: World, edit: str, said: str
) -> None:
    model = script("recorded", [use(("echo", {"value": 1})), SLOW, "Done."])
    run_id = await begun(world, f"model={model!r}, tools=[echo, slow]")

    await world.restart(flow(f"model={model!r}, {edit}"))
    held = await world.seen(run_id)
    assert held.status == "held"
    assert held.error["type"] == "ReplayMismatch"
    assert f"robot#0/{said}" in held.error["message"]
    assert world.stage.steps == ["robot#0/echo#0", "robot#0/slow#0"]

    await world.restart(flow(f"model={model!r}, tools=[echo, slow]"))
    await world.runtime.retry(run_id, by="ada")

    assert (await world.finish(run_id)).output == "Done."


async def test_where_a_conversation_is_summed_up_stays_as_it_was_when_it_began(world: World) -> None:
    usage = {"input_tokens": 1_500, "output_tokens": 1}
    model = script("long", [{**SLOW, "usage": usage}, {**SLOW, "usage": usage}, "Done."])
    run_id = await begun(world, f"model={model!r}, tools=[slow], compact_at=None")

    await world.restart(flow(f"model={model!r}, tools=[slow], compact_at=1000"))
    done = await world.finish(run_id)

    assert done.output == "Done."
    assert not [step for step in done.steps() if "summary" in step]


async def test_another_type_of_answer_counts_while_the_agent_is_at_it_and_is_drift_once_it_has_answered(
    world: World,
) -> None:
    model = script("typed", [SLOW, {"text": "1", "output": 1}])
    before = flow(f"model={model!r}, tools=[slow]").replace(".text", ".text + await slow.run(value='y')")
    after = before.replace("prompt(input)", "prompt(input, output=int)")
    await world.load(before)
    run_id = await world.start("w", "Go.")
    await world.rest()

    await world.restart(after)
    world.stage.go("x")
    await world.rest()
    assert world.stage.waiting == ["y"]
    assert (await world.seen(run_id)).data("step_completed", "robot#0")["output"] == 1
    await world.restart(before)
    held = await world.seen(run_id)

    assert (held.status, held.error["type"]) == ("held", "InputDrift")

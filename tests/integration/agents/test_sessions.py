"""Conversations that go on: earlier prompts, one at a time, sums, budgets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from ksl.testing import script
from ksl.views.sessions import session_json

from tests.engine_fixture import World

Json = dict[str, Any]
USE = {"input_tokens": 60, "output_tokens": 40}


def heard(messages: Any) -> str:
    """Every text that the model sees, in order."""
    parts = [part for message in messages for part in message["parts"]]
    return " | ".join(part["content"] for part in parts if isinstance(part.get("content"), str))


def flow(model: str, options: str = "", prompts: str = "") -> str:
    return dedent(f"""
        robot = Agent("robot", model={model!r}, tools=[echo]{options})

        @workflow
        async def w(input: Any) -> Any:
            result = await robot.prompt(input["message"], session=input.get("session"))
            return [result.text, result.session_id]
    """)


async def test_a_session_goes_on_over_runs_and_restarts(disk: World) -> None:
    world = disk
    await world.load(flow(script("memory", [heard])))
    first = (await world.run("w", {"message": "I am Ada."})).output
    await world.restart()

    second = (await world.run("w", {"message": "Who am I?", "session": first[1]})).output

    assert second == ["I am Ada. | I am Ada. | Who am I?", first[1]]
    assert [row.session_id for row in await world.store.sessions.newest()] == [first[1]]


async def test_calls_of_an_earlier_prompt_that_failed_are_answered_for_the_model(world: World) -> None:
    def say(messages: Any) -> Json:
        return {"calls": [{"name": "echo", "args": {"value": "x"}}]}

    await world.load(flow(script("failing", [say]), options=", max_steps=1"))
    failed = await world.run("w", {"message": "Go."})
    assert failed.error["code"] == "KSL805"
    (row,) = await world.store.sessions.newest()
    script("failing", [lambda messages: repr([each["kind"] for each in messages]) + heard(messages)])

    second = (await world.run("w", {"message": "And now?", "session": row.session_id})).output

    assert second[0].startswith("['request', 'response', 'request', 'request']Go. | It was interrupted")


async def test_a_session_goes_on_with_what_retention_left_of_it_and_ends_with_its_last_run(
    disk: World,
) -> None:
    world = disk
    await world.load(flow(script("kept", [heard])))
    _, session = (await world.run("w", {"message": "I am Ada."})).output
    world.clock.pass_ms(60_000)
    await world.run("w", {"message": "I live in Rome.", "session": session})
    await world.store.prune(world.clock.ms - 30_000, limit=10)

    third, same = (await world.run("w", {"message": "Who am I?", "session": session})).output

    assert "I live in Rome." in third
    assert not third.startswith("I am Ada.")
    assert same == session
    world.clock.pass_ms(60_000)
    await world.store.prune(world.clock.ms, limit=10)
    refused = await world.run("w", {"message": "And now?", "session": session})
    assert refused.error["code"] == "KSL810"
    assert "deleted by retention" in refused.error["message"]


async def test_one_prompt_at_a_time(world: World) -> None:
    model = script("busy", [{"calls": [{"name": "slow", "args": {"value": "a"}}]}, heard])
    await world.load(flow(model).replace("tools=[echo]", "tools=[slow]"))
    first = await world.start("w", {"message": "One."})
    await world.rest()
    (row,) = await world.store.sessions.newest()

    second = await world.start("w", {"message": "Two.", "session": row.session_id})
    await world.rest()
    assert (await world.seen(second)).steps("step_retrying") == ["robot#0/session#0"]

    assert (await world.finish(first)).status == "succeeded"
    done = await world.finish(second)
    assert done.output[0].startswith("One.")


async def test_another_agent_s_session_and_an_unknown_one_are_refused(world: World) -> None:
    await world.load(flow(script("nobody", ["hello"])))

    failed = await world.run("w", {"message": "Go.", "session": "ses_no"})

    assert failed.error["code"] == "KSL810"


async def test_a_long_conversation_goes_on_from_a_sum_of_it(world: World) -> None:
    def sum_or_call(messages: Any) -> Any:
        if "about to be replaced by a summary" in heard(messages):
            return "They want x echoed."
        return {"calls": [{"name": "echo", "args": {"value": "x"}}], "usage": {"input_tokens": 2_000}}

    def end(messages: Any) -> Any:
        return sum_or_call(messages) if "about to be" in heard(messages) else heard(messages)

    # The sum replaces what was said, so the turns are counted from the prompt in it.
    await world.load(flow(script("long", [sum_or_call, end, end]), options=", compact_at=1_000"))

    done = await world.run("w", {"message": "Echo x."})

    assert done.steps()[:4] == [
        "robot#0/session#0", "robot#0/turn#0", "robot#0/summary#0", "robot#0/echo#0",
    ]  # fmt: skip
    assert done.output[0].startswith("The conversation so far, summed up:\nThey want x echoed. | Echo x. | x")
    await world.crash_everywhere(done.run_id)


async def test_a_conversation_of_which_there_is_no_sum_goes_on_as_it_is(either: World) -> None:
    world = either

    def silent_or_call(messages: Any) -> Any:
        if "about to be replaced by a summary" in heard(messages):
            return " "
        return {"calls": [{"name": "echo", "args": {"value": "x"}}], "usage": {"input_tokens": 2_000}}

    await world.load(flow(script("silent", [silent_or_call, heard]), options=", compact_at=1_000"))

    text, session = (await world.run("w", {"message": "Echo x."})).output
    more = await world.run("w", {"message": "And?", "session": session})

    assert text == "Echo x. | x"
    assert "Echo x. | x | Echo x. | x | And?" in more.output[0]


BUDGET = [{"calls": [{"name": "echo", "args": {"value": n}}], "usage": USE} for n in range(20)]


async def test_a_budget_ends_the_prompt_before_the_next_turn(world: World) -> None:
    await world.load(flow(script("costly", BUDGET), options=", budget=Budget(tokens=250)"))

    failed = await world.run("w", {"message": "Go."})

    assert failed.error["type"] == "BudgetExceeded"
    assert failed.error["code"] == "KSL808"
    assert failed.steps().count("robot#0/turn#2") == 1
    assert "robot#0/turn#3" not in failed.steps()


async def test_fifty_restarts_do_not_change_what_is_counted(world: World) -> None:
    model = script("costly", [{"calls": [{"name": "slow", "args": {"value": 1}}], "usage": USE}, *BUDGET])
    text = flow(model, options=", budget=Budget(turns=3)").replace("tools=[echo]", "tools=[slow, echo]")
    await world.load(text)
    run_id = await world.start("w", {"message": "Go."})
    await world.rest()
    for _ in range(50):
        await world.restart()

    failed = await world.finish(run_id)

    assert failed.error["code"] == "KSL808"
    turns = [step for step in failed.steps() if "/turn#" in step]
    assert turns == ["robot#0/turn#0", "robot#0/turn#1", "robot#0/turn#2"]


async def test_a_budget_of_a_workflow_counts_all_its_models(world: World) -> None:
    await world.load(
        dedent(f"""
            robot = Agent("robot", model={script("one", [{"text": "ok", "usage": USE}])!r})

            @workflow(budget=Budget(tokens=150))
            async def w(input: None) -> Any:
                await robot.prompt("Go.")
                await prompt_llm("Go.", model={script("two", [{"text": "ok", "usage": USE}])!r})
                try:
                    await prompt_llm("Go.", model="test/echo")
                except StepFailed as failed:
                    return failed.type
        """)
    )

    assert (await world.run()).output == "BudgetExceeded"


async def test_at_its_bound_a_run_is_held_until_a_person_releases_it(world: World) -> None:
    await world.load(
        flow(script("held", [*BUDGET[:3], "done"]), options=', budget=Budget(turns=2, on_exceeded="hold")')
    )
    run_id = await world.start("w", {"message": "Go."})
    held = await world.finish(run_id)
    assert held.status == "held"
    assert "run_held" in held.types
    assert "the budget of the agent" in str(held.data("run_held"))

    await world.runtime.release(run_id, by="ada")
    done = await world.finish(run_id)

    assert done.output[0] == "done"


async def test_a_day_has_a_budget_over_all_runs(world: World) -> None:
    await world.load(
        dedent(f"""
            @workflow
            async def w(input: None) -> Any:
                return await prompt_llm("Go.", model={script("daily", [{"text": "ok", "usage": USE}])!r})
        """),
        settings="[models]\ndaily_tokens = 150\n",
    )
    assert [(await world.run()).status for _ in range(3)] == ["succeeded", "succeeded", "failed"]
    await world.restart()
    assert (await world.run()).status == "failed"

    world.clock.pass_ms(86_400_000)

    assert (await world.run()).status == "succeeded"


@pytest.mark.parametrize("at_the_bound", ["raise", "hold"])
async def test_a_budget_bounds_agents_below_at_each_of_their_turns(world: World, at_the_bound: str) -> None:
    call: Json = {"calls": [{"name": "echo", "args": {"value": "on"}}], "usage": USE}
    above = script("above", [{"calls": [{"name": "below", "args": {"message": "Go."}}]}, "Done."])
    below = script("below", [call, call, call, call, "Well."])
    await world.load(
        dedent(f"""
            bound = Budget(tokens=250, on_exceeded={at_the_bound!r})
            below = Agent("below", model={below!r}, tools=[echo], memory=False)
            above = Agent("above", model={above!r}, tools=[below], memory=False, budget=bound)

            @workflow
            async def w(input: None) -> Any:
                return (await above.prompt("Go.")).text
        """)
    )

    done = await world.run()

    assert done.status == ("failed" if at_the_bound == "raise" else "held")
    assert "the agent of step above#0" in done.error["message"]
    assert [step for step in done.steps() if "turn" in step] == [
        "above#0/turn#0",
        *[f"above#0/below#0/turn#{number}" for number in range(3)],
    ]


async def test_what_a_fork_keeps_is_counted_once(world: World) -> None:
    model = script("forked", [{"text": "ok", "usage": USE}])
    await world.load(
        dedent(f"""
            @workflow
            async def w(input: None) -> Any:
                await prompt_llm("One.", model={model!r})
                return await prompt_llm("Two.", model={model!r})
        """),
        settings="[models]\ndaily_tokens = 350\n",
    )
    first = await world.run()  # 200 tokens

    fork = await world.runtime.fork(first.run_id, at="prompt-llm~2#0")
    forked = await world.finish(fork.run_id)  # 100 more

    assert forked.output == "ok"
    used = [event.meta.model_use for event in forked.events if event.meta is not None]
    assert sum(use is not None for use in used) == 1
    assert (await world.run()).steps() == ["prompt-llm#0"]  # 400; the next one is refused


@pytest.fixture(params=[False, True], ids=["memory", "sqlite"])
async def either(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[World]:
    made = World(tmp_path, sqlite=request.param)
    yield made
    await made.close()


async def test_prompts_of_one_session_that_come_at_once_go_one_after_the_other(either: World) -> None:
    world = either
    model = script("orderly", [lambda m: f"<{heard(m)}>"])
    await world.load(
        dedent(f"""
            robot = Agent("robot", model={model!r}, memory=False)

            @workflow
            async def w(input: None) -> Any:
                first = await robot.prompt("One.")
                more = [robot.prompt(each, session=first.session_id) for each in ("Two.", "Three.", "Four.")]
                return [first.text, *[each.text for each in await asyncio.gather(*more)]]
        """)
    )

    done = await world.run()

    one, *more = done.output
    assert one == "<One.>"
    # Each sees all that was said before it, and nothing of what is under way.
    lengths = sorted(text.count("<") for text in more)
    assert lengths == [2, 4, 8]
    assert len(done.steps("step_retrying")) >= 2


async def test_an_answer_that_never_fits_counts_too(world: World) -> None:
    model = script("misfit", [{"output": "no", "usage": USE}] * 3)
    await world.load(
        dedent(f"""
            @workflow(budget=Budget(tokens=250))
            async def w(input: None) -> Any:
                try:
                    await prompt_llm("Go.", model={model!r}, output=int)
                except StepFailed:
                    pass
                return await prompt_llm("Go.", model="test/echo")
        """)
    )

    assert (await world.run()).error["type"] == "BudgetExceeded"


async def test_turns_that_come_at_once_are_each_counted_once_in_a_day_s_budget(disk: World) -> None:
    model = script("crowd", [{"text": "ok", "usage": USE}])
    await disk.load(
        dedent(f"""
            @workflow
            async def w(input: int) -> Any:
                return await asyncio.gather(*[prompt_llm("Go.", model={model!r}) for _ in range(input)])
        """),
        settings="[models]\ndaily_tokens = 4050\n",
    )
    done = [await disk.run("w", count) for count in (1, 19, 20, 1)]  # 4,100 tokens

    assert [each.status for each in done] == ["succeeded"] * 4
    assert (await disk.run("w", 1)).error["type"] == "BudgetExceeded"


async def test_steps_that_reach_the_bound_at_once_hold_the_run_once_each_time(world: World) -> None:
    model = script("both", [{"text": "ok", "usage": USE}])
    await world.load(
        dedent(f"""
            @workflow(budget=Budget(turns=1, on_exceeded="hold"))
            async def w(input: None) -> Any:
                await prompt_llm("Go.", model={model!r})
                return await asyncio.gather(*[prompt_llm("Go.", model={model!r}) for _ in range(10)])
        """)
    )
    run_id = await world.start()
    releases = 0
    while (seen := await world.finish(run_id)).status == "held":
        await world.runtime.release(run_id, by="ada")
        releases += 1
        assert releases <= 10

    assert seen.output == ["ok"] * 10
    assert seen.types.count("run_held") == releases
    assert seen.steps("step_retrying") == []  # nothing was tried
    assert {event.meta.attempt for event in seen.events if event.type == "step_completed" and event.meta} == {
        1
    }


async def test_at_a_day_s_bound_a_person_lets_one_run_go_on(world: World) -> None:
    model = script("daily", [{"text": "ok", "usage": USE}])
    await world.load(
        dedent(f"""
            @workflow
            async def w(input: int) -> Any:
                return [await prompt_llm("Go.", model={model!r}) for _ in range(input)]
        """),
        settings='[models]\ndaily_tokens = 200\non_exceeded = "hold"\n',
    )
    run_id = await world.start("w", 5)
    assert (await world.finish(run_id)).status == "held"

    await world.runtime.release(run_id, by="ada")  # as much again, for this run
    assert (await world.finish(run_id)).status == "held"
    other = await world.start("w", 1)
    assert (await world.finish(other)).status == "held"
    await world.runtime.release(run_id, by="ada")

    assert (await world.finish(run_id)).output == ["ok"] * 5


async def test_a_release_of_a_run_that_somebody_paused_grants_no_budget(world: World) -> None:
    model = script("paused", [{"text": "ok", "usage": USE}])
    await world.load(
        dedent(f"""
            @workflow(budget=Budget(turns=1))
            async def w(input: None) -> Any:
                await prompt_llm("Go.", model={model!r})
                await slow.run(value="x")
                return await prompt_llm("Go.", model={model!r})
        """)
    )
    run_id = await world.start()
    await world.rest()
    await world.runtime.pause(run_id, by="ada")
    world.stage.go("x")
    await world.rest()

    await world.runtime.release(run_id, by="ada")

    assert (await world.finish(run_id)).error["type"] == "BudgetExceeded"


async def test_a_fork_hears_what_its_origin_heard_and_what_it_says_itself(either: World) -> None:
    world = either
    call = {"calls": [{"name": "echo", "args": {"value": "seen"}}]}
    model = script("twice", [lambda m: call, lambda m: f"({len(m)} heard)"])
    await world.load(
        dedent(f"""
            robot = Agent("robot", model={model!r}, tools=[echo], memory=False)

            @workflow
            async def w(input: None) -> Any:
                first = await robot.prompt("One.")
                second = await robot.prompt("Two.", session=first.session_id)
                return [first.text, second.text, first.session_id]
        """)
    )
    done = await world.run()
    told = [3, 7]  # messages before each answer
    assert done.output[:2] == [f"({count} heard)" for count in told]
    session = done.output[2]

    for at in ("robot#0/turn#1", "robot#0/turn#0", "robot~2#0/turn#1", "robot~2#0/echo#0", "robot~2#0"):
        fork = await world.finish((await world.runtime.fork(done.run_id, at=at)).run_id)
        assert fork.output == done.output, at
    again = await world.runtime.fork(fork.run_id, at="robot~2#0/turn#1")
    assert (await world.finish(again.run_id)).output == done.output

    shown = await session_json(world.store, session)
    of_fork = [each for each in shown["prompts"] if each["run_id"] == again.run_id]
    assert [(each["step"], each["status"]) for each in of_fork] == [("step:robot~2#0", "completed")]


async def test_a_session_goes_on_after_a_fork_as_that_said(either: World) -> None:
    world = either
    model = script("forking", [heard])
    await world.load(
        dedent(f"""
            robot = Agent("robot", model={model!r}, memory=False)

            @workflow
            async def w(input: str) -> Any:
                first = await robot.prompt("One.")
                second = await robot.prompt(input, session=first.session_id)
                third = await robot.prompt("Three.", session=first.session_id)
                return third.text
        """)
    )
    done = await world.run("w", "Two.")
    assert done.output.count("Two.") > 0

    fork = await world.runtime.fork(done.run_id, at="robot~2#0", input=b'"Other."')
    forked = await world.finish(fork.run_id)

    assert forked.output == done.output.replace("Two.", "Other.")

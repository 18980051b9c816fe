from __future__ import annotations

import asyncio

import pytest
from pydantic import BaseModel

from ksl import Context, Retry, StepFailed, action, workflow
from ksl.errors import InvalidInput
from ksl.testing import Completed, Environment, Failed, MemoryEventLog, Suspended, execute


class Signup(BaseModel):
    name: str


class Brief(BaseModel):
    text: str


performed: list[str] = []


@pytest.fixture(autouse=True)
def nothing_performed() -> None:
    performed.clear()


@action
async def research_signup(name: str) -> Brief:
    performed.append(f"research {name}")
    return Brief(text=f"about {name}")


@action(retry=Retry(attempts=3, initial="1m"))
async def post(text: str) -> None:
    performed.append(f"post {text}")


@workflow
async def pipeline(input: Signup, ctx: Context) -> Brief:
    brief = await research_signup.run(name=input.name)
    await ctx.sleep("1d")
    if await ctx.hook(bool, name="approved"):
        await post.run(brief.text)
    return brief


@workflow
async def straight(input: Signup) -> Brief:
    brief = await research_signup.run(name=input.name)
    await post.run(brief.text)
    return brief


async def test_a_pass_that_comes_to_the_end_is_completed() -> None:
    assert await execute(straight, {"name": "Ada"}) == Completed(Brief(text="about Ada"))
    assert performed == ["research Ada", "post about Ada"]


async def test_a_seeded_step_is_not_executed() -> None:
    log = MemoryEventLog()
    log.append("r1", "step_completed", step="step:research-signup#0", data={"text": "seeded"})
    assert await execute(straight, {"name": "Ada"}, run_id="r1", log=log) == Completed(Brief(text="seeded"))
    assert performed == ["post seeded"]


async def test_a_seeded_failure_is_raised_at_its_step() -> None:
    @workflow
    async def catches(input: Signup) -> str:
        try:
            await research_signup.run(name=input.name)
        except StepFailed as failure:
            return f"{failure.type}: {failure.message}"
        return ""

    log = MemoryEventLog()
    log.append(
        "r1", "step_failed", step="research-signup#0", data={"type": "HTTPError", "message": "no such page"}
    )
    assert await execute(catches, {"name": "Ada"}, run_id="r1", log=log) == Completed(
        "HTTPError: no such page"
    )
    assert performed == []


async def test_a_seeded_value_is_validated_as_the_steps_own() -> None:
    log = MemoryEventLog()
    log.append("r1", "step_completed", step="step:research-signup#0", data={"words": 3})
    result = await execute(straight, {"name": "Ada"}, run_id="r1", log=log)
    assert isinstance(result, Failed)
    assert result.error.code == "KSL401"
    assert "no longer fits the annotation" in result.error.message


async def test_a_seeded_input_is_compared_with_what_the_code_asks_with() -> None:
    log = MemoryEventLog()
    log.append("r1", "step_completed", step="research-signup#0", data={"text": "t"}, input={"name": "Bob"})
    # An input of a seed is checked like a recorded one.
    result = await execute(straight, {"name": "Ada"}, run_id="r1", log=log)
    assert isinstance(result, Failed)
    assert result.error.code == "KSL402"
    assert performed == []


async def test_a_pass_ends_at_a_wait_and_a_later_one_goes_on_from_the_log() -> None:
    log = MemoryEventLog()

    async def again() -> Completed[Brief] | Failed | Suspended:
        return await execute(pipeline, {"name": "Ada"}, run_id="r1", log=log)

    result = await again()
    assert isinstance(result, Suspended)
    assert [(item.kind, item.step) for item in result.items] == [("sleep", "sleep#0")]
    assert await again() == result  # a sleep takes no time and does not end by itself

    log.append("r1", "sleep_completed", step="step:sleep#0")
    result = await again()
    assert isinstance(result, Suspended)
    assert [(item.kind, item.step, item.name) for item in result.items] == [("hook", "hook#0", "approved")]

    log.append("r1", "hook_resumed", step="step:hook#0", data=True)
    assert await again() == Completed(Brief(text="about Ada"))
    assert await again() == Completed(Brief(text="about Ada"))
    assert performed == ["research Ada", "post about Ada"]
    assert log.events("r1")[-1].type == "run_completed"
    assert [event.seq for event in log.events("r1")] == list(range(1, len(log.events("r1")) + 1))


async def test_a_pass_goes_through_the_backoffs_of_retries() -> None:
    def setup(env: Environment) -> None:
        env.stub(post, raises=ConnectionError("down"), attempts=2)

    assert isinstance(await execute(straight, {"name": "Ada"}, setup=setup), Completed)

    def broken(env: Environment) -> None:
        env.stub(post, raises=ConnectionError("down"))

    result = await execute(straight, {"name": "Ada"}, setup=broken)
    assert isinstance(result, Failed)
    assert (result.status, str(result.error)) == ("failed", "ConnectionError: down")
    assert result.error["step"] == "post#0"


async def test_steps_in_parallel_are_seeded_by_their_places() -> None:
    async def branch(name: str) -> str:
        return (await research_signup.run(name=name)).text

    @workflow
    async def branches() -> list[str]:
        return list(await asyncio.gather(branch("a"), branch("b")))

    log = MemoryEventLog()
    log.append("r1", "step_completed", step="step:research-signup[1]#0", data={"text": "seeded"})
    assert await execute(branches, run_id="r1", log=log) == Completed(["about a", "seeded"])


async def test_a_bad_input_runs_nothing() -> None:
    with pytest.raises(InvalidInput):
        await execute(straight, {"nome": "Ada"})


def test_a_log_knows_its_event_types_and_which_of_them_name_a_step() -> None:
    log = MemoryEventLog()
    with pytest.raises(ValueError, match="no event type"):
        log.append("r1", "step_done")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="names it"):
        log.append("r1", "step_completed", data=1)
    event = log.append("r1", "step_completed", step="a#0", data=Brief(text="x"))
    assert (event.seq, event.step, event.data) == (1, "step:a#0", {"text": "x"})
    assert log.run_ids == ["r1"]

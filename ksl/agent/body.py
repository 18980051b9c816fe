"""What an agent's step does: turns of the model and calls of tools, until there is an answer."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from ksl.agent.message import (
    OUTPUT_TOOL,
    ToolCall,
    asked_again,
    calls_of,
    request,
    text_of,
    tool_return,
    user,
)
from ksl.agent.output import ASKED_AGAIN_MAX, Misfit, Wanted
from ksl.agent.services import Bound
from ksl.agent.tool_set import ToolError
from ksl.agent.toolbox import Begun, Toolbox
from ksl.agent.turn import OPEN, SUMMARY, TURN, Conversation, OpenedSession, answered, said, use_of
from ksl.define.agent import StoredResult
from ksl.define.seam import Inside, InsideSteps
from ksl.define.thinking import Asked
from ksl.errors import (
    AgentStepsExceeded,
    HookRejected,
    HookTimeout,
    InvalidInput,
    NotEncodable,
    OutputMisfit,
    PayloadTooLarge,
    StepFailed,
    StepInterrupted,
    ToolFailing,
)
from ksl.records.model_use import NO_USE, ModelUse

if TYPE_CHECKING:
    from ksl.define.agent import Agent

Json = dict[str, Any]
TOOL_FAILURES_MAX = 5  # turns in a row in which one tool only failed
# What is wrong with a call before it is one: told to the model.
_MISCALLED = (InvalidInput, NotEncodable, PayloadTooLarge, ValueError)
# What a tool may not settle with the model: somebody else must act.
_LEAVES = (
    "BudgetExceeded",
    "ToolCannotWait",
    "ToolFailing",
    "MissingCredential",
    "UnknownModel",
    "ModelKeyMissing",
)
# A step is not tried again for these, but a model may ask for something else.
_TOLD = ("NotEncodable", "PayloadTooLarge")


def body_of(
    agent: Agent, asked: Asked, output: Any, *, parent: str | None = None, bounds: Sequence[Bound] = ()
) -> Inside:
    """`parent`: the session of the agent that this one works for, with what bounds that one."""

    def body(steps: InsideSteps) -> Coroutine[Any, Any, bytes]:
        return _Prompt(agent, asked, output, steps, parent, bounds).answer()

    return body


class _Prompt:
    def __init__(
        self,
        agent: Agent,
        asked: Asked,
        output: Any,
        steps: InsideSteps,
        parent: str | None,
        bounds: Sequence[Bound],
    ) -> None:
        self._agent = agent
        self._asked = asked
        self._steps = steps
        self._parent = parent
        self._wanted = Wanted(output)
        self._conversation = Conversation(agent, self._wanted, step=steps.step_id, bounds=bounds)
        self._use = NO_USE
        self._failures: Counter[str] = Counter()  # turns in a row, by tool
        self._misfits = 0

    async def answer(self) -> bytes:
        toolbox = await self._open()
        new: list[Json] = [{**user(self._asked.message), "starts_prompt": True}]
        for _ in range(self._agent.max_steps):
            parts = await self._turn(new)
            calls = [call for call in calls_of(parts) if call.name != OUTPUT_TOOL]
            if calls:
                new = await self._call(toolbox, calls)
                new += [
                    tool_return(call, "Call this tool alone, when the others are done.")
                    for call in _answers(parts)
                ]
                continue
            try:
                output = self._wanted.read(parts)
            except Misfit as misfit:
                new = asked_again(parts, self._misfit(misfit))
                continue
            return self._result(parts, output)
        raise AgentStepsExceeded(
            f"agent {self._agent.slug} took {self._agent.max_steps} turns (max_steps) and gave no answer. What its "
            "tools did stays done. Raise max_steps, or make the prompt or the tools lead to an end."
        )

    async def _open(self) -> Toolbox:
        conversation = self._conversation
        given = {
            "agent": self._agent.slug,
            "message": self._asked.message,
            "session": self._asked.session,
            "parent": self._parent,
        }
        stored = await self._steps.action(OPEN.of(conversation), (), given, key="session")
        opened = msgspec.convert(stored, OpenedSession)
        conversation.session_id = opened.session_id
        conversation.compact_at = opened.compact_at
        toolbox = Toolbox(
            self._agent,
            opened.offers,
            session_id=opened.session_id,
            body_of=lambda agent, asked, output: body_of(
                agent, asked, output, parent=opened.session_id, bounds=conversation.bounds
            ),
            spent=lambda result: self._spent(result.usage),
        )
        conversation.tools = toolbox.specs
        added = [offer.instructions for offer in opened.offers.values() if offer.instructions]
        conversation.instructions = "\n\n".join(filter(None, [self._agent.system_prompt, *added]))
        return toolbox

    async def _turn(self, new: list[Json]) -> list[Json]:
        conversation = self._conversation
        conversation.messages.append(request(new))
        output = await self._steps.action(TURN.of(conversation), (), {"new": new}, key="turn")
        conversation.messages.append(answered(output))
        use = use_of(output)
        self._spent(use)
        if conversation.compact_at is not None and use.tokens >= conversation.compact_at:
            await self._sum_up(output["parts"])
        return output["parts"]

    async def _sum_up(self, parts: list[Json]) -> None:
        """The conversation goes on from a sum of it and the newest answer, whose calls are yet to be made."""
        conversation = self._conversation
        newest = conversation.messages.pop()
        if not calls_of(parts):
            conversation.messages.append(newest)
            return  # it is over, or only to be asked again
        output = await self._steps.action(SUMMARY.of(conversation), (), {}, key="summary")
        self._spent(use_of(output))
        if summary := said(output):
            conversation.sum_up(summary, [user(self._asked.message)])
        conversation.messages.append(newest)

    async def _call(self, toolbox: Toolbox, calls: Sequence[ToolCall]) -> list[Json]:
        """All calls of a turn at once. Ids are taken here, in the order in which the model made them."""
        begun: list[Begun | str] = []
        for call in calls:
            try:
                begun.append(toolbox.begin(self._steps, call))
            except _MISCALLED as error:
                begun.append(str(error))
        ends = await asyncio.gather(
            *(each.wait() for each in begun if isinstance(each, Begun)), return_exceptions=True
        )
        outcomes = iter(ends)
        new: list[Json] = []
        worked: set[str] = set()
        failed: dict[str, str] = {}
        for call, each in zip(calls, begun, strict=True):
            outcome = next(outcomes) if isinstance(each, Begun) else ToolError(each)
            if isinstance(outcome, BaseException):
                failed[call.name] = why = _why(outcome)
                new.append(tool_return(call, f"Error: {why}"))
            else:
                worked.add(call.name)
                new.append(tool_return(call, outcome))
        self._count(worked, failed)
        return new

    def _count(self, worked: set[str], failed: dict[str, str]) -> None:
        """By turns: of many calls at once the model hears when all have failed."""
        for name in worked:
            self._failures[name] = 0
        for name, why in failed.items():
            if name in worked:
                continue
            self._failures[name] += 1
            if self._failures[name] >= TOOL_FAILURES_MAX:
                raise ToolFailing(
                    f"the tool {name} did nothing but fail in {TOOL_FAILURES_MAX} turns in a row in one prompt of "
                    f"agent {self._agent.slug}; the last time: {why}"
                )

    def _misfit(self, misfit: Misfit) -> str:
        """What the model is told of it."""
        self._misfits += 1
        if self._misfits > ASKED_AGAIN_MAX:
            raise OutputMisfit(
                f"agent {self._agent.slug} was asked {self._misfits} times, and its answer does not fit the output's "
                f"schema: {misfit}. Make the schema plainer or the prompt clearer, or choose another model."
            )
        return f"That does not fit: {misfit}. Answer again."

    def _spent(self, use: ModelUse) -> None:
        self._use = self._use.plus(use)

    def _result(self, parts: list[Json], output: bytes) -> bytes:
        text = text_of(parts) or ("" if output == b"null" else output.decode())
        return msgspec.json.encode(
            StoredResult(text, msgspec.Raw(output), self._conversation.session_id, self._use)
        )


def _answers(parts: Sequence[Json]) -> list[ToolCall]:
    return [call for call in calls_of(parts) if call.name == OUTPUT_TOOL]


def _why(outcome: BaseException) -> str:
    """What the model is told of a call that failed. Raises what it is not for the model to deal with."""
    match outcome:
        case StepInterrupted():
            raise outcome
        case StepFailed():
            if outcome.type in _LEAVES or (getattr(outcome, "fatal", False) and outcome.type not in _TOLD):
                raise outcome
            return outcome.message if outcome.type == "ToolError" else f"{outcome.type}: {outcome.message}"
        case ToolError() | HookTimeout() | HookRejected():
            return str(outcome)
        case _:
            raise outcome

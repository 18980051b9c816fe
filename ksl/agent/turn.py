"""The steps of an agent: opening its session, turns of the model, sums of what was said.

Each is an action that has its conversation at hand. What is recorded of it is the news alone: a turn's input holds what
the model is told since its last turn, its output what the model says.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

import msgspec

from ksl.agent.around import services_of
from ksl.agent.message import request, response, text_of, user
from ksl.agent.model import Question
from ksl.agent.services import Bound
from ksl.agent.telling import told_by
from ksl.agent.tool_context import tool_context
from ksl.agent.tool_set import Offer, ToolContext, ToolSet, ToolSpec
from ksl.define.action import Action, ActionContext
from ksl.define.retry import Retry
from ksl.errors import ModelUnavailable, SessionBusy
from ksl.records.model_use import ModelUse

if TYPE_CHECKING:
    from ksl.agent.output import Wanted
    from ksl.agent.services import Services
    from ksl.define.agent import Agent

Json = dict[str, Any]
# A prompt of a session that is busy waits its turn: about an hour.
_IN_LINE = Retry(attempts=400, initial="100ms", factor=2.0, maximum="10s", on=(SessionBusy,))
PAUSES_S = (0.25, 0.5, 1.0, 2.0, 4.0)  # between attempts at a set of tools that cannot be reached
MODEL_RETRY = Retry(attempts=6, initial="1s", factor=2.0, maximum="1m", on=(ModelUnavailable,))


class OpenedSession(msgspec.Struct):
    """What the step `session` records."""

    session_id: str
    prompt: int
    offers: dict[str, Offer] = {}  # of tool sets, by name
    compact_at: int | None = None  # the agent's: from it follows where sums stand in the history


class Conversation:
    """One prompt of an agent, as far as it has come. Rebuilt from the recorded steps on every replay."""

    def __init__(self, agent: Agent, wanted: Wanted, *, step: str, bounds: Sequence[Bound] = ()) -> None:
        """`bounds`: of the agents that this one works for."""
        self.agent = agent
        self.wanted = wanted
        self.step = step  # the agent's, which the others lie below
        self.bounds = [*([] if agent.budget is None else [Bound(agent.budget, step)]), *bounds]
        self.session_id = ""
        self.compact_at: int | None = None
        self.tools: list[ToolSpec] = []
        self.instructions = agent.system_prompt
        self.messages: list[Json] = []
        self.is_summed_up = False  # what came before this prompt is in the sum
        self._earlier: list[Json] | None = None

    async def whole(self, services: Services, context: ActionContext) -> list[Json]:
        if self.is_summed_up or not context.run_id:
            return self.messages
        if self._earlier is None:
            self._earlier = await services.earlier(self.session_id, run_id=context.run_id, step=self.step)
        return [*self._earlier, *self.messages]

    def sum_up(self, summary: str, newest: list[Json]) -> None:
        self.is_summed_up = True
        self.messages = [request([user(summary_text(summary)), *newest])]


class AgentAction(Action[..., Any]):
    """An action for one conversation."""

    conversation: Conversation

    def of(self, conversation: Conversation) -> Self:
        action = copy.copy(self)
        action.conversation = conversation
        return action


class _Open(AgentAction):
    def call(self, data: bytes, context: ActionContext) -> Any:
        _, values = self.arguments.decode(data)
        return self._open(context, values)

    async def _open(self, context: ActionContext, values: Json) -> Json:
        services = await services_of(context)
        agent = self.conversation.agent
        opened = await services.open_session(
            session_id=values["session"],
            agent=agent.slug,
            run_id=context.run_id,
            step=self.conversation.step,
            parent=values["parent"],
        )
        offers: dict[str, Offer] = {}
        for tool_set in services.tool_sets(agent):
            place = tool_context(services, agent.slug, opened.session_id, context)
            offers[tool_set.name] = await _offer(tool_set, place)
        found = OpenedSession(opened.session_id, opened.prompt, offers, agent.compact_at)
        return cast("Json", msgspec.to_builtins(found))


async def _offer(tool_set: ToolSet, place: ToolContext) -> Offer:
    """A server that is just being started again is waited for: here and not by the step's policy, which waits an hour
    for a session."""
    for pause_s in PAUSES_S:
        try:
            return await tool_set.offer(place)
        except ConnectionError as error:
            said = f"{error}; asked again in {pause_s:g} s"
            place.log.warning(said)
            await asyncio.sleep(pause_s)
    return await tool_set.offer(place)


class _Turn(AgentAction):
    is_told: ClassVar[bool] = True  # to those who watch

    def call(self, data: bytes, context: ActionContext) -> Any:
        return self._turn(context)

    async def _turn(self, context: ActionContext) -> Json:
        services = await services_of(context)
        conversation = self.conversation
        agent = conversation.agent
        if context.run_id:
            await services.check_budgets(conversation.bounds, run_id=context.run_id, step=context.step_id)
        model = await services.model(agent.model, context)
        messages = await conversation.whole(services, context)
        streams = agent.stream and self.is_told
        with told_by(services, context, session_id=conversation.session_id, streams=streams) as told:
            reply = await model.turn(self._question(messages, told))
        context._use = reply.use  # pyright: ignore[reportPrivateUsage]
        return {"parts": reply.parts, "use": msgspec.to_builtins(reply.use)}

    def _question(self, messages: list[Json], told: Callable[[str], None] | None) -> Question:
        conversation = self.conversation
        return Question(
            messages,
            conversation.instructions,
            conversation.tools,
            conversation.wanted.schema,
            conversation.wanted.wrapped,
            told,
        )


class _Summary(_Turn):
    is_told = False  # it is no part of the conversation

    def _question(self, messages: list[Json], told: Callable[[str], None] | None) -> Question:
        return Question([*messages, request([user(_SUM_UP)])], self.conversation.instructions)


_SUM_UP = (
    "This conversation is about to be replaced by a summary. Write it now, for yourself: what was asked, what was "
    "found and done, with every id, name, number and decision that may be needed, and what is to do. Call no tool."
)


def summary_text(summary: str) -> str:
    return f"The conversation so far, summed up:\n{summary}"


async def session(
    agent: str, message: str, session: str | None, parent: str | None, ctx: ActionContext
) -> dict[str, Any]:
    """Opens a prompt in a session."""
    raise NotImplementedError


async def turn(new: list[Any], ctx: ActionContext) -> dict[str, Any]:
    """Asks the model of an agent."""
    raise NotImplementedError


async def summary(ctx: ActionContext) -> dict[str, Any]:
    """Has the model of an agent sum up the conversation."""
    raise NotImplementedError


OPEN = _Open(session, slug="agent-session", retry=_IN_LINE)
TURN = _Turn(turn, slug="agent-turn", retry=MODEL_RETRY)
SUMMARY = _Summary(summary, slug="agent-summary", retry=MODEL_RETRY)


def use_of(output: Json) -> ModelUse:
    return msgspec.convert(output["use"], ModelUse)


def said(output: Json) -> str:
    """Empty where a model said nothing that can be read: then there is no summary to go on from."""
    return text_of(output["parts"]).strip()


def answered(output: Json) -> Json:
    return response(output["parts"])

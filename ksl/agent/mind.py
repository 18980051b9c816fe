"""The room as `ksl.define` sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ksl.agent.at_once import StepsAtOnce
from ksl.agent.body import body_of
from ksl.agent.llm import llm_action
from ksl.define.seam import Inside
from ksl.define.thinking import Asked

if TYPE_CHECKING:
    from ksl.define.action import Action
    from ksl.define.agent import Agent


class AgentMind:
    """`define.thinking.Mind`."""

    def body(self, agent: Agent, asked: Asked, output: Any) -> Inside:
        return body_of(agent, asked, output)

    async def at_once(self, agent: Agent, asked: Asked, output: Any) -> bytes:
        return await body_of(agent, asked, output)(StepsAtOnce(agent.slug))

    def llm(self, output: Any) -> Action[..., Any]:
        return llm_action(output)

"""What a tool set is told of an attempt: who asks, where, and the secrets it may have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ksl.agent.tool_set import ToolContext

if TYPE_CHECKING:
    from ksl.agent.services import Services
    from ksl.define.action import ActionContext
    from ksl.define.credential import Credential, Credentials


def tool_context(services: Services, agent: str, session_id: str, context: ActionContext) -> ToolContext:
    return ToolContext(
        agent=agent,
        session_id=session_id,
        run_id=context.run_id,
        step_id=context.step_id,
        idempotency_key=context.idempotency_key,
        folder=services.folder,
        workspaces_root=services.workspaces_root,
        secrets=_SecretsOfAttempt(services, context),
        log=context.log,
    )


class _SecretsOfAttempt:
    """`agent.tool_set.Secrets`."""

    def __init__(self, services: Services, context: ActionContext) -> None:
        self._services = services
        self._context = context

    async def credentials(self, wanted: Sequence[Credential[Any]]) -> Credentials:
        return await self._services.credentials(wanted, self._context)

    def learn(self, name: str, secret: str) -> None:
        self._services.learn(name, secret)

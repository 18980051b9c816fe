"""What turns and tools need of the server around them."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

if TYPE_CHECKING:
    from ksl.agent.model import Model
    from ksl.agent.telling import Telling
    from ksl.agent.tool_set import ToolSet
    from ksl.define.action import ActionContext
    from ksl.define.agent import Agent
    from ksl.define.budget import Budget
    from ksl.define.credential import Credential, Credentials

Json = dict[str, Any]


class Bound(msgspec.Struct, frozen=True):
    """A budget, and the agent's step whose turns it bounds, with those of agents below."""

    budget: Budget
    step: str


class Opened(msgspec.Struct, frozen=True):
    """A session with one more prompt in it."""

    session_id: str
    prompt: int  # its number in the session, from 1


class Services(Protocol):
    folder: Path  # of the project
    workspaces_root: Path

    async def model(self, asked: str | None, context: ActionContext) -> Model:
        """With its key as it is for this attempt. Errors: UnknownModel, ModelKeyMissing, ExtraMissing."""
        ...

    def tool_sets(self, agent: Agent) -> list[ToolSet]: ...

    async def open_session(
        self, *, session_id: str | None, agent: str, run_id: str, step: str, parent: str | None
    ) -> Opened:
        """Adds the prompt of a step to a session, or to a new one. For the same step it is always the same.

        Errors: UnknownSession, SessionBusy.
        """
        ...

    async def earlier(self, session_id: str, *, run_id: str, step: str) -> list[Json]:
        """The messages of the session's prompts before that of the step, from the newest summary on."""
        ...

    async def check_budgets(self, bounds: Sequence[Bound], *, run_id: str, step: str) -> None:
        """Whether one more turn may be made. `bounds`: of the agent that asks, and of those above it.

        Errors: BudgetExceeded; Withdrawn where the run was held.
        """
        ...

    def telling(
        self, run_id: str, step: str, session_id: str | None, attempt: int
    ) -> AbstractContextManager[Telling]:
        """Takes what the model says in an attempt at a turn, for as long as that is under way."""
        ...

    async def credentials(self, wanted: Sequence[Credential[Any]], context: ActionContext) -> Credentials:
        """For an attempt at a step: the subscriber's own, else the project's, else the organization's. The use is
        recorded with the attempt. Errors: MissingCredential, and those of the vault."""
        ...

    def learn(self, name: str, secret: str) -> None:
        """The text is masked from here on, as a secret of `name`."""
        ...

    def run_workflow(self, slug: str, input: bytes, context: ActionContext) -> Awaitable[Any]:
        """A run of its own, found again by the step's idempotency key, and its output.

        Errors: ToolCannotWait, ToolError.
        """
        ...

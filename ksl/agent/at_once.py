"""A prompt outside any run: the same body, with steps that are carried out at once and recorded nowhere."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING, Any

from ksl.define.duration import parse_duration
from ksl.define.seam import HookHandle, HookSpec, Inside
from ksl.errors import FatalError, OutsideRun, RetryLater, StepFailed

if TYPE_CHECKING:
    from ksl.define.action import Action
    from ksl.records.credential import Scope

_LATER_ATTEMPTS = 10  # where the policy allows one attempt only, as in a run


class StepsAtOnce:
    """`define.seam.InsideSteps`."""

    run_id = ""

    def __init__(self, step_id: str) -> None:
        self.step_id = step_id
        self.random: Random = random.Random()

    def action(
        self,
        action: Action[Any, Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        key: str,
        scope: Scope | None = None,
    ) -> Awaitable[Any]:
        data = action.arguments.encode(args, kwargs)
        return self._attempts(action, data, key, scope)

    def inside(
        self, slug: str, input: bytes, decode: Callable[[bytes], Any], body: Inside, *, key: str
    ) -> Awaitable[Any]:
        async def carried_out() -> Any:
            return decode(await body(StepsAtOnce(key)))

        return carried_out()

    def hook(self, spec: HookSpec, *, key: str) -> HookHandle:
        raise OutsideRun(
            f"{spec.name}: a tool that requires approval was called outside a run, where nobody can be waited for. "
            "Prompt the agent from a workflow."
        )

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def _attempts(self, action: Action[Any, Any], data: bytes, key: str, scope: Scope | None) -> Any:
        """As a run would, but that the waits are in memory."""
        policy = action.retry
        made = 0
        while True:
            made += 1
            try:
                return await action.execute(data, scope)
            except Exception as error:
                later = isinstance(error, RetryLater)
                final = isinstance(error, FatalError)
                allowed = _LATER_ATTEMPTS if later and policy.attempts == 1 else policy.attempts
                if final or made >= allowed or not (later or isinstance(error, policy.on)):
                    failed = StepFailed(str(error), type=type(error).__name__, step_id=key, attempts=made)
                    failed.fatal = final  # type: ignore[attr-defined]
                    raise failed from error
                await asyncio.sleep(
                    parse_duration(error.after) if later else policy.delay_s(made, self.random)
                )

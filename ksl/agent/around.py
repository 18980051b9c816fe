"""The services of the server around an action, or those that do where there is none."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from ksl.agent.services import Services
    from ksl.define.action import ActionContext

# Puts together what a script is served with: `ksl.runtime` does.
_outside: list[Callable[[], Services]] = []


def put_outside(make: Callable[[], Services]) -> None:
    _outside[:] = [make]


async def services_of(context: ActionContext) -> Services:
    given = context._services  # pyright: ignore[reportPrivateUsage]
    return cast("Services", given) if given is not None else _outside[0]()

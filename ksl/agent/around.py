"""The services of the server around an action, or those that do where there is none."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from ksl.agent.services import Services
    from ksl.define.action import ActionContext

# Puts together what a script is served with: `ksl.runtime` does.
_script: list[Callable[[], Services]] = []
_servers: list[Services] = []


def put_outside(make: Callable[[], Services]) -> None:
    _script[:] = [make]


def serve_outside(services: Services) -> Callable[[], None]:
    """What is asked outside any run in the process of a server, by an action say, goes by the server's settings. The
    newest one is asked. Returns what takes it away again."""
    _servers.append(services)
    return lambda: _servers.remove(services)


async def services_of(context: ActionContext) -> Services:
    given = context._services  # pyright: ignore[reportPrivateUsage]
    if given is not None:
        return cast("Services", given)
    return _servers[-1] if _servers else _script[0]()

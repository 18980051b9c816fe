"""The credentials of a project: those that its modules name, and those that its actions, triggers and agents use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import ModuleType
from typing import Any, cast

from ksl.define.credential import Credential


def credentials_of(
    modules: Iterable[ModuleType],
    *,
    actions: Mapping[str, Any],
    sources: Mapping[str, Any],
    agents: Mapping[str, Any],
) -> Iterator[Credential[Any]]:
    """Each object once. An action that comes with a package brings its credentials along."""
    seen: set[int] = set()
    for value in _candidates(modules, actions, sources, agents):
        if isinstance(value, Credential) and id(cast("object", value)) not in seen:
            seen.add(id(cast("object", value)))
            yield cast("Credential[Any]", value)


def _candidates(
    modules: Iterable[ModuleType],
    actions: Mapping[str, Any],
    sources: Mapping[str, Any],
    agents: Mapping[str, Any],
) -> Iterator[object]:
    for module in modules:
        yield from list(vars(module).values())
    for action in actions.values():
        yield from action.credentials
    for source in sources.values():
        yield from getattr(getattr(source, "verify", None), "credentials", ())
    for agent in agents.values():
        for tool in getattr(agent, "tools", ()):
            yield from getattr(tool, "credentials", ())

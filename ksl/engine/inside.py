"""Steps whose body is ksl's own: an agent's turns and tool calls, recorded below the agent's step like any others.

There is no source that could give such a step its place, so the body names it: the key, and how often it was used below
this step. That is the same on every replay if the body decides by nothing but what its steps gave it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime
from random import Random
from types import CodeType
from typing import TYPE_CHECKING, Any

from ksl.engine.call import Call
from ksl.engine.ids import Scope
from ksl.engine.loop import RunLoop, RunTask

if TYPE_CHECKING:
    from ksl.define.action import Action
    from ksl.define.seam import HookSpec, Inside
    from ksl.engine.body import Body, HookOfRun
    from ksl.records import Scope as CredentialScope


class InsideCall(Call):
    """An agent's step: to the engine what a sub-workflow's is."""

    __slots__ = ()
    what = "agent"


class _NoSites:
    """The table of a scope in which nothing is called from source."""

    file = "ksl's own code"

    def __init__(self) -> None:
        self.cache: dict[int, dict[int, Any]] = {}

    def find(self, code: CodeType, lasti: int) -> None:
        return None


class _Named:
    """Stands for a workflow where only its name is asked for."""

    def __init__(self, slug: str) -> None:
        self.slug = slug
        self.function = None


class InsideSteps:
    """`define.seam.InsideSteps`."""

    __slots__ = ("_body", "_call", "_loop", "_scope", "run_id", "step_id")

    def __init__(self, body: Body, loop: RunLoop, call: Call, scope: Scope) -> None:
        self._body = body
        self._loop = loop
        self._call = call  # the author's: what is named in messages is their line
        self._scope = scope
        self.run_id = body.run_id
        self.step_id = call.id

    def action(
        self,
        action: Action[Any, Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        key: str,
        scope: CredentialScope | None = None,
    ) -> Awaitable[Any]:
        call = self._call
        if self._body.halted:
            return self._body.stand_still()
        return self._body.action_step(self._id(key), action, args, kwargs, call.code, call.lasti, scope)

    def inside(
        self, slug: str, input: bytes, decode: Callable[[bytes], Any], body: Inside, *, key: str
    ) -> Awaitable[Any]:
        call = self._call
        if self._body.halted:
            return self._body.stand_still()
        return self._body.inside_step(self._id(key), slug, input, decode, body, call.code, call.lasti)

    def hook(self, spec: HookSpec, *, key: str) -> HookOfRun:
        self._body.raise_if_tool(f"requires_approval(...), for {spec.name}")
        return self._body.hook_step(self._id(key), spec)

    def now(self) -> datetime:
        return self._body.now()

    @property
    def random(self) -> Random:
        return self._body.random

    def _id(self, key: str) -> str:
        task = asyncio.current_task(self._loop)  # pyright: ignore[reportArgumentType]
        return self._scope.next_id(key, task.place if isinstance(task, RunTask) else "")


def inside_scope(slug: str, *, prefix: str) -> Scope:
    return Scope(_Named(slug), _NoSites(), prefix=prefix)  # pyright: ignore[reportArgumentType]


def start_inside(
    body: Body, loop: RunLoop, call: Call, make: Inside, ended: Callable[[Call, RunTask], None]
) -> RunTask:
    scope = inside_scope(call.callee, prefix=f"{call.id}/")
    coro: Coroutine[Any, Any, bytes] = make(InsideSteps(body, loop, call, scope))
    task = loop.spawn(coro, scope=scope, place="")
    task.add_done_callback(lambda done: ended(call, done))  # pyright: ignore[reportArgumentType]
    return task

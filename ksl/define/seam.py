"""The seam between what an author writes and what runs it.

Author-facing objects (`Action.run`, `Context.sleep` ...) see a run only through `RunSeam`; an engine puts one
in `here.run` while the body's loop is drained. Below it stands a second seam,
`engine.durable.Durable`: what must survive a crash. Ids, schemas, retries and replay checks are ksl's own and
stay between the two.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar
from datetime import datetime
from random import Random
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

if TYPE_CHECKING:
    from ksl.define.action import Action
    from ksl.define.credential import CredentialSource
    from ksl.define.workflow import Workflow
    from ksl.records import Scope

__all__ = [
    "HookHandle",
    "HookSpec",
    "Inside",
    "InsideSteps",
    "RunSeam",
    "current_run",
    "frame_at",
    "here",
    "in_action",
    "outside",
]

# `frame_at(1)` is the caller's frame. Nothing public gives a frame so fast.
frame_at: Callable[[int], FrameType] = sys._getframe  # pyright: ignore[reportPrivateUsage]

# Set while an action executes, on the loop or in a thread: actions are leaves.
in_action: ContextVar[str | None] = ContextVar("ksl_in_action", default=None)


class RunSeam(Protocol):
    """One run, as its body sees it. `frame` is the author's frame: its position names the call site."""

    run_id: str

    def action(
        self,
        action: Action[Any, Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        frame: FrameType,
        scope: Scope | None,
    ) -> Awaitable[Any]: ...

    def workflow(self, workflow: Workflow[Any, Any], value: Any, frame: FrameType) -> Awaitable[Any]: ...

    def inside(
        self, slug: str, input: bytes, decode: Callable[[bytes], Any], body: Inside, frame: FrameType
    ) -> Awaitable[Any]:
        """A step with a body of ksl's own, whose steps are recorded below it. It ends with its encoded output,
        which `decode` reads for the author."""
        ...

    def sleep(self, wanted: Any, frame: FrameType) -> Awaitable[None]: ...

    def hook(self, spec: HookSpec, frame: FrameType) -> HookHandle: ...

    def now(self) -> datetime: ...

    @property
    def random(self) -> Random: ...

    @property
    def attempt(self) -> int: ...


class InsideSteps(Protocol):
    """What such a body asks for. `key` is the step's name below `step_id`; used again, it is counted on."""

    run_id: str
    step_id: str

    def action(
        self,
        action: Action[Any, Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        key: str,
        scope: Scope | None = None,
    ) -> Awaitable[Any]: ...

    def inside(
        self, slug: str, input: bytes, decode: Callable[[bytes], Any], body: Inside, *, key: str
    ) -> Awaitable[Any]: ...

    def hook(self, spec: HookSpec, *, key: str) -> HookHandle: ...

    def now(self) -> datetime: ...

    @property
    def random(self) -> Random: ...


Inside = Callable[[InsideSteps], Coroutine[Any, Any, bytes]]


class HookSpec(msgspec.Struct, frozen=True):
    schema: Any
    timeout_s: float | None
    name: str | None
    title: str | None
    details: Any
    get: str


class HookHandle(Protocol):
    token: str
    url: str

    def wait(self) -> Awaitable[Any]: ...


class _Outside:
    """Who gives an action that runs outside any run its credentials: in a server its vault, in a script the vault
    of the project around the current folder."""

    def __init__(self) -> None:
        self._sources: list[Callable[[], AbstractAsyncContextManager[CredentialSource]]] = []

    def source(self) -> AbstractAsyncContextManager[CredentialSource]:
        return self._sources[-1]()

    def put(self, source: Callable[[], AbstractAsyncContextManager[CredentialSource]]) -> Callable[[], None]:
        """The newest one is asked. Returns what takes it away again."""
        self._sources.append(source)
        return lambda: self._sources.remove(source)


outside = _Outside()


class _Here(threading.local):
    """What this thread is in the middle of. Asking asyncio for the running loop costs a system call."""

    run: RunSeam | None = None


here = _Here()


def current_run() -> RunSeam | None:
    """The run whose body is executing right now, or None (an action, a test, a script)."""
    return here.run

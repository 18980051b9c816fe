"""What a workflow body may ask of its run."""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, cast, overload
from uuid import UUID

from ksl.define.duration import parse_duration
from ksl.define.seam import HookHandle, HookSpec, RunSeam, frame_at
from ksl.errors import MalformedDefinition

if TYPE_CHECKING:
    from ksl.records import Trigger

T = TypeVar("T")


class Hook(Generic[T]):
    """A named point where a run waits for a person or a program. Made at the call of `ctx.hook`: a payload
    that arrives before the `await` is kept. `await hook` gives the payload, or raises HookTimeout or
    HookRejected."""

    __slots__ = ("_handle",)

    def __init__(self, handle: HookHandle) -> None:
        self._handle = handle

    @property
    def token(self) -> str:
        return self._handle.token

    @property
    def resume_url(self) -> str:
        return self._handle.url

    def __await__(self) -> Generator[Any, Any, T]:
        return self._handle.wait().__await__()


class Context:
    """The second parameter of a workflow. Everything here is the same on every replay."""

    def __init__(
        self,
        run: RunSeam,
        *,
        workflow: str,
        trigger: Trigger,
        triggered_at: datetime,
        subscriber: str | None,
        log: Any,
        workspaces_root: Path,
    ) -> None:
        self._run = run
        self.run_id = run.run_id
        self.workflow = workflow
        self.trigger: Trigger = trigger
        self.triggered_at = triggered_at
        self.subscriber = subscriber
        self.log = log  # silent during replay
        self.workspaces_root = workspaces_root

    @property
    def attempt(self) -> int:
        """Counts run-level retries, from 1. A body that asks may do other things in a later attempt."""
        return self._run.attempt

    def sleep(self, until: str | float | timedelta | datetime, /) -> Coroutine[Any, Any, None]:
        """Waits for a duration ("1h30m", seconds, a timedelta) or until an aware datetime. Never early."""
        if isinstance(until, datetime):
            if until.tzinfo is None:
                raise ValueError(
                    f"ctx.sleep({until!r}): the datetime has no time zone; nobody can say when that is"
                )
            wanted: Any = until
        else:
            wanted = parse_duration(until)
        return cast("Coroutine[Any, Any, None]", self._run.sleep(wanted, frame_at(1)))

    @overload
    def hook(
        self,
        schema: None = None,
        *,
        timeout: str | float | timedelta | None = None,
        name: str | None = None,
        title: str | None = None,
        details: Any = None,
        get: Literal["auto", "resume", "confirm"] = "auto",
    ) -> Hook[Any]: ...
    @overload
    def hook(
        self,
        schema: type[T],
        *,
        timeout: str | float | timedelta | None = None,
        name: str | None = None,
        title: str | None = None,
        details: Any = None,
        get: Literal["auto", "resume", "confirm"] = "auto",
    ) -> Hook[T]: ...
    def hook(
        self,
        schema: Any = None,
        *,
        timeout: str | float | timedelta | None = None,
        name: str | None = None,
        title: str | None = None,
        details: Any = None,
        get: Literal["auto", "resume", "confirm"] = "auto",
    ) -> Hook[Any]:
        """A hook with its token and URL. `timeout` counts from this call. `details` is JSON shown to whoever
        answers; `get` says what opening the link does."""
        if get not in ("auto", "resume", "confirm"):
            raise MalformedDefinition(f'ctx.hook(get={get!r}): it is "auto", "resume" or "confirm"')
        spec = HookSpec(
            schema=schema,
            timeout_s=None if timeout is None else parse_duration(timeout),
            name=name,
            title=title,
            details=details,
            get=get,
        )
        return Hook(self._run.hook(spec, frame_at(1)))

    def now(self) -> datetime:
        """The time of the newest event delivered to the run, aware, UTC."""
        return self._run.now()

    def random(self) -> Random:
        """A generator seeded by the run."""
        return self._run.random

    def uuid(self) -> UUID:
        return UUID(int=self._run.random.getrandbits(128), version=4)

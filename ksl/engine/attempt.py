"""One try at a step of a run, and how it ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from ksl.define.action import Action, ActionContext
from ksl.define.credential import NO_CREDENTIALS, Credentials
from ksl.errors import RetryLater
from ksl.records import CredentialUse, Scope
from ksl.records.model_use import ModelUse


class Withdrawn(RetryLater):
    """The attempt did nothing, since it found its run to be held: it counts as if it had not been made."""


class Result(msgspec.Struct):
    """How an attempt ended. `value` is what `data` decodes to: what the body gets."""

    data: bytes | None = None
    value: Any = None
    error: BaseException | None = None
    type: str | None = None  # the failure's name where it is not the exception's class
    started_at_ms: int = 0
    finished_at_ms: int = 0
    uses: tuple[CredentialUse, ...] = ()  # of credentials, by the attempt
    model_use: ModelUse | None = None


class Attempt(msgspec.Struct, eq=False):
    run_id: str
    step: str
    action: Action[Any, Any]
    input: bytes
    number: int  # from 1
    done: Callable[[Result], None]
    scope: Scope | None = None  # where its credentials are looked up, if pinned
    subscriber: str | None = None  # of the run
    credentials: Credentials = NO_CREDENTIALS
    uses: tuple[CredentialUse, ...] = ()
    started_at_ms: int = 0
    cancelled: bool = False
    began: bool = False
    context: ActionContext | None = None
    task: asyncio.Future[Any] | None = None
    thread: asyncio.Future[Result] | None = None  # of a plain function


class Cancellable(Protocol):
    def cancel(self) -> None: ...


# (seconds, callback): as the method of an event loop.
CallLater = Callable[[float, Callable[[], object]], Cancellable]

"""What actions were called with, and what stands in for them."""

from __future__ import annotations

import copy
import inspect
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast, overload

from ksl.define.action import Action, ActionContext
from ksl.engine.attempt import Attempt, Result
from ksl.testing.shown import Failure


@dataclass
class ActionCall:
    """One attempt at a step."""

    run_id: str
    step: str  # the bare id
    attempt: int  # from 1
    action: str  # slug
    input: dict[str, Any]  # JSON, by parameter
    stubbed: bool
    seq: int = 0  # of the run's newest event when the attempt began
    output: Any = None  # JSON
    error: Failure | None = None
    _attempt: Attempt | None = field(default=None, repr=False, compare=False)
    _action: Action[..., Any] | None = field(default=None, repr=False, compare=False)
    _ended: Literal["completed", "failed"] | None = None

    @property
    def status(self) -> Literal["under way", "completed", "failed", "cancelled"]:
        """ "cancelled": nobody wanted its outcome any more, so none was recorded."""
        if self._ended is not None:
            return self._ended
        return "cancelled" if self._attempt is not None and self._attempt.cancelled else "under way"

    def end(
        self, how: Literal["completed", "failed"], *, output: Any = None, error: Failure | None = None
    ) -> None:
        self._ended, self.output, self.error = how, output, error

    @property
    def arguments(self) -> dict[str, Any]:
        """The input as the function got it: validated values, by parameter."""
        assert self._action is not None
        positional, values = self._action.arguments.decode(json.dumps(self.input).encode())
        names = [parameter.name for parameter in self._action.arguments.fields]
        return dict(zip(names, positional, strict=False)) | values


class Calls(Sequence[ActionCall]):
    """All calls in the order in which they began; `calls(action)` gives those of one action."""

    def __init__(self) -> None:
        self._calls: list[ActionCall] = []

    def __call__(self, action: Action[..., Any] | str) -> list[ActionCall]:
        slug = slug_of(action)
        return [call for call in self._calls if call.action == slug]

    @overload
    def __getitem__(self, index: int) -> ActionCall: ...
    @overload
    def __getitem__(self, index: slice) -> list[ActionCall]: ...
    def __getitem__(self, index: int | slice) -> ActionCall | list[ActionCall]:
        return self._calls[index]

    def __len__(self) -> int:
        return len(self._calls)

    def __iter__(self) -> Iterator[ActionCall]:
        return iter(self._calls)

    def __repr__(self) -> str:
        return repr(self._calls)

    def add(self, call: ActionCall) -> None:
        self._calls.append(call)


@dataclass(frozen=True)
class Stub:
    attempts: int | None  # stands in for so many first attempts of each step; None: for all
    function: Callable[..., Any] | None = None
    value: Any = None
    error: BaseException | type[BaseException] | None = None

    async def perform(self, arguments: dict[str, Any], context: ActionContext) -> Any:
        if self.error is not None:
            raise self.error
        if self.function is None:
            return self.value
        result = _call(self.function, arguments, context)
        return await result if inspect.isawaitable(result) else result


class Stubs:
    """Sees every attempt before it starts (`engine.attempts.Attempts.intercept`)."""

    def __init__(self, calls: Calls, seq_of: Callable[[str], int]) -> None:
        self._calls = calls
        self._seq_of = seq_of
        self._stubs: dict[str, list[Stub]] = {}

    def add(self, slug: str, stub: Stub) -> None:
        self._stubs.setdefault(slug, []).insert(0, stub)

    def intercept(self, attempt: Attempt) -> None:
        action = attempt.action
        stub = self._find(action.slug, attempt.number)
        call = ActionCall(
            run_id=attempt.run_id,
            step=attempt.step,
            attempt=attempt.number,
            action=action.slug,
            input=json.loads(attempt.input),
            stubbed=stub is not None,
            seq=self._seq_of(attempt.run_id),
            _attempt=attempt,
            _action=action,
        )
        self._calls.add(call)
        done = attempt.done

        def ended(result: Result) -> None:
            if result.error is None:
                call.end("completed", output=json.loads(result.data or b"null"))
            else:
                kind = result.type or result.error.__class__.__name__
                call.end("failed", error=Failure(type=kind, message=str(result.error)))
            done(result)

        attempt.done = ended
        if stub is not None:
            attempt.action = _stand_in(action, stub)

    def _find(self, slug: str, attempt: int) -> Stub | None:
        for stub in self._stubs.get(slug, ()):
            if stub.attempts is None or attempt <= stub.attempts:
                return stub
        return None


def slug_of(action: Action[..., Any] | str) -> str:
    if isinstance(action, str):
        return action
    if isinstance(action, Action):  # pyright: ignore[reportUnnecessaryIsInstance]
        return action.slug
    raise TypeError(f"{action!r} is not an action. Only actions can be stubbed: stub those that it calls.")


def _stand_in(action: Action[Any, Any], stub: Stub) -> Action[Any, Any]:
    """The action with another function: its schemas, timeout, retries and slug stay."""
    names = [parameter.name for parameter in action.arguments.fields]

    async def function(*positional: Any, ksl_context: ActionContext, **values: Any) -> Any:
        return await stub.perform(dict(zip(names, positional, strict=False)) | values, ksl_context)

    other = copy.copy(action)
    other.function = function
    other.is_async = True
    other.credentials = ()  # a stub acts for nobody
    other.context_parameter = "ksl_context"
    return other


def _call(function: Callable[..., Any], arguments: dict[str, Any], context: ActionContext) -> Any:
    """By parameter names where they are the action's, else in their order; without any where it takes none."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return function(**arguments)
    wanted: dict[str, Any] = {}
    for name, parameter in signature.parameters.items():
        hint = cast("object", parameter.annotation)
        if hint is ActionContext or (isinstance(hint, str) and hint.rpartition(".")[2] == "ActionContext"):
            wanted[name] = context
    if len(signature.parameters) == len(wanted):
        return function(**wanted)
    try:
        signature.bind(**arguments, **wanted)
    except TypeError:
        return function(*arguments.values(), **wanted)
    return function(**arguments, **wanted)

"""Actions: typed leaf functions, the steps that do something in the world."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from threading import Event as ThreadEvent
from typing import Any, Concatenate, Generic, Literal, ParamSpec, TypeVar, cast, get_type_hints, overload
from uuid import uuid4

from ksl.define.codec import ArgumentsCodec, Codec, Json
from ksl.define.credential import NO_CREDENTIALS, Credential, Credentials
from ksl.define.duration import parse_duration
from ksl.define.options import bound_of, function_of, kind_of, seconds_of
from ksl.define.retry import ONCE, Retry
from ksl.define.seam import current_run, frame_at, here, in_action, outside
from ksl.define.slug import check_slug, slug_of, title_of
from ksl.errors import ActionIsLeaf, MalformedDefinition
from ksl.records.credential import CredentialUse, Scope
from ksl.records.model_use import ModelUse

P = ParamSpec("P")
R = TypeVar("R")
Duration = str | float | timedelta
Effect = Literal["at_least_once", "at_most_once"]


def _quiet(_message: str, _fields: Mapping[str, Any]) -> None:
    """Where progress goes outside a run."""


@dataclass
class ActionContext:
    """What an action may know of the attempt it is. A parameter with this annotation is not input.

    `idempotency_key` is equal on every attempt of the step: hand it to services that take one. `cancelled` is
    set when the run was cancelled while a plain `def` action is under way.
    """

    run_id: str = ""
    step_id: str = ""
    attempt: int = 1
    idempotency_key: str = ""
    log: Any = None
    workspace: Path | None = None
    credentials: Credentials = NO_CREDENTIALS
    cancelled: ThreadEvent = field(default_factory=ThreadEvent)
    _use: ModelUse | None = field(default=None, repr=False)  # of models, by this attempt
    _services: Any = field(default=None, repr=False)  # what ksl's own actions need of the server
    _subscriber: str | None = field(default=None, repr=False)  # of the run
    # Of credentials, beside those that the action names: ksl's own actions look theirs up when they know which.
    _uses: list[CredentialUse] = field(default_factory=list[CredentialUse], repr=False)
    _report: Callable[[str, Mapping[str, Any]], None] = field(default=_quiet, repr=False)

    def progress(self, message: str, /, **fields: Any) -> None:
        """Tells whoever watches the run how far this attempt is. Not recorded in the history."""
        self._report(message, fields)


class Action(Generic[P, R]):
    """A function that became a step. `.run(...)` inside a run is the durable step; calling the object itself
    is the plain function."""

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        slug: str | None = None,
        name: str | None = None,
        description: str | None = None,
        retry: Retry | None = None,
        timeout: Duration | None = None,
        concurrency: int | None = None,
        rate: str | None = None,
        credentials: Sequence[Credential[Any]] = (),
        effect: Effect = "at_least_once",
    ) -> None:
        where = f"action {function_of(function, decorator='action').__qualname__}"
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise MalformedDefinition(
                f"{where} is a generator. An action returns one value: collect into a list."
            )
        if effect not in ("at_least_once", "at_most_once"):
            raise MalformedDefinition(
                f'{where}: effect is "at_least_once" or "at_most_once", not {effect!r}.'
            )
        self.function = function
        self.slug = check_slug(slug or slug_of(function.__name__), where=where)
        self.name = name or title_of(self.slug)
        self.description = description if description is not None else inspect.getdoc(function) or ""
        self.retry = kind_of(retry, Retry, where=where, option="retry") or ONCE
        self.timeout_s = seconds_of(timeout, where=where, option="timeout")
        self.concurrency = bound_of(concurrency, where=where, option="concurrency")
        self.rate = None if rate is None else parse_rate(rate, where=where)
        self.credentials = _distinct(credentials, where=where)
        self.effect: Effect = effect
        self.is_async = inspect.iscoroutinefunction(function)
        self.context_parameter = _context_parameter(function)
        self.arguments = ArgumentsCodec(function, where=f"action {self.slug}", skip=self.context_parameter)
        self.output = Codec(
            lambda: get_type_hints(function, include_extras=True).get("return", Any),
            where=f"action {self.slug}, its return annotation",
            lazy=True,
        )
        functools.update_wrapper(self, function)

    def __repr__(self) -> str:
        return f"<action {self.slug}>"

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """The plain function, for unit tests and for other plain code. A missing ActionContext is filled in."""
        parameter = self.context_parameter
        if parameter is not None and parameter not in kwargs:
            if not any(isinstance(value, ActionContext) for value in args):
                kwargs[parameter] = outside_context(self.slug)
                return self._called_with(args, kwargs)
        return self.function(*args, **kwargs)

    def run(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        """A durable step inside a run; elsewhere executes at once with the same validation."""
        run = here.run
        if run is None:
            return self._at_once(args, kwargs)
        # No cast: it would be one more call for every step.
        return run.action(self, args, kwargs, frame_at(1), None)  # pyright: ignore[reportReturnType]

    def scope(self, scope: Scope) -> ScopedAction[P, R]:
        """Pins where credentials are looked up."""
        if scope not in ("organization", "project", "user"):
            raise MalformedDefinition(
                f'{self!r}: a scope is "organization", "project" or "user", not {scope!r}.'
            )
        return ScopedAction(self, scope)

    def prepare(self) -> None:
        """Builds the schemas; MalformedDefinition when an annotation has none."""
        self.arguments.prepare()
        self.output.prepare()

    def input_schema(self) -> Json:
        return self.arguments.schema()

    def output_schema(self) -> Json:
        return self.output.schema()

    def call(self, data: bytes, context: ActionContext) -> Any:
        """Calls the function with a stored input: a coroutine for `async def`, else the value."""
        positional, values = self.arguments.decode(data)
        if self.context_parameter is not None:
            values[self.context_parameter] = context
        return self.function(*positional, **values)

    def _called_with(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Positional arguments are those of `.run`: the context is not among them."""
        names = [parameter.name for parameter in self.arguments.fields]
        return self.function(**dict(zip(names, args, strict=False)), **kwargs)

    def _at_once(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], pinned: Scope | None = None
    ) -> Coroutine[Any, Any, R]:
        leaf = in_action.get()
        if leaf is not None:
            raise ActionIsLeaf(
                f"action {leaf} called {self.slug}.run(...). Actions are leaves: call the plain function "
                f"({self.function.__name__}(...)) or make a workflow that runs both."
            )
        return self.execute(self.arguments.encode(args, kwargs), pinned)

    async def execute(self, data: bytes, pinned: Scope | None = None) -> R:
        """Executes it now, outside any run, with an encoded input."""
        import asyncio

        context = outside_context(self.slug)
        if self.credentials:
            async with outside.source() as source:
                context.credentials = (
                    await source.resolve(
                        self.credentials, pinned=pinned, purpose=f"action {self.slug}, outside any run"
                    )
                ).credentials
        token = in_action.set(self.slug)
        try:
            if self.is_async:
                value = await self.call(data, context)
            else:
                value = await asyncio.to_thread(self.call, data, context)
        finally:
            in_action.reset(token)
        return self.output.decode(self.output.encode(value, root="output"))


class ScopedAction(Generic[P, R]):
    """An action with the scope of its credentials pinned."""

    def __init__(self, action: Action[P, R], scope: Scope) -> None:
        self.action = action
        self.pinned: Scope = scope

    def run(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        run = current_run()
        if run is None:
            return self.action._at_once(args, kwargs, self.pinned)  # pyright: ignore[reportPrivateUsage]
        return cast("Coroutine[Any, Any, R]", run.action(self.action, args, kwargs, frame_at(1), self.pinned))


class ActionDecorator:
    """`@action(...)` with options, not yet given its function."""

    def __init__(self, **options: Any) -> None:
        self._options = options

    @overload
    def __call__(
        self, function: Callable[Concatenate[ActionContext, P], Awaitable[R]], /
    ) -> Action[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, Awaitable[R]], /) -> Action[P, R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[ActionContext, P], R], /) -> Action[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Action[P, R]: ...
    def __call__(self, function: Callable[..., Any], /) -> Any:
        return cast("Action[..., Any]", Action(function, **self._options))


@overload
def action(function: Callable[Concatenate[ActionContext, P], Awaitable[R]], /) -> Action[P, R]: ...
@overload
def action(function: Callable[P, Awaitable[R]], /) -> Action[P, R]: ...
@overload
def action(function: Callable[Concatenate[ActionContext, P], R], /) -> Action[P, R]: ...
@overload
def action(function: Callable[P, R], /) -> Action[P, R]: ...
@overload
def action(
    *,
    slug: str | None = None,
    name: str | None = None,
    description: str | None = None,
    retry: Retry | None = None,
    timeout: Duration | None = None,
    concurrency: int | None = None,
    rate: str | None = None,
    credentials: Sequence[Credential[Any]] = (),
    effect: Effect = "at_least_once",
) -> ActionDecorator: ...
def action(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Makes an action of a function.

    `async def` runs on the event loop, a plain `def` in a worker thread. `timeout` bounds each attempt,
    `concurrency` how many run at once in the process, `rate` ("10/s", "100/m") how many start. With
    `effect="at_most_once"` the start is recorded first and a step cut off by a crash is not run again.
    """
    if function is None:
        return ActionDecorator(**options)
    return cast("Action[..., Any]", Action(function))


def outside_context(slug: str) -> ActionContext:
    """For an action that runs outside any run. Each call is its own step, so each has its own key."""
    return ActionContext(
        step_id=slug, idempotency_key=f"outside/{slug}/{uuid4()}", log=logging.getLogger("ksl.run")
    )


def parse_rate(text: str, *, where: str) -> tuple[float, float]:
    """("10/s") -> (10.0, 1.0): how many starts in how many seconds."""
    count, _, unit = str(text).partition("/")
    try:
        if not unit:
            raise ValueError
        period_s = parse_duration(unit if unit[:1].isdigit() else f"1{unit}")
        starts = float(count)
        if not starts > 0 or not period_s > 0:
            raise ValueError
    except ValueError:
        raise MalformedDefinition(
            f'{where}: rate={text!r} cannot be read. Write starts per time: "10/s", "100/m", "5/30s".'
        ) from None
    return starts, period_s


def _distinct(credentials: Sequence[Credential[Any]], *, where: str) -> tuple[Credential[Any], ...]:
    named: dict[str, Credential[Any]] = {}
    for each in credentials:
        if not isinstance(each, Credential):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise MalformedDefinition(
                f"{where}: credentials=[...] takes Credential objects, not {each!r}. Define one with "
                'Credential("name", fields=Model) at the top of a module.'
            )
        if named.setdefault(each.name, each) is not each:
            raise MalformedDefinition(f"{where}: credentials=[...] has two of the name {each.name!r}.")
    return tuple(named.values())


def _context_parameter(function: Callable[..., Any]) -> str | None:
    """The parameter annotated ActionContext, found without resolving the other annotations."""
    for name, parameter in inspect.signature(function).parameters.items():
        hint = parameter.annotation
        if hint is ActionContext:
            return name
        if isinstance(hint, str) and hint.rpartition(".")[2] == "ActionContext":
            return name
    return None

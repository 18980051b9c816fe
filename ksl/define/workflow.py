"""Workflows: the author's async functions whose steps are durable."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Concatenate, Generic, Literal, TypeVar, cast, get_type_hints, overload

from ksl.define.action import Duration
from ksl.define.budget import Budget
from ksl.define.codec import Codec, Json
from ksl.define.context import Context
from ksl.define.options import bound_of, function_of, kind_of, seconds_of
from ksl.define.retry import Retry
from ksl.define.seam import current_run, frame_at, in_action
from ksl.define.slug import check_slug, slug_of, title_of
from ksl.errors import ActionIsLeaf, MalformedDefinition, OutsideRun

I = TypeVar("I")  # noqa: E741
O = TypeVar("O")  # noqa: E741
Subscription = Literal["subscribable"]


class Workflow(Generic[I, O]):
    """An async function with one input and one output, run durably under its slug."""

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
        subscription: Subscription | None = None,
        budget: Budget | None = None,
    ) -> None:
        where = f"workflow {function_of(function, decorator='workflow').__qualname__}"
        if inspect.isasyncgenfunction(function):
            raise MalformedDefinition(
                f"{where} has a `yield`. A workflow returns its output; it does not yield."
            )
        if not inspect.iscoroutinefunction(function):
            raise MalformedDefinition(f"{where} is not `async def`. Its steps are awaited, so it must be.")
        if subscription not in (None, "subscribable"):
            raise MalformedDefinition(
                f'{where}: subscription is "subscribable" or left out, not {subscription!r}.'
            )
        self.function = function
        self.slug = check_slug(slug or slug_of(function.__name__), where=where)
        self.name = name or title_of(self.slug)
        self.description = description if description is not None else inspect.getdoc(function) or ""
        self.retry = kind_of(retry, Retry, where=where, option="retry") or Retry()
        self.timeout_s = seconds_of(timeout, where=where, option="timeout")
        self.concurrency = bound_of(concurrency, where=where, option="concurrency")
        self.subscription = subscription
        self.budget = kind_of(budget, Budget, where=where, option="budget")
        self.input_parameter, self.context_parameter = _parameters(function, where=where)
        self.input = Codec(self._input_hint, where=f"workflow {self.slug}, its input annotation", lazy=True)
        self.output = Codec(
            lambda: get_type_hints(function, include_extras=True).get("return", Any),
            where=f"workflow {self.slug}, its return annotation",
            lazy=True,
        )
        functools.update_wrapper(self, function)

    def __repr__(self) -> str:
        return f"<workflow {self.slug}>"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The plain function."""
        return self.function(*args, **kwargs)

    @overload
    def run(self, input: I, /) -> Coroutine[Any, Any, O]: ...
    @overload
    def run(self, **fields: Any) -> Coroutine[Any, Any, O]: ...
    def run(self, *values: Any, **fields: Any) -> Coroutine[Any, Any, O]:
        """Inside a run: a sub-workflow, inline in the same run, with a checkpoint of its own."""
        run = current_run()
        if run is None:
            if (leaf := in_action.get()) is not None:
                raise ActionIsLeaf(
                    f"action {leaf} called {self.slug}.run(...). Actions are leaves; only workflows have steps."
                )
            raise OutsideRun(
                f"{self.slug}.run(...) was called outside a run. Start one with `ksl workflows run {self.slug}`, "
                "or call the workflow from another workflow's body."
            )
        if len(values) > 1 or (values and fields):
            raise TypeError(f"{self.slug}.run() takes one input, as a value or as keyword fields")
        value = values[0] if values else (fields if fields or self.input_parameter else None)
        return cast("Coroutine[Any, Any, O]", run.workflow(self, value, frame_at(1)))

    def prepare(self) -> None:
        """Builds the schemas; MalformedDefinition when an annotation has none."""
        self.input.prepare()
        self.output.prepare()

    def input_schema(self) -> Json:
        return self.input.schema()

    def output_schema(self) -> Json:
        return self.output.schema()

    def body(self, value: Any, context: Context) -> Coroutine[Any, Any, Any]:
        arguments: dict[str, Any] = {}
        if self.input_parameter is not None:
            arguments[self.input_parameter] = value
        if self.context_parameter is not None:
            arguments[self.context_parameter] = context
        return self.function(**arguments)

    def _input_hint(self) -> Any:
        if self.input_parameter is None:
            return _no_input()
        return get_type_hints(self.function, include_extras=True).get(self.input_parameter, Any)


def _empty(value: Any) -> None:
    if value is not None and value != {}:
        raise ValueError("this workflow takes no input: send null or {}")


def _no_input() -> Any:
    from typing import Annotated

    from pydantic import BeforeValidator

    return Annotated[None, BeforeValidator(_empty)]


class WorkflowDecorator:
    """`@workflow(...)` with options, not yet given its function."""

    def __init__(self, **options: Any) -> None:
        self._options = options

    @overload
    def __call__(self, function: Callable[[Context], Awaitable[O]], /) -> Workflow[None, O]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[I, ...], Awaitable[O]], /) -> Workflow[I, O]: ...
    @overload
    def __call__(self, function: Callable[[], Awaitable[O]], /) -> Workflow[None, O]: ...
    def __call__(self, function: Callable[..., Any], /) -> Any:
        return cast("Workflow[Any, Any]", Workflow(function, **self._options))


@overload
def workflow(function: Callable[[Context], Awaitable[O]], /) -> Workflow[None, O]: ...
@overload
def workflow(function: Callable[Concatenate[I, ...], Awaitable[O]], /) -> Workflow[I, O]: ...
@overload
def workflow(function: Callable[[], Awaitable[O]], /) -> Workflow[None, O]: ...
@overload
def workflow(
    *,
    slug: str | None = None,
    name: str | None = None,
    description: str | None = None,
    retry: Retry | None = None,
    timeout: Duration | None = None,
    concurrency: int | None = None,
    subscription: Subscription | None = None,
    budget: Budget | None = None,
) -> WorkflowDecorator: ...
def workflow(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Makes a workflow of an `async def` function with at most one input and one `Context` parameter.

    `retry` is the run's own (default three attempts, 1 s doubling to 5 min), `timeout` bounds the whole run,
    `concurrency` how many of its runs are advanced at once, `budget` what one run may have models do.
    """
    if function is None:
        return WorkflowDecorator(**options)
    return cast("Workflow[Any, Any]", Workflow(function))


def _parameters(function: Callable[..., Any], *, where: str) -> tuple[str | None, str | None]:
    """(input, context), told by annotation; a bare second parameter called ctx or context counts as context."""
    input_name: str | None = None
    context_name: str | None = None
    for name, parameter in inspect.signature(function).parameters.items():
        hint = parameter.annotation
        is_context = hint is Context or (isinstance(hint, str) and hint.rpartition(".")[2] == "Context")
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise MalformedDefinition(f"{where}: parameter {parameter} must be an ordinary named one.")
        if hint is parameter.empty and name in ("ctx", "context"):
            is_context = True
        if is_context and context_name is None:
            context_name = name
        elif not is_context and input_name is None:
            input_name = name
        else:
            raise MalformedDefinition(
                f"{where} has more parameters than one input and one Context: {name!r} is too many. "
                "Put the fields of its input into one model."
            )
    return input_name, context_name

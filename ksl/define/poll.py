"""A source that goes and looks, and fires for what it finds."""

from __future__ import annotations

import inspect
import logging
import types
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from functools import cached_property
from typing import (
    Any,
    ClassVar,
    Generic,
    Literal,
    TypedDict,
    TypeVar,
    Union,
    Unpack,
    get_args,
    get_origin,
    get_type_hints,
    overload,
)

from ksl.define.codec import Codec, Json
from ksl.define.cron import scheduled
from ksl.define.duration import Duration, parse_duration
from ksl.define.payload_source import PayloadSource
from ksl.define.source import Asked
from ksl.errors import MalformedTrigger
from ksl.records import SourceKind

S = TypeVar("S")
P = TypeVar("P")
_COLLECTIONS = (Iterable, AsyncIterable)


class PollContext(Generic[S]):
    """What a poll goes on from. `state` is what the last poll that succeeded has set, None at first."""

    def __init__(self, *, source: str, state: S | None, set_state: Callable[[S], None]) -> None:
        self.source = source
        self.state = state
        self.log = logging.getLogger("ksl.poll")
        self._set_state = set_state

    def set_state(self, state: S) -> None:
        """What the next poll goes on from. Stored together with the runs of this one, and dropped if it fails.

        Errors: pydantic's ValidationError when it does not fit the source's `state`.
        """
        self._set_state(state)


class Common(TypedDict, total=False):
    """What means the same in each way to declare a poll."""

    timezone: str
    state: Any
    timeout: Duration
    name: str | None
    description: str


class PollSource(PayloadSource[P]):
    """Calls `run` when it is first seen and then by the schedule, and fires for what that returns.

    `run` takes a `PollContext`, or nothing, and is `async def`, or a plain `def` that runs in a thread. What it
    returns is the payload, of the type of its return annotation or of `payload`; None is nothing. With
    `each=True` it returns many, and each is a payload of its own, which fires once for each `key` (any JSON
    scalar; without one, once for each value). `filter` says of each payload whether it fires. `state` is the type
    of the poll's own state. `timeout` bounds one poll.
    """

    kind: ClassVar[SourceKind] = "poll"

    @overload
    def __init__(
        self,
        slug: str,
        schedule: str,
        run: Callable[..., object],
        *,
        filter: Callable[[P], object] | None = None,
        each: bool = False,
        key: Callable[[P], object] | None = None,
        payload: type[P],
        **common: Unpack[Common],
    ) -> None: ...
    @overload
    def __init__(
        self,
        slug: str,
        schedule: str,
        run: Callable[..., Awaitable[Iterable[P]] | AsyncIterable[P] | Iterable[P]],
        *,
        filter: Callable[[P], object] | None = None,
        each: Literal[True],
        key: Callable[[P], object] | None = None,
        payload: None = None,
        **common: Unpack[Common],
    ) -> None: ...
    @overload
    def __init__(
        self,
        slug: str,
        schedule: str,
        run: Callable[..., Awaitable[P | None]],
        *,
        filter: Callable[[P], object] | None = None,
        each: bool = False,
        key: Callable[[P], object] | None = None,
        payload: None = None,
        **common: Unpack[Common],
    ) -> None: ...
    @overload
    def __init__(
        self,
        slug: str,
        schedule: str,
        run: Callable[..., P | None],
        *,
        filter: Callable[[P], object] | None = None,
        each: bool = False,
        key: Callable[[P], object] | None = None,
        payload: None = None,
        **common: Unpack[Common],
    ) -> None: ...
    @overload
    def __init__(
        self: PollSource[Any],
        slug: str,
        schedule: str,
        run: Callable[..., Any],
        *,
        filter: Callable[[Any], object] | None = None,
        each: bool = False,
        key: Callable[[Any], object] | None = None,
        payload: Any = None,
        **common: Unpack[Common],
    ) -> None: ...
    def __init__(
        self,
        slug: str,
        schedule: str,
        run: Callable[..., Any],
        *,
        timezone: str = "UTC",
        state: Any = None,
        filter: Callable[[Any], object] | None = None,
        each: bool = False,
        key: Callable[[Any], object] | None = None,
        payload: Any = None,
        timeout: Duration = "5m",
        name: str | None = None,
        description: str = "",
    ) -> None:
        super().__init__(slug, name=name, description=description, filter=filter)
        self.schedule = scheduled(schedule, timezone, where=self.where)
        self.run = run
        self.takes_context = _takes_context(run, where=self.where)
        self.is_async = inspect.iscoroutinefunction(run) or inspect.isasyncgenfunction(run)
        self.each = each
        self.key = None if key is None else Asked(key, what="key", where=self.where)
        if self.key is not None and self.key.takes_delivery:
            raise MalformedTrigger(f"{self.where}: key is a function of the payload alone.")
        self.timeout_s = _timeout_s(timeout, where=self.where)
        self.state = None if state is None else Codec(state, where=f"{self.where}, its state")
        self._given = payload
        self.payload = Codec(self._hint, where=f"{self.where}, its payload", lazy=True)
        if inspect.isasyncgenfunction(run) and not each:
            raise MalformedTrigger(
                f"{self.where}: its run yields, so it gives many payloads. Say each=True, or return one."
            )

    def details(self) -> Json:
        return {
            "schedule": self.schedule.expression,
            "timezone": self.schedule.timezone,
            "each": self.each,
        }

    def prepare(self) -> None:
        """Errors: MalformedTrigger, MalformedDefinition."""
        super().prepare()
        if self.state is not None:
            self.state.prepare()

    @cached_property
    def is_typed(self) -> bool:
        """Whether payloads have a type; if not, filter, key and transform get what `run` returned as it is."""
        return self._hint() is not Any

    def _hint(self) -> Any:
        if self._given is not None:
            return self._given
        hint = get_type_hints(self.run, include_extras=True).get("return", Any)
        return _item(hint) if self.each else hint


def _item(hint: Any) -> Any:
    """Of what the annotation says there are many. Any where it does not say."""
    if get_origin(hint) in (Union, types.UnionType):
        inner = [each for each in get_args(hint) if each is not type(None)]
        return _item(inner[0]) if len(inner) == 1 else Any
    origin: Any = get_origin(hint)
    arguments = get_args(hint)
    if not arguments or not isinstance(origin, type) or not issubclass(origin, _COLLECTIONS):
        return Any
    if origin is tuple:
        return arguments[0] if len(arguments) == 2 and arguments[1] is Ellipsis else Any
    return arguments[0]


def _takes_context(run: Callable[..., Any], *, where: str) -> bool:
    if not callable(run):
        raise MalformedTrigger(f"{where}: run is a function that looks for payloads, and {run!r} is none.")
    parameters = inspect.signature(run).parameters.values()
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    required = [
        p for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    if len(required) > 1 or any(p.kind is p.KEYWORD_ONLY for p in required):
        raise MalformedTrigger(
            f"{where}: its run takes ({', '.join(map(str, parameters))}). It is called with a ksl.PollContext, or "
            "with nothing: one parameter, or none."
        )
    return bool(positional)


def _timeout_s(timeout: Duration, *, where: str) -> float:
    try:
        seconds = parse_duration(timeout)
    except ValueError as error:
        raise MalformedTrigger(f"{where}: timeout: {error}.") from error
    if not seconds:
        raise MalformedTrigger(f"{where}: with timeout={timeout!r} no poll could ever end.")
    return seconds

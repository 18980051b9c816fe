"""One call of a poll's `run`: within its time, on the loop or in a thread, and what it returned as payloads."""

from __future__ import annotations

import asyncio
import contextvars
import hashlib
import inspect
import json
import threading
import traceback
from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

from ksl.define.codec import Codec, invalid
from ksl.define.duration import format_duration
from ksl.define.poll import PollContext, PollSource
from ksl.errors import NotEncodable, PollFailed
from ksl.records import FiredKey
from ksl.trigger.firing import Item

_KEY_MAX = 200  # characters; a longer one is kept as its hash
_scalar = Codec(Any, where="the key of a poll's item")


class Found(NamedTuple):
    """Payloads that the filter let through, each with its key, and the JSON of the state that was set."""

    items: list[Item]
    cursor: bytes | None


class Call:
    """Calls `run` once. `thread_ended` is set while no thread of it is left."""

    def __init__(self, source: PollSource[Any], cursor: bytes | None) -> None:
        self.source = source
        self.cursor = cursor
        self.is_over = False
        self.thread_ended = asyncio.Event()
        self.thread_ended.set()

    async def found(self) -> Found:
        """Errors: PollFailed. What `set_state` was given is dropped then."""
        return self.given(await self._returned())

    def given(self, returned: Any) -> Found:
        """As if `run` had returned this. Errors: PollFailed."""
        return Found(_items(self.source, returned), self.cursor)

    async def _returned(self) -> Any:
        source = self.source
        context = PollContext[Any](source=source.slug, state=self._state(), set_state=self._set_state)
        arguments = (context,) if source.takes_context else ()
        limit = asyncio.timeout(source.timeout_s)
        try:
            async with limit:
                if source.is_async:
                    value = source.run(*arguments)
                else:
                    value = await self._in_thread(lambda: _drained(source.run(*arguments)))
                if inspect.isawaitable(value):
                    value = await value
                if isinstance(value, AsyncIterable):
                    value = [each async for each in cast("AsyncIterable[Any]", value)]
                return value
        except TimeoutError as error:
            if not limit.expired():
                raise failed(source, "its run raised", error) from error
            raise failed(
                source,
                f"its run took longer than {format_duration(source.timeout_s)}",
                error,
                told="timed out",
            ) from error
        except Exception as error:
            raise failed(source, "its run raised", error) from error
        finally:
            self.is_over = True

    async def _in_thread(self, function: Callable[[], Any]) -> Any:
        """A thread of its own, which does not keep the process from ending."""
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[Any] = loop.create_future()
        self.thread_ended.clear()

        def settle(value: Any, error: BaseException | None) -> None:
            self.thread_ended.set()
            if outcome.done():
                return
            if error is None:
                outcome.set_result(value)
            else:
                outcome.set_exception(error)

        def work() -> None:
            value: Any = None
            failure: BaseException | None = None
            try:
                value = function()
            except StopIteration as error:  # a future takes none
                failure = RuntimeError(f"run raised StopIteration: {error}")
            except BaseException as error:
                failure = error
            try:
                loop.call_soon_threadsafe(settle, value, failure)
            except RuntimeError:
                pass  # the server has stopped meanwhile

        context = contextvars.copy_context()
        threading.Thread(
            target=context.run, args=(work,), name=f"ksl-poll {self.source.slug}", daemon=True
        ).start()
        return await outcome

    def _state(self) -> Any:
        codec = self.source.state
        if codec is None or self.cursor is None:
            return None
        try:
            return codec.decode(self.cursor)
        except ValueError as error:
            raise failed(
                self.source,
                "its stored state does not fit the type it has now (a new field needs a default)",
                error,
            ) from error

    def _set_state(self, state: Any) -> None:
        if self.source.state is None:
            raise TypeError(
                f"poll source {self.source.slug} keeps no state: declare its type, PollSource(..., state=Model)"
            )
        if not self.is_over:
            self.cursor = self.source.state.encode(state, root="state")


def failed(
    source: PollSource[Any], what: str, error: BaseException, *, told: str | None = None
) -> PollFailed:
    message = str(error)
    if told is None:
        told = message
        if not isinstance(error, NotEncodable) and (frames := traceback.extract_tb(error.__traceback__)):
            told = f"{message} ({Path(frames[-1].filename).name}:{frames[-1].lineno})"
    return PollFailed(
        f"poll source {source.slug}: {what}: {type(error).__name__}: {told}. Nothing was lost: its state is as it was.",
        type=type(error).__name__,
        told=told,
    )


def _items(source: PollSource[Any], returned: Any) -> list[Item]:
    """Errors: PollFailed."""
    if returned is None:
        return []
    if not source.each:
        item = _item(source, returned, what="what its run returned")
        return [] if item is None else [item]
    if not isinstance(returned, Iterable) or isinstance(returned, str | bytes | Mapping):
        kind = type(cast("object", returned)).__name__
        error = TypeError(f"with each=True run returns many payloads, and {kind} is not that")
        raise failed(source, "its run returned something else", error, told=str(error))
    items = (
        _item(source, each, what=f"item {place} of what its run returned")
        for place, each in enumerate(cast("Iterable[Any]", returned))
    )
    return [item for item in items if item is not None]


def _item(source: PollSource[Any], value: Any, *, what: str) -> Item | None:
    """None where the filter says no. Errors: PollFailed."""
    from pydantic import ValidationError

    try:
        data = source.payload.encode(value, root="payload")
        if source.is_typed:
            value = source.payload.decode(data)
    except ValidationError as error:
        unfit = invalid(error, what=what)
        raise failed(source, "nothing was started", unfit, told=str(unfit)) from None
    except NotEncodable as error:
        raise failed(source, f"{what} cannot be written as JSON", error, told=str(error)) from None
    try:
        if source.filter is not None and not source.filter(value, None):
            return None
    except Exception as error:
        raise failed(source, f"its filter raised for {what}", error) from error
    return Item(data, _keys(source, value, data, what), value)


def _keys(source: PollSource[Any], value: Any, data: bytes, what: str) -> tuple[FiredKey, ...]:
    if source.key is None:
        if not source.each:
            return ()
        # The same value again is the same item.
        ordered = json.dumps(json.loads(data), sort_keys=True, separators=(",", ":"))
        return (FiredKey(source.slug, "value:" + hashlib.sha256(ordered.encode()).hexdigest()),)
    try:
        text = _scalar.encode(source.key(value, None), root="key").decode()
    except Exception as error:
        raise failed(source, f"its key raised for {what}", error) from error
    if text[:1] in "[{":
        wrong = TypeError(
            "a key is a JSON scalar (text, a number, true, false or null), not a list or an object"
        )
        raise failed(source, f"its key for {what} cannot be used", wrong, told=str(wrong))
    if len(text) > _KEY_MAX:
        text = "hash:" + hashlib.sha256(text.encode()).hexdigest()
    return (FiredKey(source.slug, text),)


def _drained(value: Any) -> Any:
    """A generator's items, while still in the thread."""
    return list(cast("Iterable[Any]", value)) if inspect.isgenerator(value) else value

"""The deterministic event loop of one run.

A body runs here, never on the host loop: with recorded results coming back at once, branches on a shared loop
would overtake each other on replay and take each other's data. This loop is drained after each delivered event
until nothing is ready, so what a body does depends on the order of events alone. It offers what asyncio's
gather, TaskGroup, wait, timeout, Queue, Event, Lock and friends need, and refuses real I/O with a sentence.

It must be drained from plain host callbacks, never from inside a host task.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio.events import _get_running_loop, _set_running_loop  # pyright: ignore[reportPrivateUsage]
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import contextmanager
from contextvars import Context as Variables
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec

from ksl.define.seam import here
from ksl.errors import RealIoInBody, RunawayBody

if TYPE_CHECKING:
    from ksl.engine.ids import Scope
    from ksl.engine.run import Run

Entered = Any  # the run to go back to: none, but for a drain within a drain
HANDLES_MAX = 100_000  # in one drain: more is an endless loop that waits for nothing recorded


# Under its own name: looking it up through `super()` takes as long as calling it.
_init_future: Callable[..., None] = asyncio.Future[Any].__init__


class RunFuture(asyncio.Future[Any]):
    """A future that hashes by creation order: asyncio keeps futures in sets, whose order must replay."""

    __slots__ = ("_order",)  # no dict: one is made for every step

    def __init__(self, *, loop: RunLoop) -> None:
        loop.order += 1
        self._order = loop.order
        _init_future(self, loop=loop)

    def __hash__(self) -> int:
        return self._order


class RunTask(asyncio.Task[Any]):
    """A task of a body. `place` counts the tasks that each parent made: "" for the body itself, then "0",
    "1", "1.0" ...; `scope` says whose call sites its step calls are looked up in."""

    __slots__ = ("_order", "children", "place", "scope")

    def __init__(
        self, coro: Coroutine[Any, Any, Any], *, loop: RunLoop, name: str | None, context: Variables | None,
        scope: Scope, place: str,
    ) -> None:  # fmt: skip
        self._order = loop.next_order()  # before super(): registering the task hashes it
        self.scope = scope
        self.place = place
        self.children = 0
        super().__init__(coro, loop=loop, name=name, context=context)  # pyright: ignore[reportArgumentType]
        loop.keep(self)

    def __hash__(self) -> int:
        return self._order


class RunHandle(msgspec.Struct, eq=False):
    """A callback that is ready. asyncio's own handle asks twice as much for what is not needed here."""

    callback: Callable[..., Any]
    args: tuple[Any, ...]
    context: Variables
    is_cancelled: bool = False

    def cancel(self) -> None:
        self.is_cancelled = True

    def cancelled(self) -> bool:
        return self.is_cancelled


class RunTimer(RunHandle, eq=False, kw_only=True):
    """A timer of a body; `step` is its id once it is durable."""

    loop: RunLoop
    when_s: float
    step: str | None = None

    def when(self) -> float:
        return self.when_s

    def cancel(self) -> None:
        if not self.is_cancelled:
            self.loop.timer_cancelled(self)
        self.is_cancelled = True


class RunLoop:
    """What asyncio needs of a loop. `ksl_run` is how a step call finds its run."""

    __slots__ = (
        "__weakref__",
        "_hooks",
        "_host",
        "_inside",
        "_many",
        "_now_s",
        "_ready",
        "_run",
        "generators",
        "ksl_run",
        "order",
        "tasks",
    )

    def __init__(self, run: Run, *, seam: Any, salt: int) -> None:
        self.ksl_run = seam
        self._run: Any = run  # a Run, until it is let go
        self._ready: deque[RunHandle] = deque()
        self._now_s = 0.0
        self._inside = False  # this is the running loop
        # Hashes start at a number of the run's own: all tasks of the process share one WeakSet, which would
        # degrade to a list if every run counted from 0.
        self.order = salt
        # Of this loop alone: asyncio.all_tasks looks through those of all runs.
        self.tasks: list[RunTask] = []
        # Async generators that were begun here, by id: whose they are. Their weak references are dead by the time
        # that they are finalized.
        self.generators: dict[int, tuple[Scope, str]] | None = None
        self._many = 64  # tasks, from which those that are done are looked for
        # A body is drained from callbacks of the loop that it was made on.
        self._host = _get_running_loop()
        self._hooks = sys.get_asyncgen_hooks()

    def drain(self) -> None:
        """Runs what is ready until nothing is."""
        if self._ready:
            if self._inside:
                self._run_ready()
                return
            before = self.enter()
            try:
                self._run_ready()
            finally:
                self.leave(before)

    def _run_ready(self) -> None:
        ready = self._ready
        count = 0
        while ready:
            handle = ready.popleft()
            if not handle.is_cancelled:
                try:
                    handle.context.run(handle.callback, *handle.args)
                except SystemExit:
                    pass  # the task that raised it carries it: a body's exit is its run's, not the server's
                except KeyboardInterrupt:
                    raise
                except BaseException as error:
                    message = f"exception in callback {handle.callback!r}"
                    self.call_exception_handler({"message": message, "exception": error})
            count += 1
            if count > HANDLES_MAX:
                ready.clear()
                raise RunawayBody(
                    f"{self._run.body_line()}: the body went through {HANDLES_MAX:,} loop turns without waiting for "
                    "anything recorded (an endless `while` with asyncio.sleep(0)?). Wait for a step, ctx.sleep or a "
                    "hook instead."
                )

    @contextmanager
    def entered(self) -> Generator[None]:
        """This is the running loop meanwhile; afterwards the one before it is again, whatever was raised."""
        before = self.enter()
        try:
            yield
        finally:
            self.leave(before)

    def enter(self) -> Entered:
        """`entered` without its cost, for the hot path: a context manager takes as long as a whole step call."""
        before = here.run
        here.run = self.ksl_run
        self._inside = True
        _set_running_loop(self)  # pyright: ignore[reportArgumentType]
        sys.set_asyncgen_hooks(_first_iteration, self._finalize_generator)
        return before

    def leave(self, before: Entered) -> None:
        here.run = before
        self._inside = False
        _set_running_loop(self._host)
        sys.set_asyncgen_hooks(*self._hooks)

    def advance(self, now_s: float) -> None:
        """The time of the last delivered event, in Unix seconds; never goes back."""
        if now_s > self._now_s:
            self._now_s = now_s

    def keep(self, task: RunTask) -> None:
        """A task of this loop, until it is done."""
        self.tasks.append(task)
        if len(self.tasks) > self._many:
            self.tasks = [each for each in self.tasks if not each.done()]
            self._many = 2 * len(self.tasks) + 64

    def let_go(self) -> None:
        """Nothing is drained any more: what refers to its run in a circle is dropped, so that a run's memory
        goes with its last use and not with the next collection."""
        self.tasks.clear()
        self._ready.clear()
        self.ksl_run = None
        self._run = None

    def next_order(self) -> int:
        self.order += 1
        return self.order

    def spawn(
        self, coro: Coroutine[Any, Any, Any], *, scope: Scope, place: str, context: Variables | None = None
    ) -> RunTask:
        """A task with a scope of its own: the body, or a sub-workflow's."""
        # Named, since asyncio counts those that are not.
        return RunTask(coro, loop=self, name=scope.workflow.slug, context=context, scope=scope, place=place)

    # What asyncio asks of a loop.

    def time(self) -> float:
        return self._now_s

    def call_soon(
        self, callback: Callable[..., Any], *args: Any, context: Variables | None = None
    ) -> RunHandle:
        handle = RunHandle(callback, args, copy_context() if context is None else context)
        self._ready.append(handle)
        return handle

    def call_later(
        self, delay: float, callback: Callable[..., Any], *args: Any, context: Variables | None = None
    ) -> RunTimer:
        return self.call_at(self._now_s + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., Any], *args: Any, context: Variables | None = None
    ) -> RunTimer:
        variables = copy_context() if context is None else context
        handle = RunTimer(callback, args, variables, loop=self, when_s=when)
        self._run.timer_wanted(handle, max(when - self._now_s, 0.0))
        return handle

    def ripen(self, handle: RunTimer) -> None:
        """Its moment has come. It stays the handle it is, so that it can still be cancelled before it runs."""
        self._ready.append(handle)

    def timer_cancelled(self, handle: RunTimer) -> None:
        if self._run is not None:
            self._run.timer_unwanted(handle)

    def create_future(self) -> RunFuture:
        return RunFuture(loop=self)

    def create_task(
        self, coro: Any, *, name: str | None = None, context: Variables | None = None, **_: Any
    ) -> RunTask:
        parent = asyncio.current_task(self)  # pyright: ignore[reportArgumentType]
        if not isinstance(parent, RunTask):
            raise RealIoInBody("a task was made from a callback of the body's loop, where no task is running")
        if isinstance(coro, RunFuture):
            # A step call: its id was taken at the call, so its task needs no place and takes none.
            coro.add_done_callback(_nothing)  # being handed to create_task starts it
            return RunTask(
                _await(coro), loop=self, name=name, context=context, scope=parent.scope, place=parent.place
            )
        place = f"{parent.place}.{parent.children}" if parent.place else str(parent.children)
        parent.children += 1
        return RunTask(coro, loop=self, name=name, context=context, scope=parent.scope, place=place)

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if self._run is not None:
            self._run.noticed(context)

    async def shutdown_asyncgens(self) -> None:
        return None

    def _finalize_generator(self, generator: AsyncGenerator[Any, Any]) -> None:
        # An `async for` left by `break`: its `finally` belongs to this loop, not to the host's.
        if self._run is not None and not self._run.evicting:
            self.call_soon(self.create_task_for_generator, generator)

    def create_task_for_generator(self, generator: AsyncGenerator[Any, Any]) -> None:
        scope, place = (self.generators or {}).pop(id(generator), (self._run.scope, ""))
        place = f"{place}.generator" if place else "generator"
        RunTask(_close(generator), loop=self, name=None, context=None, scope=scope, place=place)

    def refuse(self, what: str, *, line: str | None = None) -> NoReturn:
        raise RealIoInBody(
            refusal(what, line or (self._run.body_line() if self._run is not None else "a body that is gone"))
        )


def refusal(what: str, line: str) -> str:
    return (
        f"{line}: the workflow body used {what}. A body only decides, and is replayed; what reaches outside "
        "must be recorded. Move it into an action and await its .run(...)."
    )


_REFUSED = {
    "run_in_executor": "a thread (to_thread or run_in_executor)",
    "call_soon_threadsafe": "another thread",
    "getaddrinfo": "the network (a name look-up)",
    "getnameinfo": "the network (a name look-up)",
    "create_connection": "the network (opening a connection)",
    "create_server": "the network (listening on a socket)",
    "create_unix_connection": "a socket",
    "create_datagram_endpoint": "the network (a datagram socket)",
    "sock_connect": "a socket",
    "sock_recv": "a socket",
    "sock_sendall": "a socket",
    "add_reader": "a file descriptor",
    "add_writer": "a file descriptor",
    "subprocess_exec": "a subprocess",
    "subprocess_shell": "a subprocess",
    "add_signal_handler": "signals",
    "run_until_complete": "an event loop of its own",
    "run_forever": "an event loop of its own",
}


def _refuser(what: str) -> Callable[..., NoReturn]:
    def refuse(self: RunLoop, *_args: Any, **_kwargs: Any) -> NoReturn:
        self.refuse(what)

    return refuse


# Not `__getattr__`: a class that has one pays for it at every attribute that it does have.
for _name in {*dir(asyncio.AbstractEventLoop), *dir(asyncio.SelectorEventLoop)}:
    if not _name.startswith("__") and not hasattr(RunLoop, _name):
        setattr(RunLoop, _name, _refuser(_REFUSED.get(_name, f"loop.{_name}")))


def _first_iteration(generator: AsyncGenerator[Any, Any]) -> None:
    loop: Any = _get_running_loop()
    if isinstance(loop, RunLoop) and isinstance(task := asyncio.current_task(loop), RunTask):  # pyright: ignore[reportArgumentType]
        if loop.generators is None:
            loop.generators = {}
        loop.generators[id(generator)] = (task.scope, task.place)


def _nothing(_future: Any) -> None:
    return None


async def _await(future: Any) -> Any:
    return await future


async def _close(generator: AsyncGenerator[Any, Any]) -> None:
    await generator.aclose()

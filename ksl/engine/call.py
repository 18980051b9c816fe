"""A step call: its id and input are fixed when it is made, its work starts when something first waits for it."""

from __future__ import annotations

import dis
from collections.abc import Callable
from types import CodeType
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from ksl.engine.loop import RunFuture, RunLoop, RunTask

if TYPE_CHECKING:
    from ksl.define.action import Action
    from ksl.engine.durable import Durable
    from ksl.records import Scope

# Under their own names: looking one up through `super()` takes as long as calling it.
_init_future = RunFuture.__init__
_add_done_callback = RunFuture.add_done_callback
CallKind = Literal["action", "workflow", "sleep"]


class Call(RunFuture):
    """What `.run(...)` returns inside a body. To type checkers it is a coroutine; to asyncio a future."""

    what = "workflow"  # recorded as the kind of a step that has a body

    __slots__ = (
        "action",
        "after",
        "asked",
        "callee",
        "code",
        "decode",
        "due_ms",
        "due_s",
        "id",
        "input",
        "kind",
        "lasti",
        "run",
        "scope",
        "start",
        "task",
    )

    def __init__(
        self, loop: RunLoop, run: Durable, id: str, kind: CallKind, callee: str, input: bytes,
        decode: Callable[[bytes], Any] | None, code: CodeType, lasti: int, *,
        action: Action[Any, Any] | None = None, scope: Scope | None = None,
    ) -> None:  # fmt: skip
        _init_future(self, loop=loop)
        self.run = run
        self.id = id
        self.kind: CallKind = kind
        self.callee = callee
        self.input = input
        self.decode = decode
        self.code = code
        self.lasti = lasti
        self.action = action
        self.scope: Scope | None = scope  # where credentials are looked up, if pinned
        self.asked = False
        self.after = 0  # seq of the newest event the body had seen when it asked
        self.task: RunTask | None = None  # a sub-workflow's body
        self.start: Callable[[], RunTask] | None = None  # makes it
        self.due_s: float | None = None  # a sleep's duration, or
        self.due_ms: int | None = None  # the moment it ends
        run.made[id] = self

    def add_done_callback(self, fn: Callable[[Any], object], /, *, context: Any = None) -> None:
        # Whoever waits for a future adds a callback first: await, gather, wait, shield, TaskGroup.
        if not self.asked and not self.done():
            self.asked = True
            self.run.made.pop(self.id, None)
            self.run.ask(self)
        _add_done_callback(self, fn, context=context)

    def cancel(self, msg: Any | None = None) -> bool:
        if self.done():
            return False
        if self.task is not None:
            # Like awaiting a coroutine: its clean-up runs first, then the waiter sees the cancellation.
            return self.task.cancel(msg)
        cancelled = super().cancel(msg)
        if cancelled and self.asked:
            self.run.forget(self)
        return cancelled

    if not TYPE_CHECKING:  # to a type checker a call has what is written above and no more

        def __getattr__(self, name: str) -> NoReturn:
            raise AttributeError(
                f"{name!r} is looked for on the call of step {self.id}, not on its result: write `await` before "
                f"the call at {self.line}",
                name=name,
                obj=self,
            )

    @property
    def line(self) -> str:
        """file:line of the call, for messages."""
        found: int | None = self.code.co_firstlineno
        for offset, line in dis.findlinestarts(self.code):
            if offset > self.lasti:
                break
            found = line
        return f"{self.code.co_filename}:{found}"

    def cancel_now(self) -> None:
        """Cancelled, with nothing more to clean up."""
        super().cancel()

    def close(self) -> None:
        """As coroutines have it: a call that was never waited for and never will be."""
        self.asked = True
        self.run.made.pop(self.id, None)

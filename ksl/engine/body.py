"""What a body sees of its run: ids, schemas and calls, above the seam to whatever makes them durable."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any

import msgspec

from ksl.define.codec import invalid
from ksl.define.context import Context
from ksl.engine.call import Call
from ksl.engine.durable import Durable
from ksl.engine.halt import Halt
from ksl.engine.ids import Scope, step_id
from ksl.engine.inside import InsideCall, start_inside
from ksl.engine.loop import RunLoop, RunTask
from ksl.engine.tool_run import raise_if_tool
from ksl.errors import InvalidOutput, PayloadTooLarge, UnknownSite

if TYPE_CHECKING:
    from ksl.build.sites import SiteTable
    from ksl.define.action import Action
    from ksl.define.seam import HookSpec, Inside
    from ksl.define.workflow import Workflow
    from ksl.records import Scope as CredentialScope
    from ksl.records import Trigger


_HALTS_MAX = 100  # that a body may catch before it is left standing where it is


class RunInfo(msgspec.Struct, frozen=True):
    """What a run was given with its start; the same in every attempt."""

    run_id: str
    trigger: Trigger
    triggered_at_ms: int
    subscriber: str | None
    attempt: int
    workspaces_root: Path
    payload_max: int  # bytes


class Body:
    """The object at the running loop's `ksl_run`: `define.seam.RunSeam`."""

    __slots__ = ("_durable", "_halts", "_info", "_log", "_loop", "_tables", "halted", "run_id")

    def __init__(self, durable: Durable, *, info: RunInfo, tables: Mapping[str, SiteTable], log: Any) -> None:
        self._durable = durable
        self._info = info
        self._tables = tables
        self._log = log
        self._loop: RunLoop = None  # pyright: ignore[reportAttributeAccessIssue]  # attached right after
        self._halts = 0
        self.run_id = info.run_id
        self.halted = False

    def attach(self, loop: RunLoop) -> None:
        self._loop = loop

    def action(
        self,
        action: Action[Any, Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        frame: FrameType,
        scope: CredentialScope | None,
    ) -> Awaitable[Any]:
        if self.halted:
            return self.stand_still()
        slug = action.slug
        id = step_id(self._loop, frame, slug, slug)
        return self.action_step(id, action, args, kwargs, frame.f_code, frame.f_lasti, scope)

    def action_step(
        self, id: str, action: Action[Any, Any], args: tuple[Any, ...], kwargs: dict[str, Any], code: CodeType,
        lasti: int, scope: CredentialScope | None,
    ) -> Call:  # fmt: skip
        data = action.arguments.encode(args, kwargs)
        if len(data) > self._info.payload_max:
            raise _too_large(f"the input of step {id}", data, self._info.payload_max)
        return Call(
            self._loop, self._durable, id, "action", action.slug, data, action.output.decode, code, lasti,
            action=action, scope=scope,
        )  # fmt: skip

    def inside(
        self, slug: str, input: bytes, decode: Callable[[bytes], Any], body: Inside, frame: FrameType
    ) -> Awaitable[Any]:
        if self.halted:
            return self.stand_still()
        id = step_id(self._loop, frame, slug, slug)
        return self.inside_step(id, slug, input, decode, body, frame.f_code, frame.f_lasti)

    def inside_step(
        self, id: str, slug: str, input: bytes, decode: Callable[[bytes], Any], body: Inside, code: CodeType,
        lasti: int,
    ) -> Call:  # fmt: skip
        if len(input) > self._info.payload_max:
            raise _too_large(f"the input of step {id}", input, self._info.payload_max)
        call = InsideCall(self._loop, self._durable, id, "workflow", slug, input, decode, code, lasti)
        call.start = lambda: start_inside(self, self._loop, call, body, self._inside_ended)
        return call

    def workflow(self, workflow: Workflow[Any, Any], value: Any, frame: FrameType) -> Awaitable[Any]:
        if self.halted:
            return self.stand_still()
        slug = workflow.slug
        id = step_id(self._loop, frame, slug, slug)
        table = self._tables.get(slug)
        if table is None:
            raise UnknownSite(
                f"the workflow {slug} is called as a sub-workflow, but it is not one that the project defines "
                "at the top level of a module. Move its definition into a file of workflows/."
            )
        data = encode_input(workflow, value)
        if len(data) > self._info.payload_max:
            raise _too_large(f"the input of step {id}", data, self._info.payload_max)
        call = Call(
            self._loop, self._durable, id, "workflow", slug, data, workflow.output.decode, frame.f_code,
            frame.f_lasti,
        )  # fmt: skip
        scope = Scope(workflow, table, prefix=f"{id}/")
        call.start = lambda: self._start_inside(call, workflow, scope)
        return call

    def sleep(self, wanted: float | datetime, frame: FrameType) -> Awaitable[None]:
        if self.halted:
            return self.stand_still()
        self.raise_if_tool("ctx.sleep")
        id = step_id(self._loop, frame, "sleep", "ctx.sleep")
        moment = isinstance(wanted, datetime)
        data = msgspec.json.encode({"until": wanted.astimezone(UTC)} if moment else {"seconds": wanted})
        call = Call(self._loop, self._durable, id, "sleep", "sleep", data, None, frame.f_code, frame.f_lasti)
        if moment:
            call.due_ms = -int(-wanted.timestamp() * 1000 // 1)  # rounded up: never early
        else:
            call.due_s = wanted
        return call

    def hook(self, spec: HookSpec, frame: FrameType) -> HookOfRun:
        if self.halted:
            self.stand_still()
            return HookOfRun(self, "", "", "")
        self.raise_if_tool("ctx.hook")
        return self.hook_step(step_id(self._loop, frame, "hook", "ctx.hook"), spec)

    def hook_step(self, id: str, spec: HookSpec) -> HookOfRun:
        if self.halted:
            self.stand_still()
            return HookOfRun(self, "", "", "")
        try:
            token, url = self._durable.hook(id, spec)
        except Halt:
            self.stand_still()
            token = url = ""
        return HookOfRun(self, id, token, url)

    def hook_outcome(self, step: str) -> Awaitable[Any]:
        try:
            return self._durable.hook_outcome(step)
        except Halt:
            return self.stand_still()

    def raise_if_tool(self, what: str) -> None:
        """Errors: ToolCannotWait."""
        raise_if_tool(self._info.trigger, self.run_id, what)

    def stand_still(self) -> Awaitable[Any]:
        """Raises Halt. A body that catches it again and again gets what never comes instead: it would spin inside
        one call otherwise, and the server with it."""
        self._halts += 1
        if self._halts <= _HALTS_MAX:
            raise Halt
        return self._loop.create_future()

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._durable.now_ms / 1000, tz=UTC)

    @property
    def random(self) -> Random:
        return self._durable.random

    @property
    def attempt(self) -> int:
        self._durable.attempt_was_read = True
        return self._info.attempt

    def context(self, workflow: Workflow[Any, Any]) -> Context:
        return Context(
            self,
            workflow=workflow.slug,
            trigger=self._info.trigger,
            triggered_at=datetime.fromtimestamp(self._info.triggered_at_ms / 1000, tz=UTC),
            subscriber=self._info.subscriber,
            log=self._log,
            workspaces_root=self._info.workspaces_root,
        )

    async def main(self, workflow: Workflow[Any, Any], data: bytes) -> bytes:
        """The body from its stored input to its encoded output."""
        value = workflow.input.decode(data)
        try:
            result = await workflow.body(value, self.context(workflow))
        except (RuntimeError, ValueError) as error:
            # asyncio's own words, for a future of another loop that was awaited or gathered.
            if "different loop" in str(error):
                where = _innermost_line(error, self._tables[workflow.slug].file)
                self._loop.refuse("a future of another event loop", line=where)
            raise
        return encode_output(workflow, result, payload_max=self._info.payload_max)

    def _start_inside(self, call: Call, workflow: Workflow[Any, Any], scope: Scope) -> RunTask:
        task = self._loop.spawn(self.main(workflow, call.input), scope=scope, place="")
        task.add_done_callback(lambda done: self._inside_ended(call, done))  # pyright: ignore[reportArgumentType]
        return task

    def _inside_ended(self, call: Call, task: RunTask) -> None:
        if self.halted:
            return
        if task.cancelled():
            self._durable.settled_inside(call, None, None)
        elif (error := task.exception()) is not None:
            self._durable.settled_inside(call, None, error)
        else:
            self._durable.settled_inside(call, task.result(), None)


class HookOfRun:
    """`define.seam.HookHandle`."""

    __slots__ = ("_body", "_step", "token", "url")

    def __init__(self, body: Body, step: str, token: str, url: str) -> None:
        self._body = body
        self._step = step
        self.token = token
        self.url = url

    def wait(self) -> Awaitable[Any]:
        return self._body.hook_outcome(self._step)


def _innermost_line(error: BaseException, file: str) -> str | None:
    """file:line of the innermost frame of the workflow's own file that an exception came through."""
    found: str | None = None
    step = error.__traceback__
    while step is not None:
        if step.tb_frame.f_code.co_filename == file:
            found = f"{file}:{step.tb_lineno}"
        step = step.tb_next
    return found


def encode_input(workflow: Workflow[Any, Any], value: Any) -> bytes:
    """Errors: InvalidInput, NotEncodable."""
    try:
        return workflow.input.encode(value, root="input")
    except ValueError as error:
        raise invalid(error, what=f"the input of workflow {workflow.slug}") from None


def encode_output(workflow: Workflow[Any, Any], value: Any, *, payload_max: int) -> bytes:
    """Errors: InvalidOutput, NotEncodable, PayloadTooLarge."""
    try:
        data = workflow.output.encode(value, root="output")
        workflow.output.decode(data)  # what was stored must come back
    except ValueError as error:
        raise InvalidOutput(str(invalid(error, what=f"what workflow {workflow.slug} returned"))) from None
    if len(data) > payload_max:
        raise _too_large(f"the output of workflow {workflow.slug}", data, payload_max)
    return data


def _too_large(what: str, data: bytes, most: int) -> PayloadTooLarge:
    return PayloadTooLarge(
        f"{what} is {len(data):,} bytes; limits.payload allows {most:,}. Store it in a file or an object store "
        "and pass where it is, or raise the limit in ksl.toml."
    )

"""Acts in the world: one attempt at an action, bounded by its timeout, concurrency and rate."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context as Variables
from contextvars import copy_context
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ksl.define.action import Action, ActionContext
from ksl.define.credential import CredentialSource
from ksl.define.seam import in_action
from ksl.engine.attempt import Attempt, CallLater, Cancellable, Result
from ksl.engine.gate import Gate
from ksl.engine.host import Clock, Mask
from ksl.errors import NotEncodable, PayloadTooLarge

if TYPE_CHECKING:
    from ksl.engine.call import Call
    from ksl.engine.logs import Logs

THREADS_MAX = 64
_GRACE_S = 5.0  # how long a thread that was told to stop may go on before it is abandoned


class Attempts:
    """All attempts in flight in this process."""

    def __init__(
        self,
        *,
        clock: Clock,
        logs: Logs,
        payload_max: int,
        workspaces_root: Path,
        credentials: CredentialSource,
        mask: Mask,
    ) -> None:
        self._credentials = credentials
        self._mask = mask
        self._clock = clock
        self._logs = logs
        self._payload_max = payload_max
        self._workspaces_root = workspaces_root
        self._loop = asyncio.get_running_loop()
        # Two seams for tests: by which clock timeouts and rates go, and who sees an attempt before it starts
        # and may put another action or another `done` in its place.
        self.call_later: CallLater = self._loop.call_later
        self.intercept: Callable[[Attempt], None] | None = None
        self.services: object = None  # what ksl's own actions need of the server around
        self._threads: ThreadPoolExecutor | None = None
        self._gates: dict[str, Gate] = {}
        self.in_flight: dict[tuple[str, str], Attempt] = {}  # by run id and step id
        # Steps whose thread was told to stop and has not; the next attempt at each, if there is one by now.
        self._stopping: dict[tuple[str, str], Attempt | None] = {}
        self._outside = (
            copy_context()
        )  # what actions see: nothing of the request that happens to run one first
        self._variables: dict[str, Variables] = {}
        self._ended: list[tuple[Attempt, Result]] = []  # not told yet
        self._idle: asyncio.Event | None = None

    @property
    def count(self) -> int:
        return len(self.in_flight)

    def under_way(self) -> list[Attempt]:
        """Those that have started; the others wait for their action's concurrency or rate."""
        return [attempt for attempt in self.in_flight.values() if attempt.task is not None]

    def of_run(self, run_id: str) -> set[str]:
        """The steps of a run that are in flight."""
        return {step for run, step in self.in_flight if run == run_id}

    def start(
        self,
        run_id: str,
        call: Call,
        number: int,
        done: Callable[[Result], None],
        subscriber: str | None = None,
    ) -> None:
        """`done` is called from a plain host callback, unless the attempt is cancelled first."""
        action = call.action
        assert action is not None
        attempt = Attempt(run_id, call.id, action, call.input, number, done, call.scope, subscriber)
        self.in_flight[run_id, call.id] = attempt
        if action.concurrency is None and action.rate is None:
            self._launch(attempt)
            return
        gate = self._gates.get(action.slug)
        if gate is None:
            gate = self._gates[action.slug] = Gate(action, self._clock, self.call_later)
        gate.enter(attempt, self._launch)

    def cancel(self, run_id: str, step: str) -> None:
        """An async action is cancelled at once; a thread is told, and its outcome is discarded. The step's next
        attempt waits for the thread, at most for as long as a thread is given to stop."""
        attempt = self.in_flight.pop((run_id, step), None)
        if attempt is not None:
            attempt.cancelled = True
            if attempt.context is not None:
                attempt.context.cancelled.set()
            if attempt.task is not None and attempt.action.is_async:
                attempt.task.cancel()
                if not attempt.began:
                    self._leave(attempt)  # its task ends without having begun, and tells nobody
            elif attempt.thread is not None and not attempt.thread.done():
                self._let_stop((run_id, step), attempt.thread)
            self._tell_if_idle()

    def _let_stop(self, key: tuple[str, str], thread: asyncio.Future[Result]) -> None:
        self._stopping[key] = None

        def stopped() -> None:
            timer.cancel()
            if not over.done():
                over.set_result(None)
                if (waiting := self._stopping.pop(key)) is not None:
                    self._launch(waiting)

        over: asyncio.Future[None] = self._loop.create_future()
        timer = self.call_later(_GRACE_S, stopped)
        thread.add_done_callback(lambda _: stopped())

    def cancel_run(self, run_id: str) -> None:
        for key in [key for key in self.in_flight if key[0] == run_id]:
            self.cancel(*key)

    def leave(self, run_id: str, keep: Callable[[Attempt, Result], None]) -> None:
        """The run is out of memory for a while: its attempts go on, and `keep` gets what becomes of them."""
        for attempt in self.in_flight.values():
            if attempt.run_id == run_id:
                attempt.done = partial(keep, attempt)

    def adopt(self, run_id: str, call: Call, done: Callable[[Result], None]) -> bool:
        """Whether an attempt at this very step is under way; its outcome goes to `done` then."""
        attempt = self.in_flight.get((run_id, call.id))
        if attempt is None:
            return False
        if (attempt.action.slug, attempt.input) != (call.callee, call.input):
            self.cancel(run_id, call.id)
            return False
        attempt.done = done
        return True

    async def drain(self, timeout_s: float) -> int:
        """Waits until nothing is in flight, at most so long; returns how many attempts were cut off."""
        if self.in_flight and timeout_s > 0:
            self._idle = asyncio.Event()
            try:
                async with asyncio.timeout(timeout_s):
                    await self._idle.wait()
            except TimeoutError:
                pass
        left = list(self.in_flight)
        for key in left:
            self.cancel(*key)
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
        return len(left)

    def _launch(self, attempt: Attempt) -> None:
        if attempt.cancelled:
            self._leave(attempt)
            return
        if self._stopping and (key := (attempt.run_id, attempt.step)) in self._stopping:
            if (other := self._stopping[key]) is not None:
                self._leave(other)  # cancelled while it waited
            self._stopping[key] = attempt
            return
        if self.intercept is not None:
            self.intercept(attempt)
        if attempt.action.credentials:
            attempt.task = self._loop.create_task(self._begin_with_credentials(attempt))
        else:
            self._begin(attempt)

    async def _begin_with_credentials(self, attempt: Attempt) -> None:
        """They are looked up for each attempt: a person may have set them since the last."""
        try:
            resolved = await self._credentials.resolve(
                attempt.action.credentials,
                pinned=attempt.scope,
                subscriber=attempt.subscriber,
                purpose=f"attempt {attempt.number} of step:{attempt.step} of run {attempt.run_id}",
            )
        except Exception as error:
            attempt.started_at_ms = self._clock.now_ms()
            self._ended_so(attempt, Result(error=error))
            return
        attempt.credentials, attempt.uses = resolved.credentials, resolved.uses
        if attempt.cancelled:
            self._leave(attempt)
        else:
            self._begin(attempt)

    def _begin(self, attempt: Attempt) -> None:
        action = attempt.action
        attempt.started_at_ms = self._clock.now_ms()
        variables = self._variables.get(action.slug)
        if variables is None:
            variables = self._variables[action.slug] = self._outside.copy()
            variables.run(in_action.set, action.slug)
        if action.context_parameter is not None:
            attempt.context = self._context(attempt)
        if action.is_async:
            # Not loop.create_task and a done callback: this is made for every step.
            attempt.task = asyncio.Task(
                self._execute(attempt), loop=self._loop, name=action.slug, context=variables.copy()
            )
            return
        if self._threads is None:
            self._threads = ThreadPoolExecutor(THREADS_MAX, thread_name_prefix="ksl-action")
        if attempt.context is None:
            attempt.context = self._context(attempt)
        inside = variables.copy()
        thread = self._loop.run_in_executor(self._threads, lambda: inside.run(self._execute_plain, attempt))
        attempt.thread = thread
        if action.timeout_s is None:
            attempt.task = thread
            thread.add_done_callback(lambda done: self._done(attempt, done))
        else:
            waiting = self._loop.create_task(self._within(attempt, thread, action.timeout_s))
            attempt.task = waiting
            waiting.add_done_callback(lambda done: self._done(attempt, done))

    async def _execute(self, attempt: Attempt) -> None:
        attempt.began = True
        action = attempt.action
        try:
            if action.timeout_s is None:
                value = await action.call(attempt.input, attempt.context)  # pyright: ignore[reportArgumentType]
                result = self._encoded(action, value)
            else:
                result = await self._bounded(attempt, action.timeout_s)
        except BaseException as error:
            # CancelledError too, which an action may raise itself; and an action's SystemExit must not be the
            # server's.
            result = Result(error=error)
        self._ended_so(attempt, result)

    def _ended_so(self, attempt: Attempt, result: Result) -> None:
        if not self._ended:
            self._loop.call_soon(self._tell_ended)
        self._ended.append((attempt, result))

    def _tell_ended(self) -> None:
        """In a plain callback, for many attempts at a time: bodies are drained from here."""
        ended, self._ended = self._ended, []
        now_ms = self._clock.now_ms()
        for attempt, result in ended:
            self._settle(attempt, result, now_ms)

    async def _bounded(self, attempt: Attempt, timeout_s: float) -> Result:
        scope = asyncio.timeout(None)
        timer: Cancellable | None = None
        try:
            async with scope:
                timer = self.call_later(timeout_s, lambda: scope.reschedule(self._loop.time()))
                value = await attempt.action.call(attempt.input, attempt.context)  # pyright: ignore[reportArgumentType]
            return self._encoded(attempt.action, value)
        except TimeoutError:
            if scope.expired():
                return _timeout(attempt.action)
            raise
        finally:
            if timer is not None:
                timer.cancel()

    def _execute_plain(self, attempt: Attempt) -> Result:
        try:
            value = attempt.action.call(attempt.input, attempt.context)  # pyright: ignore[reportArgumentType]
        except BaseException as error:
            return Result(error=error)
        return self._encoded(attempt.action, value)

    async def _within(self, attempt: Attempt, thread: asyncio.Future[Result], timeout_s: float) -> Result:
        done, _ = await asyncio.wait({thread}, timeout=timeout_s)
        if done:
            return thread.result()
        # A thread cannot be stopped. It is told, and given time to stop before another attempt may overlap it.
        assert attempt.context is not None
        attempt.context.cancelled.set()
        await asyncio.wait({thread}, timeout=_GRACE_S)
        return _timeout(attempt.action)

    def _encoded(self, action: Action[Any, Any], value: Any) -> Result:
        output = action.output
        try:
            data = output.encode(value, root="output")
            if self._mask.active:
                data = self._mask.json(data)  # before it is decoded: the body gets what is recorded
            if len(data) > self._payload_max:
                raise PayloadTooLarge(
                    f"the output of action {action.slug} is {len(data):,} bytes; limits.payload allows "
                    f"{self._payload_max:,}. Store it elsewhere and return where it is, or raise the limit in ksl.toml."
                )
            try:
                return Result(data, output.decode(data))
            except ValueError as error:
                raise NotEncodable(
                    f"the output of action {action.slug} was written as JSON, but its annotation does not read it "
                    f"back: {error}"
                ) from error
        except Exception as error:
            return Result(error=error)

    def _done(self, attempt: Attempt, task: asyncio.Future[Result]) -> None:
        try:
            result = task.result()
        except (asyncio.CancelledError, Exception) as error:
            result = Result(error=error)
        self._settle(attempt, result, self._clock.now_ms())

    def _settle(self, attempt: Attempt, result: Result, now_ms: int) -> None:
        if self._gates:
            self._leave(attempt)
        key = (attempt.run_id, attempt.step)
        if attempt.cancelled or self.in_flight.get(key) is not attempt:
            return
        del self.in_flight[key]
        result.started_at_ms = attempt.started_at_ms
        result.finished_at_ms = now_ms
        result.uses = attempt.uses
        if attempt.context is not None:
            result.model_use = attempt.context._use  # pyright: ignore[reportPrivateUsage]
            result.uses += tuple(attempt.context._uses)  # pyright: ignore[reportPrivateUsage]
        attempt.done(result)
        if self._idle is not None:
            self._tell_if_idle()

    def _leave(self, attempt: Attempt) -> None:
        gate = self._gates.get(attempt.action.slug)
        if gate is not None:
            gate.leave()

    def _tell_if_idle(self) -> None:
        if self._idle is not None and not self.in_flight:
            self._idle.set()

    def _context(self, attempt: Attempt) -> ActionContext:
        log = self._logs.of(attempt.run_id, step_id=attempt.step)

        def report(message: str, fields: Mapping[str, Any]) -> None:
            log.info(message, progress=True, **fields)

        return ActionContext(
            run_id=attempt.run_id,
            step_id=attempt.step,
            attempt=attempt.number,
            idempotency_key=f"{attempt.run_id}/{attempt.step}",
            log=log,
            workspace=self._workspaces_root / attempt.run_id,
            credentials=attempt.credentials,
            _services=self.services,
            _subscriber=attempt.subscriber,
            _report=report,
        )


def _timeout(action: Action[Any, Any]) -> Result:
    text = f"action {action.slug} took longer than its timeout of {action.timeout_s:g} s"
    return Result(error=TimeoutError(text), type="TimeoutError")

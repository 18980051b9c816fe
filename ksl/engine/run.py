"""One run in memory: its loop, what its body has asked for, and where its history stands.

Live and replay are one routine: take the next event by `seq`, deliver it, drain the loop until nothing is
ready, repeat. What the body does by itself while it is drained (starting a sleep, making a hook, cancelling a
step, ending a sub-workflow) is *emitted*: written to the log when live, matched against the next recorded event
on replay. Everything of one turn is one `Change`, stored whole or not at all.

An event is delivered when it is appended, ahead of its commit; nothing that acts in the world starts before
every event its body could have observed is stored (`_barrier`). So a turn costs one commit, not two, and a
crash takes back only what nobody saw.
"""

from __future__ import annotations

import asyncio
import heapq
import json
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextvars import Context as Variables
from hashlib import blake2b
from random import Random
from time import perf_counter
from types import FrameType
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from ksl.define.codec import Codec
from ksl.define.seam import frame_at
from ksl.engine import ending, failures
from ksl.engine.body import Body, RunInfo
from ksl.engine.call import Call
from ksl.engine.divergence import broken_rule, definition_line
from ksl.engine.halt import Halt
from ksl.engine.history import EMITTED, HOOK_OUTCOMES, NOTES, History
from ksl.engine.hooks import HookState
from ksl.engine.host import Host
from ksl.engine.ids import Scope
from ksl.engine.loop import Entered, RunLoop, RunTask, RunTimer
from ksl.errors import InputDrift, KslError, ReplayMismatch, RunStuck, TooManySteps
from ksl.log.store import Change
from ksl.records import Event, EventType, Meta, RunRow, RunStatus, TimerKind, TimerRow
from ksl.records.moment import from_rfc3339, rfc3339

if TYPE_CHECKING:
    from ksl.build.sites import SiteTable
    from ksl.define.seam import HookSpec
    from ksl.define.workflow import Workflow

SLOW_S = 0.1  # of one turn of a body; longer makes every other run wait
RUN_TIMEOUT = "run-timeout#0"


class Run:
    """Implements `durable.Durable`. Used on the host loop's thread only, from plain callbacks."""

    def __init__(
        self,
        host: Host,
        row: RunRow,
        *,
        workflow: Workflow[Any, Any],
        tables: Mapping[str, SiteTable],
        input: bytes,
        history: History,
        log: Any,
    ) -> None:
        self.host = host
        self.row = row
        self.run_id = row.run_id
        self.workflow = workflow
        self.input = input
        self.history = history
        self.log = log
        self._random: Random | None = None
        self.now_ms = history.started_at_ms or 0
        self.scope = Scope(workflow, tables[workflow.slug], prefix="")
        self.halted: KslError | None = None  # a mismatch: the run is to be held
        self.evicting = False
        self.replaying = False
        self.attempt_was_read = False
        self.caught_up = False  # with its history: from then on what it does is new
        self.paused = False  # what is in flight is recorded, nothing more begins
        self.cancel_requested = False
        self.timed_out = False
        self.main: RunTask | None = None
        self.loop: RunLoop | None = None
        self.active = 0  # actions asked for and neither settled nor in backoff
        self.asked: dict[str, Call] = {}
        self.hooks: dict[str, HookState] = {}
        self.attempts = history.attempts
        self.backoffs: dict[str, TimerRow] = {}
        self.timers: dict[str, tuple[RunTimer, TimerRow]] = {}
        self.sleeps: dict[str, TimerRow] = {}
        self.run_timer: TimerRow | None = None
        self.stored_seq = row.seq
        self.seq = row.seq
        self._loaded_seq = row.seq
        self.fired_timer: str | None = None  # the newest one
        self.has_slot = False
        self._tables = tables
        self._body: Body | None = None
        self._cursor = 0
        self._begun: Change | None = None  # the beginning of the turn in which a later attempt begins
        self._position = 0  # seq of the newest event delivered to the body
        self._barrier = 0  # seq that must be stored before anything acts
        self._steps = 0
        self._wanted: dict[str, Call] = {}  # asked for in this turn
        self._in_line: list[Call] = []  # for a slot, to be performed
        self._blocked: deque[tuple[int, list[Call]]] = deque()
        self._ripe: list[tuple[int, str]] = []  # pooled outcomes that were asked for, by seq
        self.change = Change(run_id=row.run_id)

    # Life.

    def begin(self) -> None:
        """The run was admitted: its body starts, or starts again after a failed attempt."""
        for event in self.history.current:
            if event.type in HOOK_OUTCOMES and event.step is not None:
                self.history.pool[event.step] = event  # answered between the attempts
        self._cursor = len(self.history.current)
        meta = Meta(attempt=self.history.attempt)
        event = self.record("run_started", None, meta=meta)
        if self.row.started_at_ms is None:
            self.row = replace(self.row, started_at_ms=event.at_ms)
        if self.row.due_ms is not None:
            self.change.timers_cleared.append(TimerRow(self.row.due_ms, self.run_id, "", "run_retry"))
        self.row = replace(self.row, attempt=self.history.attempt, due_ms=None)
        # Should the code not fit what earlier attempts left, no more than the beginning is kept of this turn.
        self._begun = Change(
            run_id=self.run_id, events=[event], timers_cleared=list(self.change.timers_cleared)
        )
        self.caught_up = self.history.attempt == 1
        self._take(event)
        self._begun = None
        self.caught_up = True

    def replay(self) -> None:
        """Brings the body to where its history ends. Nothing acts and nothing is written before that."""
        events = self.history.current
        self.replaying = self.log.muted = True
        before: Entered = None
        entered = False
        try:
            while self._cursor < len(events) and self.halted is None:
                event = events[self._cursor]
                self._cursor += 1
                if event.type in NOTES:
                    continue
                if event.type in EMITTED:
                    self._halt_at(event, "the code did not ask for it there")
                    break
                self._deliver(event)
                if not entered and self.loop is not None:
                    entered, before = (
                        True,
                        self.loop.enter(),
                    )  # once for the whole replay: it costs as much as a step
                self._settle_turn()
                if self.main is not None and self.main.done():
                    # What it left in flight is cancelled when it is concluded, and finds those events then.
                    for event in self.events_left():
                        if event.type != "step_cancelled":
                            self._halt_at(event, "the code's body had already ended")
                    break
        finally:
            self.replaying = self.log.muted = False
            if entered and self.loop is not None:
                self.loop.leave(before)
        if self.halted is not None or self.main is None:
            return
        for step in list(self.history.retrying):
            if (call := self.asked.get(step)) is not None:
                data = json.loads(self.history.retrying[step].data or b"{}")
                due_ms = from_rfc3339(data["next_attempt_at"])
                if due_ms <= self.host.clock.now_ms():
                    continue  # over, and maybe cut off in the attempt that followed: it is made now
                self._wanted.pop(step, None)
                timer = self.back_off(call, due_ms)
                if self.row.status is RunStatus.RUNNING:
                    # It may have fired before the clock was set back.
                    self.change.timers_set.append(timer)
        interrupted = [call for step, call in self._wanted.items() if step in self.history.interrupted]
        for call in interrupted:
            del self._wanted[call.id]
        self._finish_turn()
        self.caught_up = self.halted is None
        for call in interrupted:
            if self.asked.get(call.id) is call:  # else the one before it ended the run
                self._interrupted(call)

    def events_left(self) -> list[Event]:
        return [event for event in self.history.current[self._cursor :] if event.type not in NOTES]

    def post(
        self,
        type: EventType,
        step: str | None,
        *,
        data: bytes | None = None,
        input: bytes | None = None,
        meta: Meta | None = None,
        value: Any = None,
        cleared: TimerRow | None = None,
        stored: Callable[[], None] | None = None,
        lost: Callable[[KslError], None] | None = None,
    ) -> None:
        """An event from the world: recorded, delivered, and the body drained."""
        event = self.record(type, step, data=data, input=input, meta=meta)
        if cleared is not None:
            self.change.timers_cleared.append(cleared)
        if stored is not None:
            self.change.stored = stored
        if lost is not None:
            self.change.lost = lost
        self._take(event, value)

    def note(
        self, type: EventType, step: str | None, *, data: bytes | None = None, input: bytes | None = None,
        meta: Meta | None = None, timers: tuple[TimerRow, ...] = (), stored: Callable[[], None] | None = None,
    ) -> None:  # fmt: skip
        """An event that the body does not see."""
        self.record(type, step, data=data, input=input, meta=meta)
        self.change.timers_set.extend(timers)
        self.change.stored = stored
        self._finish_turn()

    def pause(
        self, data: bytes, meta: Meta, *, stored: Callable[[], None], lost: Callable[[KslError], None]
    ) -> None:
        """Held by a person: what is in flight is still recorded, nothing more begins."""
        self.paused = True
        self.record("run_held", None, data=data, meta=meta)
        self.set_row(replace(self.row, status=RunStatus.HELD, waiting_on=None))
        self.change.stored, self.change.lost = stored, lost
        self.flush()

    def unpause(
        self,
        event: Event,
        in_flight: set[str],
        *,
        stored: Callable[[], None],
        lost: Callable[[KslError], None],
    ) -> None:
        """Goes on, its body still in memory. `in_flight`: the steps that never stopped."""
        self.paused = False
        self.record(event.type, None, data=event.data, meta=event.meta)
        self.change.stored, self.change.lost = stored, lost
        self._in_line.clear()
        self._blocked.clear()
        self._wanted = {
            step: call
            for step, call in self.asked.items()
            if call.kind == "action" and call.id not in in_flight and call.id not in self.backoffs
        }
        self._finish_turn()

    def drop_turn(self) -> None:
        """Takes back what a replay that came to nothing had written."""
        self.change = self._begun or Change(run_id=self.run_id)
        self.seq = self._begun.events[0].seq if self._begun else self._loaded_seq

    def evict(self) -> None:
        """Leaves memory. The author's code may notice (its `finally` blocks run) but cannot act: every step
        call raises Halt, and what it returns is discarded."""
        self.evicting = self.log.muted = True
        if self._body is not None:
            self._body.halted = True
            self._body = None
        if self.loop is not None:
            ending.close_tasks(self.loop)
            self.loop.let_go()
        self.asked.clear()
        self.hooks.clear()
        self._wanted.clear()
        self._blocked.clear()
        self._in_line.clear()

    @property
    def is_in_line(self) -> bool:
        """Waits for a slot."""
        return bool(self._in_line)

    @property
    def random(self) -> Random:
        """Seeded by the run, at first use: seeding costs more than all the rest of a run's making."""
        if self._random is None:
            self._random = Random(f"ksl:{self.history.seed or self.run_id}")
        return self._random

    @property
    def is_idle(self) -> bool:
        """Waits for nothing but moments and answers: may leave memory."""
        return (
            self.main is not None
            and not self.main.done()
            and self.active == 0
            and not self._wanted
            and not self._blocked
            and not self._in_line
            and self.stored_seq == self.seq
        )

    def armed(self) -> Iterator[TimerRow]:
        """Every timer that is running for this run."""
        yield from self.sleeps.values()
        yield from (timer for _, timer in self.timers.values())
        yield from self.backoffs.values()
        yield from (state.timer for state in self.hooks.values() if state.timer is not None)
        if self.run_timer is not None:
            yield self.run_timer

    # What the world tells.

    def attempt_done(self, call: Call, result: Any) -> None:
        """An attempt of an action ended."""
        if self.asked.get(call.id) is call:
            ending.record_attempt(self, call, result)

    def timer_due(self, timer: TimerRow) -> bool:
        """A moment has come. False: nothing here waits for it, and its row is only in the way."""
        step = timer.step
        if self.paused:
            return True  # it stays in the log, and is looked for again when the run is released
        armed = self._armed_as(timer)
        if armed is None or armed.due_ms != timer.due_ms:
            return False  # another of the same id: a later attempt of the run measures anew
        match timer.kind:
            case "sleep":
                self.post("sleep_completed", step, data=b"null", cleared=armed)
            case "timer":
                self.post("timer_fired", step, cleared=armed)
            case "hook":
                self.post("hook_expired", step, data=self.hooks[step].timeout_data(), cleared=armed)
            case "step_retry":
                del self.backoffs[step]
                self.active += 1
                self._wanted[step] = self.asked[step]
                self.change.timers_cleared.append(timer)
                self._finish_turn()
            case _:
                return False
        return True

    def _armed_as(self, timer: TimerRow) -> TimerRow | None:
        step = timer.step
        match timer.kind:
            case "sleep":
                return self.sleeps.get(step)
            case "timer" if step == RUN_TIMEOUT:
                return self.run_timer
            case "timer":
                return self.timers[step][1] if step in self.timers else None
            case "hook":
                return self.hooks[step].timer if step in self.hooks else None
            case "step_retry":
                return self.backoffs.get(step)
            case _:
                return None

    def on_stored(self, seq: int) -> None:
        """Everything up to `seq` is committed: what waited for that may act."""
        if seq > self.stored_seq:
            self.stored_seq = seq
        blocked = self._blocked
        while blocked and blocked[0][0] <= self.stored_seq:
            self._issue(blocked.popleft()[1])

    # What the body asks (durable.Durable).

    def ask(self, call: Call) -> None:
        if self.halted is not None or self.evicting:
            raise Halt
        self._steps += 1
        if self._steps > self.host.limits.steps:
            self.halted = TooManySteps(
                f"the run asked for more than {self.host.limits.steps:,} steps (limits.steps); the next would be "
                f"{call.id} at {call.line}. Nothing of it was executed. Split the work over several runs, or raise "
                "the limit in ksl.toml and `ksl runs retry` it."
            )
            raise Halt
        call.after = self._position
        self.asked[call.id] = call
        pooled = self.history.pool.get(call.id)
        if not self.attempt_was_read and self.history.is_new(call.id, self._position):
            self.halted = ReplayMismatch(
                f"run {self.run_id}: the code asks for step:{call.id} at {call.line}, for which an earlier attempt "
                "of the run, having seen the same, did not ask. Nothing was executed; the run is held. Restore the "
                f"code it was started with and `ksl runs retry {self.run_id}`.",
                rule="step-added",
                line=call.line,
            )
            raise Halt
        if pooled is not None:
            heapq.heappush(self._ripe, (pooled.seq, call.id))
        match call.kind:
            case "action":
                self.active += 1
                if pooled is None:
                    self._wanted[call.id] = call
            case "sleep":
                self._start_sleep(call)
            case "workflow":
                assert call.start is not None
                call.task = call.start()

    def forget(self, call: Call) -> None:
        if self.halted is not None or self.evicting or self.asked.pop(call.id, None) is None:
            return
        step = call.id
        if call.kind == "action":
            if step in self.backoffs:
                self.change.timers_cleared.append(self.backoffs.pop(step))
            else:
                self.active -= 1
                had_begun = self._wanted.pop(step, None) is None
                if had_begun and not self.replaying:
                    self.host.abandon(self, call)
        elif call.kind == "sleep" and step in self.sleeps:
            self.change.timers_cleared.append(self.sleeps.pop(step))
        if step not in self.history.cancelled or not self.history.is_strict(self.history.cancelled[step]):
            self._emit(
                "step_cancelled", step, meta=Meta(after=self._position, kind=call.kind, callee=call.callee)
            )

    def settled_inside(self, call: Call, data: bytes | None, error: BaseException | None) -> None:
        if self.halted is not None or self.evicting or self.asked.get(call.id) is not call:
            return
        step = call.id
        if data is None and error is None:
            del self.asked[step]
            call.cancel_now()
            self._emit(
                "step_cancelled", step, meta=Meta(after=call.after, kind="workflow", callee=call.callee)
            )
            return
        pooled = self.history.pool.get(step)
        meta = Meta(attempt=1, after=call.after, kind="workflow", callee=call.callee)
        if pooled is not None:
            if self._ended_otherwise(call, pooled, failed=error is not None):
                return
            event = pooled
        elif error is None:
            event = self._emit("step_completed", step, data=data, input=call.input, meta=meta)
        else:
            failure = failures.failure_data(error, step=step, attempts=1)
            # A group of failures, or a timeout, has no one cause that could name what is to run again.
            reopens = failures.reopened_steps(error)
            if not reopens and failures.timed_out(error) and self.fired_timer is not None:
                reopens = [self.fired_timer]
            meta = replace(meta, fatal=failures.is_final(error), reopens=tuple(reopens))
            event = self._emit(
                "step_failed", step, data=failures.encode(failure), input=call.input, meta=meta
            )
        if event.seq > self._loaded_seq or self._fits(call, event, pooled=pooled is not None):
            self._settle(call, event, None)

    def _ended_otherwise(self, call: Call, pooled: Event, *, failed: bool) -> bool:
        """Whether a sub-workflow that failed in an earlier attempt of the run now succeeds, or the other way."""
        before = pooled.type == "step_failed"
        if before is failed or self.attempt_was_read or not self.history.is_certain(pooled):
            return False
        if pooled.seq < self.history.drift_accepted_before:
            return False
        self._halt_at(
            pooled,
            f"the code of sub-workflow {call.callee} now {'fails' if failed else 'succeeds'} ({call.line})",
            rule="other-output",
            line=call.line,
        )
        return True

    def hook(self, step: str, spec: HookSpec) -> tuple[str, str]:
        codec = Codec(spec.schema if spec.schema is not None else Any, where=f"the schema of hook {step}")
        state = HookState(self, step, spec, codec)
        begun = self.history.begun.get(step)
        event = begun or self._emit(
            "hook_created",
            step,
            data=state.created_data(self.host.clock.now_ms()),
            meta=Meta(after=self._position),
        )
        state.created(event, workflow=self.workflow.slug, key_id=self.host.tokens.newest)
        token = self.host.tokens.token(self.run_id, step, key_id=state.row.key_id)
        self.hooks[step] = state
        fresh = event.seq > self._loaded_seq
        # The deadline is set again in a later attempt: it went with the run's end, or came in between.
        if state.timer is not None and (fresh or (not self.replaying and step not in self.history.pool)):
            self.change.timers_set.append(state.timer)
        if fresh:
            self.change.hooks.append(state.row)
            self._barrier = max(self._barrier, event.seq)
        if (pooled := self.history.pool.get(step)) is not None:
            heapq.heappush(self._ripe, (pooled.seq, step))
        return token, self.host.hook_url(token)

    def hook_outcome(self, step: str) -> Awaitable[Any]:
        if self.halted is not None or self.evicting or self.loop is None:
            raise Halt
        return self.hooks[step].wait(self.loop)

    def timer_wanted(self, handle: RunTimer, delay_s: float) -> None:
        loop = self.loop
        assert loop is not None
        if self.halted is not None or self.evicting:
            return
        if delay_s <= 0:
            loop.ripen(handle)
            return
        task = asyncio.current_task(loop)  # pyright: ignore[reportArgumentType]
        scope, place = (task.scope, task.place) if isinstance(task, RunTask) else (self.scope, "")
        step = scope.next_id("timer", place)
        handle.step = step
        timer = self._begin_timer("timer_started", step, "timer", delay_s=delay_s)
        self.timers[step] = (handle, timer)
        if (pooled := self.history.pool.get(step)) is not None:
            heapq.heappush(self._ripe, (pooled.seq, step))

    def timer_unwanted(self, handle: RunTimer) -> None:
        step = handle.step
        if step is not None and (entry := self.timers.pop(step, None)) is not None and not self.replaying:
            self.change.timers_cleared.append(entry[1])

    # What asyncio tells the loop.

    def noticed(self, context: dict[str, Any]) -> None:
        """asyncio's complaints: a task whose exception nobody retrieved, a callback that raised."""
        error = context.get("exception")
        if not self.evicting and error is not None and "never retrieved" not in context.get("message", ""):
            self.log.warning("in the body", complaint=context.get("message"), error=repr(error))

    def body_line(self) -> str:
        """file:line where the body stands: inside a drain that of the running task."""
        frame: FrameType | None = frame_at(1)
        while frame is not None:
            if frame.f_code.co_filename == self.scope.table.file:
                return f"{frame.f_code.co_filename}:{frame.f_lineno}"
            frame = frame.f_back
        return self._awaiting_line() or definition_line(self.scope)

    def _awaiting_line(self) -> str | None:
        """file:line of the innermost await in the workflow's file that the body stands at."""
        found: str | None = None
        coro: Any = self.main.get_coro() if self.main is not None else None
        while (inner := getattr(coro, "cr_frame", None)) is not None:
            if inner.f_code.co_filename == self.scope.table.file:
                found = f"{inner.f_code.co_filename}:{inner.f_lineno}"
            coro = coro.cr_await
        return found

    # One turn.

    def _take(self, event: Event, value: Any = None) -> None:
        self._barrier = event.seq
        self._deliver(event, value)
        self._settle_turn()
        self._finish_turn()

    def _settle_turn(self) -> None:
        """Drains, and hands out what earlier attempts of the run left, oldest first, as it is asked for."""
        loop = self.loop
        if loop is None:
            return
        began_s = perf_counter()
        try:
            while True:
                loop.drain()
                if self.halted is not None or not self._ripe:
                    break
                _, step = heapq.heappop(self._ripe)
                event = self.history.pool.get(step)
                if event is not None and (
                    step in self.asked
                    or step in self.timers
                    or (step in self.hooks and self.hooks[step].is_open)
                ):
                    if step in self.asked and self.asked[step].kind == "workflow":
                        continue  # its body runs again; the outcome is taken when that ends
                    del self.history.pool[step]
                    self._deliver(event, pooled=True)
        except KslError as error:
            self.halted = error
        took_s = perf_counter() - began_s
        if took_s > SLOW_S:
            self.host.slow(self, took_s)

    def _finish_turn(self) -> None:
        """Writes the turn down and lets what it asked for start."""
        if self.halted is not None:
            self.host.halted(self, self.halted)
            return
        if self.main is not None and self.main.done():
            ending.conclude(self)
            return
        if self.main is not None:
            self._update_status()
            if self.halted is not None:
                self.host.halted(self, self.halted)
                return
        self.flush()
        if self._wanted:
            wanted = list(self._wanted.values())
            self._wanted.clear()
            if self._barrier <= self.stored_seq:
                self._issue(wanted)
            else:
                self._blocked.append((self._barrier, wanted))
        elif self.active == 0 and self.has_slot:
            self.host.release_slot(self)

    def flush(self) -> None:
        """Hands the turn's change to the log."""
        change = self.change
        if change.events or change.run or change.timers_set or change.timers_cleared or change.hooks:
            if change.timers_set and change.timers_cleared:
                # Armed and given up in one turn. The log clears before it sets, so the row would stay behind.
                change.timers_set = [
                    timer for timer in change.timers_set if timer not in change.timers_cleared
                ]
            self.change = Change(run_id=self.run_id)
            self.host.append(self, change, self.seq)

    def _issue(self, calls: list[Call]) -> None:
        if self.has_slot:
            self._issue_now(calls)
        elif self._in_line:
            self._in_line.extend(calls)
        else:
            self._in_line = list(calls)
            self.host.want_slot(self, self._admitted)

    def _admitted(self) -> None:
        calls, self._in_line = self._in_line, []
        self._issue_now(calls)
        if self.active == 0 and self.has_slot:
            self.host.release_slot(self)  # the body gave up on them while they were in line

    def _issue_now(self, calls: list[Call]) -> None:
        once: list[Call] = []
        for call in calls:
            if call.done() or call.id not in self.asked:
                continue
            if call.action is not None and call.action.effect == "at_most_once":
                once.append(call)
            else:
                self._perform(call)
        if once and not self.host.stopping:
            for call in once:
                meta = Meta(
                    attempt=self.attempts.get(call.id, 0) + 1,
                    after=call.after,
                    kind="action",
                    callee=call.callee,
                )
                self.record("step_started", call.id, input=call.input, meta=meta)
            # Their start is on disk before they start: found there without an outcome, they are not run again.
            self.change.stored = lambda: self._perform_started(once)
            self.flush()

    def _perform_started(self, calls: list[Call]) -> None:
        for call in calls:
            if not call.done() and call.id in self.asked and not self.evicting:
                self._perform(call)

    def _perform(self, call: Call) -> None:
        if self.paused:
            return
        self.host.perform(self, call, self.attempts.get(call.id, 0) + 1)

    def _deliver(self, event: Event, value: Any = None, *, pooled: bool = False) -> None:
        """Shows one event to the body."""
        step = event.step
        type = event.type
        if type in HOOK_OUTCOMES and step not in self.hooks and step in self.history.begun:
            # Answered before this attempt has come to it: kept, as what earlier attempts left is.
            self.history.pool[step or ""] = event
            return
        if type == "run_started" and self.history.started_seq is not None:
            # A later attempt begins where the first did: what that one recorded must come to it unchanged.
            self._position = self.history.started_seq
        else:
            if event.at_ms > self.now_ms:
                self.now_ms = event.at_ms
            if self.loop is not None:
                self.loop.advance(event.at_ms / 1000)
            if event.seq > self._position:
                self._position = event.seq
        match type:
            case "step_completed" | "step_failed" | "sleep_completed":
                call = self.asked.get(step or "")
                if call is None:
                    return self._halt_at(event, "the code did not ask for it")
                if call.kind == "workflow" and not pooled:
                    return self._halt_at(event, "the sub-workflow's code had not come to its end")
                if self._fits(call, event, pooled=pooled):
                    self._settle(call, event, value)
            case "timer_fired" if step == RUN_TIMEOUT:
                self.run_timer = None
                self.timed_out = True
                self._cancel_main()
            case "timer_fired":
                self.fired_timer = step
                entry = self.timers.pop(step or "", None)
                if entry is None or self.loop is None:
                    return self._halt_at(event, "the code has no such timer running")
                self.loop.ripen(entry[0])
            case "hook_resumed" | "hook_rejected" | "hook_expired":
                state = self.hooks.get(step or "")
                if state is None:
                    return self._halt_at(event, "the code did not make that hook")
                closing = state.settle(event)
                if not self.replaying and not pooled:
                    self.change.hooks.append(state.row)
                    if closing is not None and type != "hook_expired":
                        self.change.timers_cleared.append(closing)
            case "run_started":
                self._start_body()
            case "run_cancel_requested":
                self.cancel_requested = True
                self._cancel_main()
            case _:
                pass

    def _settle(self, call: Call, event: Event, value: Any) -> None:
        del self.asked[call.id]
        if call.kind == "action":
            self.active -= 1
            if self.replaying:
                self._wanted.pop(call.id, None)
        elif call.kind == "sleep":
            self.sleeps.pop(call.id, None)
        if event.type == "step_failed":
            call.set_exception(failures.step_failure(event))
            return
        if value is None and call.decode is not None:
            try:
                value = call.decode(event.data or b"null")
            except ValueError as error:
                why = f"its recorded output no longer fits the annotation of {call.callee}: {error}"
                return self._halt_at(event, why, rule="other-output", line=call.line)
        call.set_result(value)

    def _fits(self, call: Call, event: Event, *, pooled: bool) -> bool:
        """Whether a recorded outcome is of the step that the code asked for."""
        if not self.replaying and not pooled:
            return True
        meta = event.meta or Meta()
        if pooled and (self.attempt_was_read or not self.history.is_strict(event)):
            return True
        if meta.callee and meta.callee != call.callee:
            why = f"the code calls {call.callee} there ({call.line}), not {meta.callee}"
            self._halt_at(event, why, rule="other-callee", line=call.line)
            return False
        if meta.after and meta.after != call.after:
            self._halt_at(
                event,
                f"it was asked for after event {meta.after}, the code asks for it after event {call.after} "
                f"({call.line})",
                rule="moved",
                line=call.line,
            )
            return False
        return not self._drifted(call, event)

    def _drifted(self, call: Call, event: Event) -> bool:
        """Whether the step was recorded with another input, and nobody has accepted that."""
        accepted = event.seq < self.history.drift_accepted_before
        if event.input is not None and not accepted and not ending.same_input(event.input, call):
            self.halted = InputDrift(
                f"run {self.run_id}: step {call.id} was recorded at event {event.seq} with the input "
                f"{ending.shorten(event.input)}, the code asks for it with {ending.shorten(call.input)} "
                f"({call.line}). Nothing was executed; the run is held. Restore the code and "
                f"`ksl runs retry {self.run_id}`, or accept the recorded outcome with "
                f"`ksl runs release {self.run_id} --accept-drift`.",
                line=call.line,
            )
            return True
        return False

    def record(
        self, type: EventType, step: str | None, *, data: bytes | None = None, input: bytes | None = None,
        meta: Meta | None = None,
    ) -> Event:  # fmt: skip
        self.seq += 1
        event = Event(self.run_id, self.seq, type, step, self.host.clock.now_ms(), data, input, meta)
        self.change.events.append(event)
        return event

    def _emit(
        self, type: EventType, step: str, *, data: bytes | None = None, input: bytes | None = None,
        meta: Meta | None = None,
    ) -> Event:  # fmt: skip
        """An event of the body's own doing: the next recorded one on replay, a new one when live."""
        event = self._next_recorded()
        if event is not None:
            if event.type == type and event.step == step:
                self._cursor += 1
                return event
            self._halt_at(
                event, f"the code asked for {_described(type, step)} there ({self.body_line()})", emitted=step
            )
            raise Halt
        return self.record(type, step, data=data, input=input, meta=meta)

    def _next_recorded(self) -> Event | None:
        """What comes next in the history, to be delivered or asked for."""
        events = self.history.current
        while self._cursor < len(events) and events[self._cursor].type in NOTES:
            self._cursor += 1
        return events[self._cursor] if self._cursor < len(events) else None

    def _start_body(self) -> None:
        info = RunInfo(
            run_id=self.run_id,
            trigger=self.row.trigger,
            triggered_at_ms=self.row.triggered_at_ms,
            subscriber=self.row.subscriber,
            attempt=self.history.attempt,
            workspaces_root=self.host.workspaces_root,
            payload_max=self.host.limits.payload,
        )
        body = Body(self, info=info, tables=self._tables, log=self.log)
        salt = int.from_bytes(blake2b(self.run_id.encode(), digest_size=7).digest()) << 4
        loop = RunLoop(self, seam=body, salt=salt)
        body.attach(loop)
        loop.advance(self.now_ms / 1000)
        self._body = body
        self.loop = loop
        self.main = loop.spawn(
            body.main(self.workflow, self.input), scope=self.scope, place="", context=Variables()
        )
        if self.workflow.timeout_s is not None:
            self.run_timer = self._begin_timer(
                "timer_started", RUN_TIMEOUT, "timer", delay_s=self.workflow.timeout_s
            )

    def _start_sleep(self, call: Call) -> None:
        begun = self.history.begun.get(call.id)
        if begun is None:
            begun = self._next_recorded()  # another than this sleep's beginning is told of when it is emitted
            if begun is not None and begun.step != call.id:
                begun = None
        elif self.attempt_was_read or not self.history.is_strict(begun):
            begun = None
        if begun is not None and self._drifted(call, begun):
            raise Halt
        self.sleeps[call.id] = self._begin_timer(
            "sleep_started", call.id, "sleep", delay_s=call.due_s, due_ms=call.due_ms, input=call.input
        )

    def _begin_timer(
        self, type: EventType, step: str, kind: TimerKind, *, delay_s: float | None, due_ms: int | None = None,
        input: bytes | None = None,
    ) -> TimerRow:  # fmt: skip
        """A sleep's or timer's beginning, with the moment it is due; recorded ones keep theirs."""
        begun = self.history.begun.get(step)
        if begun is None:
            # From the wall clock, not from the body's time, and rounded up: never early.
            due = due_ms if due_ms is not None else self.host.clock.now_ms() + 1 + int((delay_s or 0) * 1000)
            begun = self._emit(
                type, step, data=msgspec.json.encode({"due": rfc3339(due)}), input=input,
                meta=Meta(after=self._position),
            )  # fmt: skip
        fresh = begun.seq > self._loaded_seq
        recorded = from_rfc3339(json.loads(begun.data or b"{}")["due"])
        timer = TimerRow(
            recorded, self.run_id, step, kind, boot=self.host.boot if delay_s is not None else ""
        )
        # Set again where an earlier attempt of the run had cleared it; the log keeps one row for each key.
        if fresh or (not self.replaying and step not in self.history.pool):
            self.change.timers_set.append(timer)
        return timer

    def back_off(self, call: Call, due_ms: int) -> TimerRow:
        """The next attempt of a step is not made before the moment."""
        timer = TimerRow(due_ms, self.run_id, call.id, "step_retry", boot=self.host.boot)
        self.backoffs[call.id] = timer
        self.active -= 1
        return timer

    def _interrupted(self, call: Call) -> None:
        if self.host.goes_on(self, call):
            return  # this process began it, and knows or will know what became of it
        made = self.history.interrupted[call.id].meta
        ending.record_interruption(self, call, attempt=made.attempt if made else 1)

    def _cancel_main(self) -> None:
        if self.main is not None:
            self.main.cancel()

    def _update_status(self) -> None:
        if self.paused or (
            self.active > 0 and self.row.status is RunStatus.RUNNING and self.change.run is None
        ):
            return
        status, waiting_on = ending.waiting(self)
        if status is None:
            self.halted = RunStuck(
                f"the body waits at {self.body_line()} for something that cannot happen: no step, timer or hook "
                "of this run is open. Wait for a step, a hook or a timer, or set the event it waits for."
            )
            return
        if status != self.row.status or waiting_on != self.row.waiting_on or self.change.run is not None:
            self.set_row(replace(self.row, status=status, waiting_on=waiting_on))

    def set_row(self, row: RunRow) -> None:
        self.row = replace(row, seq=self.seq)
        self.change.run = self.row

    def _halt_at(
        self, event: Event, why: str, *, rule: str = "", line: str = "", emitted: str | None = None
    ) -> None:
        if self.halted is None:
            rule = rule or broken_rule(
                event,
                self.history.current[self._cursor :],
                asked=[*self.asked, *((emitted,) if emitted else ())],
                ended=self.main is not None and self.main.done(),
                table=self.scope.table,
                tables=self._tables,
            )
            line = line or self.body_line()
            self.halted = ReplayMismatch(
                f"run {self.run_id}: its history has {_described(event.type, event.step)} at event {event.seq}, but "
                f"{why}{'' if line in why else f' ({self._asks_for(line)})'}. Nothing was executed; the run is held. "
                "Restore the code it was started with and "
                f"`ksl runs retry {self.run_id}`.",
                rule=rule,
                line=line,
            )

    def _asks_for(self, line: str) -> str:
        """The code's side of a mismatch: what it waits for, and where."""
        if self.main is None or self.main.done():
            return line
        waits = [f"step:{call.id} at {call.line}" for call in self.asked.values()]
        waits += [f"step:{step}" for step, state in self.hooks.items() if state.is_awaited]
        return f"it waits for {', '.join(waits[:3])}" if waits else line


def _described(type: str, step: str | None) -> str:
    return f"{type} of step:{step}" if step else type

"""One run in memory: its loop, what its body has asked for, and where its history stands.

Live and replay are one routine: take the next event by `seq`, deliver it, drain the loop until nothing is
ready, repeat. What the body does by itself while it is drained (starting a sleep, making a hook, cancelling a
step, ending a sub-workflow) is *emitted*: written to the log when live, matched against the next recorded event
on replay. Everything of one turn is one `Change`, stored whole or not at all.

An event is delivered when it is appended, ahead of its commit; nothing that acts in the world starts before
every event its body could have observed is stored (`barrier`). So a turn costs one commit, not two, and a
crash takes back only what nobody saw.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from random import Random
from time import perf_counter
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from ksl.engine import asking, ending, mismatch, moments, performing, standing
from ksl.engine.body import Body
from ksl.engine.call import Call
from ksl.engine.delivering import deliver
from ksl.engine.halt import Halt
from ksl.engine.history import HOOK_OUTCOMES, NOTES, History
from ksl.engine.hooks import HookState
from ksl.engine.host import Host
from ksl.engine.ids import Scope
from ksl.engine.loop import RunLoop, RunTask, RunTimer
from ksl.errors import KslError
from ksl.log.store import Change
from ksl.records import Event, EventType, Meta, RunRow, RunStatus, TimerRow

if TYPE_CHECKING:
    from ksl.build.sites import SiteTable
    from ksl.define.workflow import Workflow

_RUNNING = RunStatus.RUNNING
SLOW_S = 0.1  # of one turn of a body; longer makes every other run wait


class Run:
    """Implements `durable.Durable`. Used on the host loop's thread only, from plain callbacks."""

    # Attributes beyond thirty would make each run's dict one of its own, kilobytes large.
    __slots__ = (
        "_begun", "_random", "active", "asked", "attempt_was_read", "attempts", "backoffs", "barrier",
        "blocked", "body", "cancel_requested", "caught_up", "change", "cursor", "evicting", "fired_timer",
        "halted", "has_slot", "history", "hook_hashes", "hooks", "host", "in_line", "input", "loaded_seq",
        "log", "loop", "made", "main", "now_ms", "paused", "position", "replaying", "ripe", "row", "run_id",
        "run_timer", "scope", "seq", "sleeps", "steps_asked", "stored_seq", "tables", "timed_out", "timers", "waiting",
        "wanted", "workflow",
    )  # fmt: skip

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
        self.made: dict[str, Call] = {}  # calls that nothing has waited for
        self.asked: dict[str, Call] = {}
        self.hooks: dict[str, HookState] = {}
        self.hook_hashes: dict[str, bytes] = {}  # by step, as stored, where a key of theirs is gone
        self.attempts = history.attempts
        self.backoffs: dict[str, TimerRow] = {}
        self.timers: dict[str, tuple[RunTimer, TimerRow]] = {}
        self.sleeps: dict[str, TimerRow] = {}
        self.run_timer: TimerRow | None = None
        self.stored_seq = row.seq
        self.seq = row.seq
        self.loaded_seq = row.seq
        self.fired_timer: str | None = None  # the newest one
        self.has_slot = False
        self.waiting = 0  # of its active actions: those that do nothing but wait for another run
        self.tables = tables
        self.body: Body | None = None
        self.cursor = 0
        self._begun: Change | None = None  # the beginning of the turn in which a later attempt begins
        self.position = 0  # seq of the newest event delivered to the body
        self.barrier = 0  # seq that must be stored before anything acts
        self.steps_asked = 0
        self.wanted: dict[str, Call] = {}  # asked for in this turn
        self.in_line: list[Call] = []  # for a slot, to be performed
        self.blocked: list[tuple[int, list[Call]]] = []  # behind a commit, by the seq that must be stored
        self.ripe: list[tuple[int, str]] = []  # pooled outcomes that were asked for, by seq
        self.change = Change(run_id=row.run_id)

    # Life.

    def begin(self) -> None:
        """The run was admitted: its body starts, or starts again after a failed attempt."""
        history = self.history
        for event in history.current:
            if event.type in HOOK_OUTCOMES and event.step is not None:
                history.pool[event.step] = event  # answered between the attempts
        self.cursor = len(history.current)
        event = self.record("run_started", None, meta=Meta(attempt=history.attempt))
        row = self.row
        if row.due_ms is not None:
            self.change.timers_cleared.append(TimerRow(row.due_ms, self.run_id, "", "run_retry"))
        self.row = replace(
            row,
            started_at_ms=event.at_ms if row.started_at_ms is None else row.started_at_ms,
            attempt=history.attempt,
            due_ms=None,
        )
        self.caught_up = history.attempt == 1
        if not self.caught_up:
            # Should the code not fit what earlier attempts left, no more than the beginning is kept of this turn.
            self._begun = Change(
                run_id=self.run_id, events=[event], timers_cleared=list(self.change.timers_cleared)
            )
        self.take(event)
        self._begun = None
        self.caught_up = True

    def events_left(self) -> list[Event]:
        return [event for event in self.history.current[self.cursor :] if event.type not in NOTES]

    def post(
        self,
        type: EventType,
        step: str | None,
        *,
        data: bytes | None = None,
        input: bytes | None = None,
        meta: Meta | None = None,
        cleared: TimerRow | None = None,
        stored: Callable[[], None] | None = None,
        lost: Callable[[KslError], None] | None = None,
    ) -> None:
        """An event from the world: recorded, delivered, and the body drained."""
        event = self.record(type, step, data, input, meta)
        if cleared is not None:
            self.change.timers_cleared.append(cleared)
        if stored is not None:
            self.change.stored = stored
        if lost is not None:
            self.change.lost = lost
        self.take(event)

    def note(
        self, type: EventType, step: str | None, *, data: bytes | None = None, input: bytes | None = None,
        meta: Meta | None = None, timers: tuple[TimerRow, ...] = (), stored: Callable[[], None] | None = None,
    ) -> None:  # fmt: skip
        """An event that the body does not see."""
        self.record(type, step, data=data, input=input, meta=meta)
        self.change.timers_set.extend(timers)
        self.change.stored = stored
        self.finish_turn()

    def drop_turn(self) -> None:
        """Takes back what a replay that came to nothing had written."""
        self.change = self._begun or Change(run_id=self.run_id)
        self.seq = self._begun.events[0].seq if self._begun else self.loaded_seq

    def evict(self) -> None:
        """Leaves memory. The author's code may notice (its `finally` blocks run) but cannot act: every step
        call raises Halt, and what it returns is discarded."""
        self.evicting = self.log.muted = True
        if self.body is not None:
            self.body.halted = True
            self.body = None
        if self.loop is not None:
            ending.close_tasks(self.loop)
            self.loop.let_go()
        self.made.clear()
        self.asked.clear()
        self.hooks.clear()
        self.wanted.clear()
        self.blocked.clear()
        self.in_line.clear()

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
            and not self.wanted
            and not self.blocked
            and not self.in_line
            and self.stored_seq == self.seq
        )

    # What the world tells.

    def on_stored(self, change: Change, /) -> None:
        """A turn is committed: what waited for that may act."""
        if change.events:
            self.stored_seq = change.events[-1].seq
        if change.run is not None:
            self.host.row_stored(change)
        if self.blocked:
            performing.issue_stored(self)

    def on_lost(self, change: Change, error: KslError, /) -> None:
        self.host.lost_turn(self, change, error)

    # What the body asks (durable.Durable). Bound, not called: one more call for each
    # step would be felt.

    ask = asking.ask
    forget = asking.forget
    settled_inside = asking.settled_inside
    hook = asking.hook
    hook_outcome = asking.hook_outcome
    timer_wanted = moments.timer_wanted
    timer_unwanted = moments.timer_unwanted

    # What asyncio tells the loop.

    def noticed(self, context: dict[str, Any]) -> None:
        """asyncio's complaints: a task whose exception nobody retrieved, a callback that raised."""
        error = context.get("exception")
        if not self.evicting and error is not None and "never retrieved" not in context.get("message", ""):
            self.log.warning("in the body", complaint=context.get("message"), error=repr(error))

    def body_line(self) -> str:
        """file:line where the body stands."""
        return standing.body_line(self)

    # One turn.

    def take(self, event: Event, value: Any = None) -> None:
        """Shows the body an event that was recorded just now. `value` is what its data decodes to, where known."""
        self.barrier = event.seq
        deliver(self, event, value)
        began_s = perf_counter()
        self.settle()
        took_s = perf_counter() - began_s
        if took_s > SLOW_S:
            self.host.slow(self, took_s)
        self.finish_turn()

    def settle(self) -> None:
        """Drains, and hands out what earlier attempts of the run left, oldest first, as it is asked for."""
        loop = self.loop
        if loop is None:
            return
        try:
            while True:
                loop.drain()
                if self.halted is not None or not self.ripe:
                    break
                _, step = heapq.heappop(self.ripe)
                event = self.history.pool.get(step)
                if event is not None and (
                    step in self.asked
                    or step in self.timers
                    or (step in self.hooks and self.hooks[step].is_open)
                ):
                    if step in self.asked and self.asked[step].kind == "workflow":
                        continue  # its body runs again; the outcome is taken when that ends
                    del self.history.pool[step]
                    deliver(self, event, pooled=True)
        except KslError as error:
            self.halted = error

    def finish_turn(self) -> None:
        """Writes the turn down and lets what it asked for start."""
        if self.halted is not None:
            self.host.halted(self, self.halted)
            return
        if self.main is not None:
            if self.main.done():
                ending.conclude(self)
                return
            # Else it is known: most turns end with a step in flight.
            if self.active == 0 or self.row.status is not _RUNNING or self.change.run is not None:
                ending.update_status(self)
                if self.halted is not None:
                    self.host.halted(self, self.halted)
                    return
        self.flush()
        if self.wanted:
            performing.issue_wanted(self)
        elif self.active == self.waiting and self.has_slot:
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
            self.change = Change(self.run_id)
            self.host.append(self, change)

    def record(
        self, type: EventType, step: str | None, data: bytes | None = None, input: bytes | None = None,
        meta: Meta | None = None,
    ) -> Event:  # fmt: skip
        self.seq = seq = self.seq + 1
        mask = self.host.mask
        if mask.active:
            data = data and mask.json(data)
            input = input and mask.json(input)
        event = Event(self.run_id, seq, type, step, self.host.clock.now_ms(), data, input, meta)
        self.change.events.append(event)
        return event

    def emit(
        self, type: EventType, step: str, *, data: bytes | None = None, input: bytes | None = None,
        meta: Meta | None = None,
    ) -> Event:  # fmt: skip
        """An event of the body's own doing: the next recorded one on replay, a new one when live."""
        event = self.next_recorded()
        if event is not None:
            if event.type == type and event.step == step:
                self.cursor += 1
                return event
            mismatch.halt_at(
                self,
                event,
                f"the code asked for {mismatch.described(type, step)} there ({self.body_line()})",
                emitted=step,
            )
            raise Halt
        return self.record(type, step, data=data, input=input, meta=meta)

    def next_recorded(self) -> Event | None:
        """What comes next in the history, to be delivered or asked for."""
        events = self.history.current
        while self.cursor < len(events) and events[self.cursor].type in NOTES:
            self.cursor += 1
        return events[self.cursor] if self.cursor < len(events) else None

    def set_row(self, **changes: Any) -> None:
        self.row = self.change.run = replace(self.row, seq=self.seq, **changes)

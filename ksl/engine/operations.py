"""What people and programs do to runs: start, answer, cancel, retry. Each returns after its commit."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from ksl.define.codec import invalid
from ksl.engine.body import encode_input
from ksl.engine.engine import Engine
from ksl.engine.fork import fork_events
from ksl.engine.history import read_history
from ksl.engine.hooks import HookState
from ksl.engine.run import Run
from ksl.engine.strict_json import check
from ksl.engine.tokens import token_hash
from ksl.errors import (
    HookAnswered,
    HookClosed,
    IdempotencyConflict,
    KslError,
    PayloadTooLarge,
    RunBetweenAttempts,
    ShuttingDown,
    UnknownHook,
    UnknownRun,
    UnknownWorkflow,
    WrongState,
)
from ksl.log.store import Change
from ksl.records import FINISHED, Event, EventType, HookRow, Meta, RunRow, RunStatus, TimerRow, Trigger


class Started(NamedTuple):
    run: RunRow
    created: bool  # False: an idempotency key was repeated


class Operations:
    def __init__(
        self, engine: Engine, *, new_id: Callable[[], str], admit: Callable[[RunRow, bytes | None], None]
    ) -> None:
        self._engine = engine
        self._new_id = new_id
        self._admit = admit  # puts a queued run in line for a slot
        self._keys: dict[tuple[str, str], asyncio.Future[None]] = {}  # idempotency keys being stored
        self._versions: dict[str, str] = {}  # of the code, which stays as it was loaded
        self._loop = asyncio.get_running_loop()

    async def start(
        self, slug: str, input: bytes, *, trigger: Trigger, triggered_at_ms: int | None = None,
        idempotency_key: str | None = None, subscriber: str | None = None, by: str = "", admit: bool = True,
    ) -> Started:  # fmt: skip
        """Errors: UnknownWorkflow, BadJson, InvalidInput, PayloadTooLarge, IdempotencyConflict, StoreFull."""
        engine = self._engine
        if engine.stopping:
            raise ShuttingDown("the server is stopping and takes no new runs. Try again when it is back.")
        workflow = engine.project.workflows.get(slug)
        if workflow is None:
            raise UnknownWorkflow(unknown(slug, list(engine.project.workflows)))
        self._check_size(input, what=f"the input of workflow {slug}")
        check(input, what=f"the input of workflow {slug}")
        data = _validated(workflow, input)
        if idempotency_key is None:
            return Started(
                await self._create(slug, data, trigger, triggered_at_ms, None, subscriber, by, admit), True
            )
        key = (slug, idempotency_key)
        # Taken before the look-up: of many starts with one key at once, one creates and the others then find it.
        while (storing := self._keys.get(key)) is not None:
            await asyncio.shield(storing)
        self._keys[key] = self._loop.create_future()
        try:
            known = await engine.store.run_by_key(slug, idempotency_key)
            if known is None:
                row = await self._create(
                    slug, data, trigger, triggered_at_ms, idempotency_key, subscriber, by, admit
                )
                return Started(row, True)
            first, _ = (await engine.store.ends([known.run_id]))[known.run_id]
            if first.data != data:
                raise IdempotencyConflict(
                    f'the idempotency key "{idempotency_key}" was used for run {known.run_id} of {slug} with another '
                    "input. Nothing was started. Send the same input to get that run, or another key for a new one."
                )
            return Started(known, False)
        finally:
            self._keys.pop(key).set_result(None)

    async def resume(self, run_id: str, step: str, payload: bytes, *, by: str, lenient: bool) -> HookRow:
        """Errors: BadJson, InvalidInput (the hook keeps waiting), HookAnswered, HookClosed, UnknownHook."""
        what = f"the payload for hook {step}"
        self._check_size(payload, what=what)
        payload = payload.strip() or b"null"
        check(payload, what=what)
        run, state = await self._open_hook(run_id, step)
        data = state.accept(payload, lenient=lenient)
        return await self._answer(run, state, "hook_resumed", data, by)

    async def reject(self, run_id: str, step: str, *, reason: str, by: str) -> HookRow:
        run, state = await self._open_hook(run_id, step)
        return await self._answer(run, state, "hook_rejected", msgspec.json.encode({"reason": reason}), by)

    async def hook(self, token: str) -> HookRow:
        row = await self._engine.store.hook(token_hash(token))
        if row is None:
            raise UnknownHook("no hook has this token. The link may be incomplete; copy it whole.")
        return row

    async def waiting_hook(self, run_id: str, step: str | None) -> HookRow:
        """The hook at `step`, or the only one that waits."""
        await self._row(run_id)
        hooks = await self._engine.store.hooks(run_id=run_id, only_open=False)
        if step is not None:
            step = step.removeprefix("step:")
            for row in hooks:
                if row.step == step:
                    return row
            raise UnknownHook(f"run {run_id} has no hook {step}. Its hooks: {_steps(hooks)}.")
        waiting = [row for row in hooks if row.status == "open"]
        if len(waiting) == 1:
            return waiting[0]
        if not waiting:
            raise WrongState(
                f"run {run_id} has no hook that waits for an answer. Its hooks: {_steps(hooks)}."
            )
        raise WrongState(
            f"run {run_id} waits at several hooks: {_steps(waiting)}. Say which one with its step."
        )

    async def cancel(self, run_id: str, *, reason: str, by: str, force: bool) -> RunRow:
        row = await self._row(run_id)
        if row.status is RunStatus.CANCELLED:
            return row  # whoever asks again, its first answer lost, has what it wanted
        if row.status in FINISHED:
            raise WrongState(f"run {run_id} has ended ({row.status.value}); there is nothing to cancel.")
        data = msgspec.json.encode({"reason": reason, "by": by})
        meta = Meta(by=by)
        if row.status in (RunStatus.QUEUED, RunStatus.HELD) or force:
            live = self._engine.live.get(run_id)
            if live is None or live.main is None or force:
                return await self._cancel_without_body(row, data, meta)
        run = await self._engine.load(run_id)
        if run.main is None or run.main.done():
            return await self.cancel(run_id, reason=reason, by=by, force=force)
        if run.cancel_requested:
            return run.row

        def act(done: _Done) -> None:
            if run.main is None or run.cancel_requested:
                done.settle(None)
            else:
                run.post(
                    "run_cancel_requested", None, data=data, meta=meta, stored=done.stored, lost=done.lost
                )

        await self._on_loop(run, act)
        return await self._row(run_id)

    async def retry(self, run_id: str, *, by: str) -> RunRow:
        row = await self._row(run_id)
        engine = self._engine
        if row.workflow not in engine.project.tables:
            raise UnknownWorkflow(unknown(row.workflow, list(engine.project.workflows)))
        if row.status is RunStatus.FAILED:
            last = (await engine.store.ends([run_id]))[run_id][1]
            reopened = list(last.meta.reopens) if last.meta else []
            attempt = row.attempt + 1
            data = msgspec.json.encode({"reopened": reopened, "attempt": attempt, "by": by})
            event = self._event(row, last.seq + 1, "run_retrying", data, Meta(by=by, attempt=attempt))
            queued = replace(
                row, status=RunStatus.QUEUED, attempt=attempt, finished_at_ms=None, due_ms=None, seq=event.seq
            )
            hooks = [
                replace(hook, status="open", answered_at_ms=None)
                for hook in await engine.store.hooks(run_id=run_id, only_open=False)
                if hook.status == "closed"
            ]
            await self._store(Change(run_id=run_id, events=[event], run=queued, hooks=hooks))
            self._admit(queued, None)
            return queued
        if row.status is RunStatus.HELD:
            return await self.release(run_id, by=by)
        raise WrongState(f"run {run_id} is {row.status.value}; only a failed or held run can be retried.")

    async def release(self, run_id: str, *, by: str, accept_drift: bool = False) -> RunRow:
        """A held run goes on. `accept_drift`: what is recorded stands, whatever inputs the code gives now."""
        engine = self._engine
        row = await self._row(run_id)
        if row.status is not RunStatus.HELD:
            raise WrongState(f"run {run_id} is {row.status.value}; only a held run can be released.")
        if row.workflow not in engine.project.tables:
            raise UnknownWorkflow(unknown(row.workflow, list(engine.project.workflows)))
        data = msgspec.json.encode({"accept_drift": True} if accept_drift else {})
        if (live := engine.live.get(run_id)) is not None and live.paused:
            event = self._event(row, 0, "run_released", data, Meta(by=by))
            in_flight = engine.attempts.of_run(run_id)
            await self._on_loop(
                live, lambda done: live.unpause(event, in_flight, stored=done.stored, lost=done.lost)
            )
            return await self._row(run_id)
        await engine.store.flush()
        events = await engine.store.events(run_id)
        begun = read_history(events).has_begun
        event = self._event(row, events[-1].seq + 1, "run_released", data, Meta(by=by))
        released = replace(row, status=RunStatus.RUNNING if begun else RunStatus.QUEUED, seq=event.seq)
        await self._store(Change(run_id=run_id, events=[event], run=released))
        if not begun:
            self._admit(released, None)
            return released
        await engine.load(run_id)
        await engine.store.flush()
        return await self._row(run_id)

    async def pause(self, run_id: str, *, reason: str, by: str) -> RunRow:
        """Holds a run: steps in flight are recorded when they end, nothing more begins."""
        engine = self._engine
        row = await self._row(run_id)
        if row.status in FINISHED or row.status is RunStatus.HELD:
            raise WrongState(f"run {run_id} is {row.status.value}; only an unfinished run can be paused.")
        data = msgspec.json.encode(
            {"type": "Paused", "message": reason or "paused by hand", "step": None, "attempts": row.attempt}
        )
        live = engine.live.get(run_id)
        if live is not None and live.main is not None:
            run = live
            await self._on_loop(
                run, lambda done: run.pause(data, Meta(by=by), stored=done.stored, lost=done.lost)
            )
            engine.leave_if_paused(run)
            return await self._row(run_id)
        engine.withdraw(run_id)
        if live is not None:
            engine.discard(live)
        await engine.store.flush()
        last = (await engine.store.ends([run_id]))[run_id][1]
        event = self._event(row, last.seq + 1, "run_held", data, Meta(by=by))
        held = replace(row, status=RunStatus.HELD, waiting_on=None, seq=event.seq)
        await self._store(Change(run_id=run_id, events=[event], run=held))
        return held

    async def fork(
        self, run_id: str, *, at: str, changes: dict[str, bytes], input: bytes | None, by: str
    ) -> RunRow:
        """A new run with the history of this one up to step `at`, which runs again, and all after it.

        `changes` replaces recorded outputs (step id to JSON text); one for `at` itself stands in for running
        it. `input` replaces the run's input. Errors: UnknownRun, BadRequest, BadJson, InvalidInput.
        """
        engine = self._engine
        row = await self._row(run_id)
        workflow = engine.project.workflows.get(row.workflow)
        if workflow is None:
            raise UnknownWorkflow(unknown(row.workflow, list(engine.project.workflows)))
        data: bytes | None = None
        if input is not None:
            self._check_size(input, what=f"the input of workflow {row.workflow}")
            check(input, what=f"the input of workflow {row.workflow}")
            data = _validated(workflow, input)
        await engine.store.flush()
        forked = fork_events(
            await engine.store.events(run_id),
            run_id=self._new_id(),
            at=at.removeprefix("step:"),
            changes={step.removeprefix("step:"): text for step, text in changes.items()},
            input=data,
            now_ms=engine.clock.now_ms(),
            by=by,
        )
        begun = read_history(forked).has_begun
        fresh = RunRow(
            run_id=forked[0].run_id,
            workflow=row.workflow,
            status=RunStatus.RUNNING if begun else RunStatus.QUEUED,
            trigger="retry",
            triggered_at_ms=row.triggered_at_ms,
            created_at_ms=forked[0].at_ms,
            started_at_ms=row.started_at_ms if begun else None,
            attempt=read_history(forked).attempt,
            seq=forked[-1].seq,
            subscriber=row.subscriber,
            code_version=engine.project.code_version(row.workflow),
            origin=run_id,
        )
        await self._store(Change(run_id=fresh.run_id, events=forked, run=fresh))
        if not begun:
            self._admit(fresh, None)
            return fresh
        run = await engine.load(fresh.run_id)
        hooks = [state.row for state in run.hooks.values() if state.is_open]
        if hooks:
            await self._store(Change(run_id=fresh.run_id, hooks=hooks))  # with tokens of the fork's own
        await engine.store.flush()
        return await self._row(fresh.run_id)

    async def _create(
        self, slug: str, data: bytes, trigger: Trigger, triggered_at_ms: int | None, key: str | None,
        subscriber: str | None, by: str, admit: bool,
    ) -> RunRow:  # fmt: skip
        engine = self._engine
        now_ms = engine.clock.now_ms()
        row = RunRow(
            run_id=self._new_id(),
            workflow=slug,
            status=RunStatus.QUEUED,
            trigger=trigger,
            triggered_at_ms=triggered_at_ms or now_ms,
            created_at_ms=now_ms,
            seq=1,
            subscriber=subscriber,
            code_version=self._code_version(slug),
            idempotency_key=key,
        )
        event = self._event(row, 1, "run_created", data, Meta(by=by))
        done = _Done(self._loop)

        def lost(error: KslError) -> None:
            engine.withdraw(row.run_id)  # what was refused must not begin later
            engine.lost(None, error)
            done.lost(error)

        def create() -> None:
            # In one callback with the admission: run_created and run_started share a commit.
            engine.store.append(
                Change(run_id=row.run_id, events=[event], run=row, stored=done.stored, lost=lost)
            )
            if admit:
                self._admit(row, data)

        self._loop.call_soon(create)
        await done.future
        return row

    def _code_version(self, slug: str) -> str:
        version = self._versions.get(slug)
        if version is None:
            version = self._versions[slug] = self._engine.project.code_version(slug)
        return version

    async def _open_hook(self, run_id: str, step: str) -> tuple[Run, HookState]:
        row = await self._row(run_id)
        if row.status in FINISHED:
            await self._refuse(run_id, step)
        if row.status is RunStatus.HELD:
            raise WrongState(
                f"run {run_id} is held and takes no answers until it goes on (`ksl runs retry {run_id}`). "
                "Nothing was stored."
            )
        run = await self._engine.load(run_id)
        state = run.hooks.get(step)
        if run.main is None or state is None or not state.is_open:
            await self._refuse(run_id, step)
            raise RunBetweenAttempts(
                f"run {run_id} waits for its next attempt; hook {step} takes answers again when that has begun. "
                "Nothing was stored; try again shortly."
            )
        return run, state

    async def _refuse(self, run_id: str, step: str) -> None:
        """Raises what the hook's stored state says, if it says anything."""
        await self._engine.store.flush()
        for row in await self._engine.store.hooks(run_id=run_id, only_open=False):
            if row.step != step:
                continue
            if row.status in ("resumed", "rejected"):
                who = f" by {row.answered_by}" if row.answered_by else ""
                raise HookAnswered(f"hook {step} of run {run_id} was answered already{who} ({row.status}).")
            if row.status == "expired":
                raise HookClosed(f"hook {step} of run {run_id} expired: nobody answered it in time.")
            if row.status == "closed":
                raise HookClosed(f"hook {step} of run {run_id} is closed: the run has ended.")
            return
        raise UnknownHook(f"run {run_id} has no hook {step}.")

    async def _answer(self, run: Run, state: HookState, type: EventType, data: bytes, by: str) -> HookRow:
        def act(done: _Done) -> None:
            # Asked again here, with nothing awaited since: of many callers one finds it open.
            if self._engine.live.get(run.run_id) is not run or not state.is_open:
                done.settle(_TooLate())
                return
            timer = state.timer
            run.post(
                type,
                state.step,
                data=data,
                meta=Meta(by=by),
                cleared=timer,
                stored=done.stored,
                lost=done.lost,
            )

        try:
            await self._on_loop(run, act)
        except _TooLate:
            run, state = await self._open_hook(run.run_id, state.step)  # raises, or it was only evicted
            return await self._answer(run, state, type, data, by)
        return state.row

    async def _cancel_without_body(self, row: RunRow, data: bytes, meta: Meta) -> RunRow:
        engine = self._engine
        run_id = row.run_id
        if (live := engine.live.get(run_id)) is not None:
            engine.discard(live)
        await engine.store.flush()
        last = (await engine.store.ends([run_id]))[run_id][1]
        requested = self._event(row, last.seq + 1, "run_cancel_requested", data, meta)
        cancelled = self._event(row, last.seq + 2, "run_cancelled", None, Meta(attempt=row.attempt))
        ended = replace(
            row, status=RunStatus.CANCELLED, finished_at_ms=cancelled.at_ms, due_ms=None, waiting_on=None,
            seq=cancelled.seq,
        )  # fmt: skip
        hooks = [
            replace(hook, status="closed", answered_at_ms=cancelled.at_ms)
            for hook in await engine.store.hooks(run_id=run_id)
        ]
        timers = [] if row.due_ms is None else [TimerRow(row.due_ms, run_id, "", "run_retry")]
        engine.withdraw(run_id)
        await self._store(
            Change(
                run_id=run_id, events=[requested, cancelled], run=ended, hooks=hooks, timers_cleared=timers
            )
        )
        if engine.on_end is not None:
            engine.on_end(run_id)
        return ended

    async def _row(self, run_id: str) -> RunRow:
        row = await self._engine.store.run(run_id)
        if row is None:
            raise UnknownRun(f'there is no run "{run_id}". `ksl runs list` shows the runs there are.')
        return row

    async def _store(self, change: Change) -> None:
        done = _Done(self._loop)

        def lost(error: KslError) -> None:
            self._engine.lost(None, error)
            done.lost(error)

        change.stored, change.lost = done.stored, lost
        self._engine.store.append(change)
        await done.future

    async def _on_loop(self, run: Run, act: Callable[[_Done], None]) -> None:
        """Runs `act` as a plain callback, where a body may be drained, and waits for its commit."""
        done = _Done(self._loop)
        self._loop.call_soon(self._engine.post, run, lambda: act(done))
        await done.future

    def _event(self, row: RunRow, seq: int, type: EventType, data: bytes | None, meta: Meta) -> Event:
        return Event(row.run_id, seq, type, None, self._engine.clock.now_ms(), data, None, meta)

    def _check_size(self, data: bytes, *, what: str) -> None:
        most = self._engine.limits.payload
        if len(data) > most:
            raise PayloadTooLarge(
                f"{what} is {len(data):,} bytes; limits.payload allows {most:,}. Nothing was stored. Put it into a "
                "file and pass where it is, or raise the limit in ksl.toml."
            )


class _TooLate(Exception):
    """Somebody else answered first, or the run left memory meanwhile."""


class _Done:
    """A commit that somebody awaits."""

    __slots__ = ("future",)

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.future: asyncio.Future[None] = loop.create_future()

    def stored(self) -> None:
        self.settle(None)

    def lost(self, error: KslError) -> None:
        self.settle(error)

    def settle(self, error: Exception | None) -> None:
        if self.future.done():
            return
        if error is None:
            self.future.set_result(None)
        else:
            self.future.set_exception(error)


def unknown(slug: str, slugs: list[str]) -> str:
    near = difflib.get_close_matches(slug, slugs, n=3, cutoff=0.5)
    if near:
        hint = f"Did you mean {' or '.join(near)}?"
    else:
        hint = f"There are: {', '.join(sorted(slugs)[:20])}." if slugs else "The project defines none."
    return f'no workflow has the slug "{slug}". {hint}'


def _validated(workflow: Any, text: bytes) -> bytes:
    """The input as it is stored: what the text means to the input's annotation, written canonically."""
    from pydantic import ValidationError

    try:
        value = workflow.input.decode(text)
    except ValidationError as error:
        raise invalid(error, what=f"the input of workflow {workflow.slug}") from None
    return encode_input(workflow, value)


def _steps(hooks: list[HookRow]) -> str:
    return ", ".join(f"{row.step} ({row.status})" for row in hooks) or "none"

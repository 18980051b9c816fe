"""What people do to runs that exist: cancel, retry, pause, release, fork."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec.structs import replace

from ksl.engine import pausing
from ksl.engine.commits import Commits, Done, unknown, validated
from ksl.engine.engine import Engine
from ksl.engine.fork import fork_events
from ksl.engine.history import read_history
from ksl.engine.strict_json import check
from ksl.errors import UnknownWorkflow, WrongState
from ksl.log.store import Change
from ksl.records import FINISHED, Meta, RunRow, RunStatus, TimerRow

_WITHOUT_BODY = (RunStatus.QUEUED, RunStatus.HELD)


class Mending:
    def __init__(
        self,
        engine: Engine,
        commits: Commits,
        *,
        new_id: Callable[[], str],
        admit: Callable[[RunRow, bytes | None], None],
    ) -> None:
        self._engine = engine
        self._commits = commits
        self._new_id = new_id
        self._admit = admit  # puts a queued run in line for a slot

    async def cancel(self, run_id: str, *, reason: str, by: str, force: bool) -> RunRow:
        row = await self._commits.row(run_id)
        if row.status is RunStatus.CANCELLED:
            return row  # whoever asks again, its first answer lost, has what it wanted
        if row.status in FINISHED:
            raise WrongState(f"run {run_id} has ended ({row.status.value}); there is nothing to cancel.")
        data = msgspec.json.encode({"reason": reason, "by": by})
        meta = Meta(by=by)
        if row.status in (RunStatus.QUEUED, RunStatus.HELD) or force:
            async with self._engine.loading.kept_out(run_id, force=force) as lies_still:
                if lies_still:
                    row = await self._commits.row(run_id)
                    if row.status not in FINISHED and (row.status in _WITHOUT_BODY or force):
                        return await self._cancel_without_body(row, data, meta)
        run = await self._engine.load(run_id)
        if run.main is None:
            return await self.cancel(run_id, reason=reason, by=by, force=force)
        if run.cancel_requested:
            return run.row
        left = False

        def act(done: Done) -> None:
            nonlocal left
            # Asked again here, with nothing awaited since: it may have ended, or been evicted.
            left = self._engine.live.get(run_id) is not run
            if left or run.cancel_requested:
                done.settle(None)
            else:
                run.post(
                    "run_cancel_requested", None, data=data, meta=meta, stored=done.stored, lost=done.lost
                )

        await self._commits.on_loop(run, act)
        if left:
            await self._engine.store.flush()
            return await self.cancel(run_id, reason=reason, by=by, force=force)
        return await self._commits.row(run_id)

    async def retry(self, run_id: str, *, by: str) -> RunRow:
        if (await self._commits.row(run_id)).status is RunStatus.HELD:
            return await self.release(run_id, by=by)
        async with self._engine.loading.kept_out(run_id):
            return await self._retry_failed(run_id, by=by)

    async def _retry_failed(self, run_id: str, *, by: str) -> RunRow:
        row = await self._commits.row(run_id)
        engine = self._engine
        if row.workflow not in engine.project.tables:
            raise UnknownWorkflow(unknown(row.workflow, engine.project.defined))
        engine.project.raise_if_rule_broken(row.workflow)
        if row.status is RunStatus.FAILED:
            last = (await engine.store.events(run_id, after=await engine.store.newest_seq(run_id) - 1))[0]
            reopened = list(last.meta.reopens) if last.meta else []
            attempt = row.attempt + 1
            data = msgspec.json.encode({"reopened": reopened, "attempt": attempt, "by": by})
            event = self._commits.event(row, last.seq + 1, "run_retrying", data, Meta(by=by, attempt=attempt))
            queued = replace(
                row, status=RunStatus.QUEUED, attempt=attempt, finished_at_ms=None, due_ms=None, seq=event.seq
            )
            hooks = [
                replace(hook, status="open", answered_at_ms=None)
                for hook in await engine.store.hooks(run_id=run_id, only_open=False)
                if hook.status == "closed"
            ]
            await self._commits.store(Change(run_id=run_id, events=[event], run=queued, hooks=hooks))
            return queued
        raise WrongState(f"run {run_id} is {row.status.value}; only a failed or held run can be retried.")

    async def release(self, run_id: str, *, by: str, accept_drift: bool = False) -> RunRow:
        """A held run goes on. `accept_drift`: what is recorded stands, whatever inputs the code gives now."""
        async with self._engine.loading.kept_out(run_id) as lies_still:
            row = await self._release(run_id, by=by, accept_drift=accept_drift, lies_still=lies_still)
        if lies_still and row.status is not RunStatus.QUEUED:
            await self._engine.load(run_id)
            await self._engine.store.flush()
            row = await self._commits.row(run_id)
        return row

    async def _release(self, run_id: str, *, by: str, accept_drift: bool, lies_still: bool) -> RunRow:
        engine = self._engine
        row = await self._commits.row(run_id)
        if row.status is not RunStatus.HELD:
            raise WrongState(f"run {run_id} is {row.status.value}; only a held run can be released.")
        if row.workflow not in engine.project.tables:
            raise UnknownWorkflow(unknown(row.workflow, engine.project.defined))
        engine.project.raise_if_rule_broken(row.workflow)
        data = msgspec.json.encode({"accept_drift": True} if accept_drift else {})
        if not lies_still:
            live = engine.live[run_id]
            event = self._commits.event(row, 0, "run_released", data, Meta(by=by))

            def act(done: Done) -> None:
                if engine.live.get(run_id) is live and live.paused:
                    in_flight = engine.attempts.of_run(run_id)
                    pausing.unpause(live, event, in_flight, stored=done.stored, lost=done.lost)
                else:
                    done.settle(
                        WrongState(f"run {run_id} changed while it was to be released. Look at it again.")
                    )

            await self._commits.on_loop(live, act)
            return await self._commits.row(run_id)
        events = await engine.store.events(run_id)
        begun = read_history(events).has_begun
        event = self._commits.event(row, events[-1].seq + 1, "run_released", data, Meta(by=by))
        released = replace(row, status=RunStatus.RUNNING if begun else RunStatus.QUEUED, seq=event.seq)
        await self._commits.store(Change(run_id=run_id, events=[event], run=released))
        return released

    async def pause(self, run_id: str, *, reason: str, by: str) -> RunRow:
        """Holds a run: steps in flight are recorded when they end, nothing more begins."""
        engine = self._engine
        row = await self._commits.row(run_id)
        if row.status is RunStatus.HELD:
            raise WrongState(f"run {run_id} is held already. Nothing was changed.")
        if row.status in FINISHED:
            raise WrongState(f"run {run_id} is {row.status.value}; only an unfinished run can be paused.")
        data = msgspec.json.encode(
            {"type": "Paused", "message": reason or "paused by hand", "step": None, "attempts": row.attempt}
        )
        run = engine.live.get(run_id)
        if run is None or run.main is None:
            async with engine.loading.kept_out(run_id) as lies_still:
                row = await self._commits.row(run_id)
                if lies_still and row.status not in FINISHED and row.status is not RunStatus.HELD:
                    newest = await engine.store.newest_seq(run_id)
                    event = self._commits.event(row, newest + 1, "run_held", data, Meta(by=by))
                    held = replace(row, status=RunStatus.HELD, waiting_on=None, seq=event.seq)
                    await self._commits.store(Change(run_id=run_id, events=[event], run=held))
                    return held
            return await self.pause(run_id, reason=reason, by=by)
        left = False

        def act(done: Done) -> None:
            nonlocal left
            left = engine.live.get(run_id) is not run
            if left or run.paused:
                done.settle(None)
            else:
                pausing.pause(run, data, Meta(by=by), stored=done.stored, lost=done.lost)

        await self._commits.on_loop(run, act)
        if left:
            await engine.store.flush()
            return await self.pause(run_id, reason=reason, by=by)
        engine.leave_if_paused(run)
        return await self._commits.row(run_id)

    async def fork(
        self, run_id: str, *, at: str, changes: dict[str, bytes], input: bytes | None, by: str
    ) -> RunRow:
        """A new run with the history of this one up to step `at`, which runs again, and all after it.

        `changes` replaces recorded outputs (step id to JSON text); one for `at` itself stands in for running
        it. `input` replaces the run's input. Errors: UnknownRun, BadRequest, BadJson, InvalidInput.
        """
        engine = self._engine
        row = await self._commits.row(run_id)
        workflow = engine.project.workflows.get(row.workflow)
        if workflow is None:
            raise UnknownWorkflow(unknown(row.workflow, engine.project.defined))
        engine.project.raise_if_rule_broken(row.workflow)
        data: bytes | None = None
        if input is not None:
            self._commits.check_size(input, what=f"the input of workflow {row.workflow}")
            check(input, what=f"the input of workflow {row.workflow}")
            data = validated(workflow, input)
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
        code = engine.codes.of(row.workflow)
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
            code_version=code.code_version,
            origin=run_id,
        )
        await self._commits.store(Change(run_id=fresh.run_id, events=forked, run=fresh, codes=[code]))
        if not begun:
            self._admit(fresh, None)
            return fresh
        run = await engine.load(fresh.run_id)
        hooks = [state.row for state in run.hooks.values() if state.is_open]
        if hooks:
            await self._commits.store(
                Change(run_id=fresh.run_id, hooks=hooks)
            )  # with tokens of the fork's own
        await engine.store.flush()
        return await self._commits.row(fresh.run_id)

    async def _cancel_without_body(self, row: RunRow, data: bytes, meta: Meta) -> RunRow:
        engine = self._engine
        run_id = row.run_id
        if (live := engine.live.get(run_id)) is not None:
            engine.discard(live)
        await engine.store.flush()
        newest = await engine.store.newest_seq(run_id)  # it may be damaged, and its run ended for that
        requested = self._commits.event(row, newest + 1, "run_cancel_requested", data, meta)
        cancelled = self._commits.event(row, newest + 2, "run_cancelled", None, Meta(attempt=row.attempt))
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
        await self._commits.store(
            Change(
                run_id=run_id, events=[requested, cancelled], run=ended, hooks=hooks, timers_cleared=timers
            )
        )
        if engine.on_end is not None:
            engine.on_end(run_id)
        return ended

"""Answering hooks: of many callers one wins, and whoever was too late changes nothing."""

from __future__ import annotations

import msgspec

from ksl.engine.aside import aside
from ksl.engine.commits import Commits, Done
from ksl.engine.engine import Engine
from ksl.engine.hooks import HookState
from ksl.engine.rehearsal import Stage, earlier_hook
from ksl.engine.run import Run
from ksl.engine.strict_json import check
from ksl.engine.tokens import token_hash
from ksl.errors import HookAnswered, HookClosed, RunBetweenAttempts, UnknownHook, WrongState
from ksl.records import FINISHED, EventType, HookRow, Meta, RunStatus


class Answering:
    def __init__(self, engine: Engine, commits: Commits) -> None:
        self._engine = engine
        self._commits = commits

    async def resume(self, run_id: str, step: str, payload: bytes, *, by: str) -> HookRow:
        """Errors: BadJson, InvalidInput (the hook keeps waiting), HookAnswered, HookClosed, UnknownHook."""
        what = f"the payload for hook {step}"
        self._commits.check_size(payload, what=what)
        payload = payload.strip() or b"null"
        check(payload, what=what)
        run, state = await self._open_hook(run_id, step)
        data = state.accept(payload)
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
        await self._commits.row(run_id)
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

    async def _open_hook(self, run_id: str, step: str) -> tuple[Run, HookState]:
        row = await self._commits.row(run_id)
        if row.status in FINISHED:
            await self._refuse(run_id, step)
        if row.status is RunStatus.HELD:
            raise WrongState(
                f"run {run_id} is held and takes no answers until it goes on (`ksl runs retry {run_id}`). "
                "Nothing was stored."
            )
        run = await self._engine.load(run_id)
        state = run.hooks.get(step)
        if run.halted is not None:
            raise WrongState(f"{run.halted} The answer was not stored.")
        if state is not None and state.is_open and run.main is not None:
            return run, state
        await self._refuse(run_id, step)
        state = await self._earlier(run, step) if _is_left(run, step) else None
        if state is None:
            raise RunBetweenAttempts(
                f"hook {step} of run {run_id} was made by an earlier attempt, with code that no longer makes it, so "
                "an answer cannot be checked. Nothing was stored; try again when the run has come to the hook."
            )
        return run, state

    async def _earlier(self, run: Run, step: str) -> HookState | None:
        """A hook that an earlier attempt made and this one has not come to: its schema lives in the code only,
        so that attempt is rehearsed."""
        engine = self._engine
        events = await engine.store.events(run.run_id)
        stage = Stage.beside(engine)
        state = await aside(lambda: earlier_hook(engine.project, run.row, events, step, stage=stage))
        if state is not None:
            # A rehearsal cannot know the hash of a token whose key is gone.
            state.row = await self.waiting_hook(run.run_id, step)
        return state

    async def _refuse(self, run_id: str, step: str) -> None:
        """Raises what the hook's stored state says, if it says anything. Whoever has the link alone reads it too, so it
        does not name the run."""
        await self._engine.store.flush()
        for row in await self._engine.store.hooks(run_id=run_id, only_open=False):
            if row.step != step:
                continue
            if row.status in ("resumed", "rejected"):
                who = f" by {row.answered_by}" if row.answered_by else ""
                raise HookAnswered(f"hook {step} was answered already{who} ({row.status}).")
            if row.status == "expired":
                raise HookClosed(f"hook {step} expired: nobody answered it in time.")
            if row.status == "closed":
                raise HookClosed(f"hook {step} is closed: its run has ended.")
            return
        raise UnknownHook(f"run {run_id} has no hook {step}.")

    async def _answer(self, run: Run, state: HookState, type: EventType, data: bytes, by: str) -> HookRow:
        def act(done: Done) -> None:
            # Asked again here, with nothing awaited since: of many callers one finds it open.
            is_early = run.hooks.get(state.step) is None
            is_open = (
                _is_left(run, state.step) if is_early else run.hooks[state.step] is state and state.is_open
            )
            if self._engine.live.get(run.run_id) is not run or not is_open:
                done.settle(_TooLate())
                return
            timer = state.timer
            if is_early:
                at_ms = self._engine.clock.now_ms()
                run.change.hooks.append(state.answered(type, at_ms=at_ms, by=by))
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
            await self._commits.on_loop(run, act)
        except _TooLate:
            run, state = await self._open_hook(run.run_id, state.step)  # raises, or it was only evicted
            return await self._answer(run, state, type, data, by)
        return state.row


def _is_left(run: Run, step: str) -> bool:
    """Whether an earlier attempt made the hook, and nobody has answered it."""
    return step in run.history.begun and step not in run.history.pool


class _TooLate(Exception):
    """Somebody else answered first, or the run left memory meanwhile."""


def _steps(hooks: list[HookRow]) -> str:
    return ", ".join(f"{row.step} ({row.status})" for row in hooks) or "none"

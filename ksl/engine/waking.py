"""Ending a sleep before its moment: of a person and the clock, one ends it, and the other finds it over."""

from __future__ import annotations

from ksl.engine.commits import Commits, Done
from ksl.engine.engine import Engine
from ksl.engine.run import Run
from ksl.errors import WrongState
from ksl.records import FINISHED, Meta, RunRow, RunStatus


class Waking:
    def __init__(self, engine: Engine, commits: Commits) -> None:
        self._engine = engine
        self._commits = commits

    async def wake(self, run_id: str, step: str | None, *, by: str) -> RunRow:
        """`step` None: the only sleep of the run that waits. Returns after the commit.

        Errors: UnknownRun; WrongState where no such sleep waits, and nothing was stored.
        """
        row = await self._commits.row(run_id)
        if row.status in FINISHED:
            raise WrongState(f"run {run_id} has ended ({row.status.value}), so no sleep of it waits.")
        if row.status is RunStatus.HELD:
            raise WrongState(
                f"run {run_id} is held, and its sleeps end no sooner than it goes on "
                f"(`ksl runs release {run_id}`). Nothing was stored."
            )
        run = await self._engine.load(run_id)
        if run.halted is not None:
            raise WrongState(f"{run.halted} No sleep was ended.")
        step = _sleep_of(run, step)
        left = False

        def act(done: Done) -> None:
            nonlocal left
            # Asked again here, with nothing awaited since: its moment may have come, the run been evicted or paused.
            left = self._engine.live.get(run_id) is not run or run.paused or step not in run.sleeps
            if left:
                done.settle(None)
                return
            run.post(
                "sleep_completed",
                step,
                data=b"null",
                meta=Meta(by=by),
                cleared=run.sleeps[step],
                stored=done.stored,
                lost=done.lost,
            )

        await self._commits.on_loop(run, act)
        if left:
            await self._engine.store.flush()
            return await self.wake(run_id, step, by=by)
        return await self._commits.row(run_id)


def _sleep_of(run: Run, step: str | None) -> str:
    waiting = list(run.sleeps)
    if step is not None:
        step = step.removeprefix("step:")
        if step in run.sleeps:
            return step
        those = f"Sleeps that wait: {', '.join(waiting)}." if waiting else "None of its sleeps waits."
        raise WrongState(
            f"run {run.run_id} has no sleep {step} that waits: it is over, or has not begun. {those}"
        )
    if not waiting:
        raise WrongState(f"run {run.run_id} has no sleep that waits.")
    if len(waiting) > 1:
        raise WrongState(
            f"run {run.run_id} waits in several sleeps: {', '.join(waiting)}. Say which one with its step."
        )
    return waiting[0]

"""Runs from the log back into memory: each is read and replayed once, however many ask for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from ksl.engine.history import read_history
from ksl.engine.hooks import key_of
from ksl.engine.replay import catch_up
from ksl.errors import DamagedEvent, UnknownRun, WorkflowGone
from ksl.records import FINISHED, RunStatus

if TYPE_CHECKING:
    from ksl.engine.engine import Engine
    from ksl.engine.run import Run


class Loading:
    def __init__(self, engine: Engine) -> None:
        self.under_way: dict[str, asyncio.Future[Run]] = {}  # by run id
        self._engine = engine
        self._kept_out: dict[
            str, asyncio.Future[None]
        ] = {}  # somebody deals with them as they lie in the log
        self._loop = asyncio.get_running_loop()

    async def load(self, run_id: str) -> Run:
        """The run, brought to where its history ends. One that ended comes without a body.

        Errors: UnknownRun. A run that does not fit its history comes back held.
        """
        engine = self._engine
        while (kept_out := self._kept_out.get(run_id)) is not None:
            await asyncio.shield(kept_out)
        loading = self.under_way.get(run_id)
        # A run that is being replayed is in memory already, but not yet where its history ends.
        if loading is None and (run := engine.live.get(run_id)) is not None:
            engine.live.move_to_end(run_id)
            return run
        if loading is None:
            loading = self.under_way[run_id] = self._loop.create_task(self._read(run_id))
            loading.add_done_callback(lambda _: self.under_way.pop(run_id, None))
        return await asyncio.shield(loading)

    async def _read(self, run_id: str) -> Run:
        engine = self._engine
        await engine.store.flush()
        row = await engine.store.run(run_id)
        if row is None:
            raise UnknownRun(f'there is no run "{run_id}". `ksl runs list` shows the runs there are.')
        try:
            events = await engine.store.events(run_id)
        except DamagedEvent as error:
            if row.status not in FINISHED and row.status is not RunStatus.HELD:
                await engine.hold(row, error)
            raise
        if row.workflow not in engine.project.tables:
            error = WorkflowGone(
                f"run {run_id} is of workflow {row.workflow}, which this project does not define (any more). "
                f"Restore it and `ksl runs retry {run_id}`."
            )
            if row.status not in FINISHED and row.status is not RunStatus.HELD:
                await engine.hold(row, error)
            raise error
        row = replace(row, seq=events[-1].seq)
        run = engine.make(row, events[0].data or b"null", read_history(events))
        made = (event for event in events if event.type == "hook_created")
        if any(key_of(event, otherwise=engine.tokens.newest) not in engine.tokens for event in made):
            hooks = await engine.store.hooks(run_id=run_id, only_open=False)
            run.hook_hashes = {hook.step: hook.token_hash for hook in hooks}
        if row.status in FINISHED or row.status is RunStatus.HELD:
            return run
        if (broken := engine.project.broken.get(row.workflow)) is not None:
            await engine.hold(row, broken)
            engine.project.raise_if_rule_broken(row.workflow)
        engine.live[run_id] = run
        if row.status is RunStatus.QUEUED:
            if not run.history.has_begun:
                return run
            # Put in line in the middle of an attempt: a suspect whose turn never came.
            run.row = replace(row, status=RunStatus.RUNNING)
        done: asyncio.Future[None] = self._loop.create_future()
        self._loop.call_soon(self._replay, run, done)
        await done
        engine.trim_soon()
        return run

    def _replay(self, run: Run, done: asyncio.Future[None]) -> None:
        engine = self._engine
        try:
            engine.guard(run, partial(catch_up, run))
            if run.halted is not None and run.run_id in engine.live:
                engine.halted(run, run.halted)
            engine.watch_moments(run)
        finally:
            if not done.done():
                done.set_result(None)

    @asynccontextmanager
    async def kept_out(self, run_id: str, *, force: bool = False) -> AsyncGenerator[bool]:
        """Keeps a run out of memory and out of line, so that its row and events stand still meanwhile.
        Afterwards `on_let_in` is told: what its row says then is what becomes of it.

        False, and nothing is kept: its body is in memory. `force` takes it out all the same.
        """
        engine = self._engine
        lies_still = False
        while (other := self._kept_out.get(run_id)) is not None:
            await asyncio.shield(other)
        gone = self._kept_out[run_id] = self._loop.create_future()
        try:
            if (loading := self.under_way.get(run_id)) is not None:
                await asyncio.wait({loading})
            live = engine.live.get(run_id)
            if live is not None and live.main is not None and not force:
                yield False
                return
            engine.withdraw(run_id)
            if live is not None:
                engine.discard(live)
            lies_still = True
            await engine.store.flush()
            yield True
        finally:
            del self._kept_out[run_id]
            gone.set_result(None)
            if lies_still and engine.on_let_in is not None:
                engine.on_let_in(run_id)

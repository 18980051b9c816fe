"""What every operation on a run needs: its row, a commit to wait for, a callback in which bodies may be drained."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Callable
from typing import Any

from ksl.define.codec import invalid
from ksl.engine.engine import Engine
from ksl.engine.run import Run
from ksl.errors import KslError, PayloadTooLarge, UnknownRun
from ksl.log.store import Change
from ksl.records import Event, EventType, Meta, RunRow


class Commits:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._loop = asyncio.get_running_loop()

    def awaited(self) -> Done:
        return Done(self._loop)

    async def row(self, run_id: str) -> RunRow:
        row = await self._engine.store.run(run_id)
        if row is None:
            raise UnknownRun(f'there is no run "{run_id}". `ksl runs list` shows the runs there are.')
        return row

    async def store(self, change: Change) -> None:
        done = Done(self._loop)

        def lost(error: KslError) -> None:
            self._engine.lost(change.run_id, error)  # it may have left memory for this
            done.lost(error)

        change.stored, change.lost = done.stored, lost
        self._engine.store.append(change)
        await done.future
        if change.run is not None:
            self._engine.row_stored(change)

    async def on_loop(self, run: Run, act: Callable[[Done], None]) -> None:
        """Runs `act` as a plain callback, where a body may be drained, and waits for its commit."""
        done = Done(self._loop)

        def told() -> None:
            try:
                act(done)
            except Exception as error:
                # The run is held for it. Whether its change is stored all the same, nobody may be left to tell.
                caught = error
                self._loop.call_soon(lambda: done.settle(run.halted or caught))
                raise

        self._loop.call_soon(self._engine.post, run, told)
        await done.future

    def event(self, row: RunRow, seq: int, type: EventType, data: bytes | None, meta: Meta) -> Event:
        mask = self._engine.mask
        if mask.active:
            data = data and mask.json(data)
        return Event(row.run_id, seq, type, None, self._engine.clock.now_ms(), data, None, meta)

    def check_size(self, data: bytes, *, what: str) -> None:
        most = self._engine.limits.payload
        if len(data) > most:
            raise PayloadTooLarge(
                f"{what} is {len(data):,} bytes; limits.payload allows {most:,}. Nothing was stored. Put it into a "
                "file and pass where it is, or raise the limit in ksl.toml."
            )


class Done:
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


def validated(workflow: Any, text: bytes) -> bytes:
    """The input as it is stored: what the text means to the input's annotation, written canonically."""
    try:
        value = workflow.input.decode(text)
    except ValueError as error:
        what = f"the input of workflow {workflow.slug}"
        raise invalid(error, what=what, state="No run was created.") from None
    return workflow.input.dump(value, "input")

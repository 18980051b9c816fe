"""One life of an engine in a process of its own: everything `ksl serve` runs but HTTP, forked and not started.

Forked from a process that has imported all of ksl and the project, and has neither a loop nor threads, a life
costs some tens of milliseconds where a new interpreter costs most of a second.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from ksl.build.config import load_settings
from ksl.build.discover import Project
from ksl.errors import HookAnswered, HookClosed, KslError, StoreFailed, TryAgain, WrongState
from ksl.records import FINISHED, RunStatus
from ksl.runtime import Runtime

from tests.crash import dying
from tests.crash.hurry import HurryClock, HurryLoop

LIFE_S = 20.0  # of this machine; the longest takes about one
FULFILLED, UNOPENABLE, DISK = 0, 4, 5  # as `ksl serve` exits
STUCK = -99


@dataclass(frozen=True)
class Task:
    """What is to become of one run, and what its caller does for that."""

    project: Project
    folder: Path  # of the trial: database, ledger, witness and what was said
    workflow: str
    input: Any
    durability: str = "full"

    @property
    def database(self) -> Path:
        return self.folder / "data" / "ksl.db"


def lead(task: Task, *, life: int, point: str, held: Callable[[int], None] | None = None) -> int:
    """One life, to its end. Returns its exit code, minus the signal it died of, or STUCK.

    `held`: called with the process id of a life that has not begun yet; it begins when that returns.
    """
    ready, go = os.pipe()
    child = os.fork()
    if child == 0:
        code = 70
        try:
            os.close(go)
            os.read(ready, 1)
            code = _live(task, life=life, point=point)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    os.close(ready)
    try:
        if held is not None:
            held(child)
    finally:
        os.close(go)
        return _awaited(child)  # noqa: B012  (the child is waited for, whatever failed)


def _awaited(child: int) -> int:
    handle = os.pidfd_open(child)
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    in_time = poll.poll(LIFE_S * 1000)
    os.close(handle)
    if not in_time:
        os.kill(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return code if in_time else STUCK


def _live(task: Task, *, life: int, point: str) -> int:
    gc.freeze()
    said = os.open(task.folder / "stderr", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(said, 2)
    os.environ.update(
        CRASH_LEDGER=str(task.folder / "ledger"),
        CRASH_WITNESS=str(task.folder / "witness"),
        CRASH_LIFE=str(life),
        CRASH_AT=point,
    )
    dying.arm()
    with asyncio.Runner(loop_factory=HurryLoop) as runner:
        return runner.run(_serve(task))


async def _serve(task: Task) -> int:
    flags = {"store.path": str(task.database), "store.durability": task.durability}
    settings = load_settings(task.project.folder, {}, flags)
    try:
        runtime = await Runtime.open(
            task.project.folder, settings, project=task.project, serve=True, clock=HurryClock()
        )
    except KslError as error:
        print(error, file=sys.stderr)
        return UNOPENABLE
    caller = asyncio.ensure_future(_Caller(runtime, task).call())
    await asyncio.wait({caller, runtime.failed}, return_when=asyncio.FIRST_COMPLETED)
    if runtime.failed.done():
        caller.cancel()
        await asyncio.gather(caller, return_exceptions=True)
        await runtime.close(drain_s=0)
        return DISK
    caller.result()
    try:
        await runtime.close(drain_s=0)
    except StoreFailed as error:
        print(error, file=sys.stderr)
        return DISK
    return FULFILLED


class _Caller:
    """A careful client: it notes each yes it got, and asks again where it got none."""

    def __init__(self, runtime: Runtime, task: Task) -> None:
        self._runtime = runtime
        self._task = task
        self._changed = asyncio.Event()
        witness = task.folder / "witness"
        self._said = witness.read_text().splitlines() if witness.exists() else []

    async def call(self) -> None:
        runtime = self._runtime
        unsubscribe = runtime.store.wake_on_commit(self._changed.set)
        try:
            run_id = await self._started()
            while (row := await runtime.engine_row(run_id)).status not in (*FINISHED, RunStatus.HELD):
                self._changed.clear()
                if row.status in (RunStatus.WAITING, RunStatus.RUNNING, RunStatus.SLEEPING):
                    await self._meddle(run_id)
                try:
                    async with asyncio.timeout(0.5):
                        await self._changed.wait()
                except TimeoutError:
                    pass
            self._yes(f"ended {row.status} {time.monotonic()}")
        except StoreFailed:
            await asyncio.shield(runtime.failed)
        finally:
            unsubscribe()

    async def _started(self) -> str:
        for line in self._said:
            if line.startswith("started "):
                return line.split()[1]
        given = json.dumps(self._task.input).encode()
        run = (await self._runtime.start(self._task.workflow, given, idempotency_key="once")).run
        self._yes(f"started {run.run_id}")
        return run.run_id

    async def _meddle(self, run_id: str) -> None:
        for hook in await self._runtime.store.hooks(run_id=run_id):
            try:
                if self._task.workflow == "cancelled":
                    if not any(line.startswith("cancelled") for line in self._said):
                        await self._runtime.cancel(run_id, reason="enough")
                        self._yes("cancelled")
                    continue
                payload = answer_to(self._task.workflow, hook.step)
                await self._runtime.resume_hook(run_id, hook.step, payload)
                self._yes(f"answered {hook.step} {payload.decode()}")
            except StoreFailed:
                raise
            except (HookAnswered, HookClosed, WrongState, TryAgain):
                pass  # an earlier answer counted, or it is too early: the next look will tell

    def _yes(self, line: str) -> None:
        self._said.append(line)
        dying.say(str(self._task.folder / "witness"), line)


def answer_to(workflow: str, step: str) -> bytes:
    return b'{"approved":true}' if workflow == "asker" else str(Random(step).randint(0, 96)).encode()

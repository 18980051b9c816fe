"""Composition: opens the log, starts the engine and its loops, stops them in reverse order.

Everything with a choice in it comes in as an argument or is made here: clock, randomness, ids, store.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import msgspec

from ksl.engine import guards
from ksl.engine.answering import Answering
from ksl.engine.behind import Behind
from ksl.engine.clock import SystemClock
from ksl.engine.commits import Commits
from ksl.engine.engine import Engine
from ksl.engine.host import Clock, Limits
from ksl.engine.logs import Line
from ksl.engine.mending import Mending
from ksl.engine.recovery import Recovery
from ksl.engine.starting import Started, Starting
from ksl.engine.tokens import TokenKeys
from ksl.engine.unfit import hold_unfit
from ksl.engine.watchdog import Watchdog
from ksl.errors import ChangeRefused, KslError, StoreUnopenable, TryAgain
from ksl.log.lock import FolderLock
from ksl.log.retention import RetentionLoop
from ksl.log.sqlite import SqliteStore
from ksl.log.store import Store
from ksl.queue.slots import Slots
from ksl.queue.timers import TimerLoop
from ksl.records import FINISHED, HookRow, RunRow, RunStatus, TimerRow, Trigger

if TYPE_CHECKING:
    from ksl.build.config import Settings
    from ksl.build.discover import Project

_log = logging.getLogger("ksl.runtime")
_LOADS_AT_ONCE = 64
_INPUTS_KEPT_MAX = 10_000  # of queued runs; the rest is read from the log when its turn comes


class Figures(msgspec.Struct, frozen=True):
    resident_runs: int
    slots_used: int
    queue_depth: int
    steps_in_flight: int
    timers_in_window: int
    loop_lag_seconds: float


class Runtime:
    """What the faces call. Lives on the loop it was opened on."""

    def __init__(
        self,
        *,
        folder: Path,
        settings: Settings,
        project: Project,
        store: Store,
        lock: FolderLock | None,
        clock: Clock,
        rng: Random,
        new_id: Callable[[], str],
        tokens: TokenKeys,
        token: str,
        boot: str,
        serve: bool,
    ) -> None:
        self.folder = folder
        self.settings = settings
        self.project = project
        self.store = store
        self.token = token
        self.boot = boot
        self.url = f"http://{settings.server.host}:{settings.server.port}"
        self.failed: asyncio.Future[KslError] = (
            store.failed if isinstance(store, SqliteStore) else asyncio.get_running_loop().create_future()
        )
        self._loop = asyncio.get_running_loop()
        self._lock = lock
        self._serve = serve
        self.unfit = 0  # runs that waited and were held at start, since the code no longer fits them
        self._touched: set[str] = set()
        self._ends: dict[str, set[asyncio.Future[None]]] = {}
        self._loading = asyncio.Semaphore(_LOADS_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots = Slots(settings.queue.concurrency)
        self._timers = TimerLoop(store=store, clock=clock, due=self._timer_due)
        self.engine = Engine(
            project=project,
            store=store,
            clock=clock,
            rng=rng,
            tokens=tokens,
            slots=self._slots,
            timers=self._timers,
            limits=Limits(payload=settings.limits.payload, steps=settings.limits.steps),
            boot=boot,
            public_url=self._public_url,
            workspaces_root=settings.data_folder / "workspaces",
        )
        self.engine.on_end = self._ended
        self.engine.on_loss = self._lost
        self.engine.on_let_in = lambda run_id: self._spawn(self._let_in(run_id))
        self._behind = Behind(store=store, take_up=self._take_up)
        commits = Commits(self.engine)
        self._starting = Starting(self.engine, commits, new_id=new_id, admit=self._admit)
        self._answering = Answering(self.engine, commits)
        self._mending = Mending(self.engine, commits, new_id=new_id, admit=self._admit)
        self._retention = RetentionLoop(store=store, clock=clock, keep_s=settings.retention.finished_runs)
        self._watchdog = Watchdog(self._loop)
        guards.install()

    @classmethod
    async def open(
        cls,
        folder: Path,
        settings: Settings,
        *,
        project: Project,
        serve: bool,
        wait_s: float = 0.0,
        clock: Clock | None = None,
        rng: Random | None = None,
        new_id: Callable[[], str] | None = None,
    ) -> Runtime:
        """`serve`: recovers every unfinished run; otherwise only runs started or touched here are advanced.

        Errors: FolderHeld when another process holds the data folder longer than `wait_s`; StoreUnopenable,
        SchemaTooNew.
        """
        data = settings.data_folder
        boot = secrets.token_hex(4)
        lock = FolderLock(data)
        await lock.acquire(wait_s=wait_s)
        try:
            store = await SqliteStore.open(
                settings.store.path, durability=settings.store.durability, boot=boot
            )
        except BaseException:
            lock.release()
            raise
        try:
            runtime = cls(
                folder=folder,
                settings=settings,
                project=project,
                store=store,
                lock=lock,
                clock=clock or SystemClock(),
                rng=rng or random.Random(secrets.randbits(64)),
                new_id=new_id or new_run_id,
                tokens=TokenKeys.open(data / "hook-keys"),
                token=_token(data / "token"),
                boot=boot,
                serve=serve,
            )
            if serve:
                runtime.unfit = await hold_unfit(runtime.engine)
            runtime._start()
            if serve:
                await runtime._recover()
            return runtime
        except BaseException:
            await store.close()
            lock.release()
            raise

    async def close(self, *, drain_s: float = 10.0) -> None:
        """Takes no new work, lets steps in flight finish for up to `drain_s` and records them, then stops."""
        self.engine.stopping = True
        await self._behind.stop()
        await self.engine.attempts.drain(0 if self.failed.done() else drain_s)
        await asyncio.sleep(0)
        await self.store.flush()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.engine.loaded()
        for run in list(self.engine.live.values()):
            self.engine.discard(run)
        self._watchdog.stop()
        await self.store.close()
        if self._lock is not None:
            self._lock.release()

    def stop_now(self) -> None:
        """No more draining: what is in flight is cut off, and runs again after the next start."""
        for key in self.engine.attempts.in_flight():
            self.engine.attempts.cancel(*key)

    def announce(self, url: str) -> None:
        """The address this server really has; other commands find it in the lock file."""
        self.url = url
        if self._lock is not None:
            self._lock.announce(url)

    async def start(
        self,
        workflow: str,
        input: bytes,
        *,
        trigger: Trigger = "api",
        idempotency_key: str | None = None,
        by: str = "",
        admit: bool = True,
    ) -> Started:
        """Stores a run and puts it in line. `input` is JSON text. Returns after the commit.

        `admit` False: it is stored only, for a server to advance.
        """
        started = await self._starting.start(
            workflow, input, trigger=trigger, idempotency_key=idempotency_key, by=by, admit=admit
        )
        if admit:
            self._touch(started.run.run_id)
        return started

    async def advance(self, run_id: str) -> RunRow:
        """Takes up a run that exists: what a server does at start with all of them, for one."""
        row = await self.engine_row(run_id)
        self._touch(run_id)
        if row.status is RunStatus.QUEUED and row.due_ms is None:
            self._admit(row, None)
        elif row.status is RunStatus.RUNNING:
            await self.engine.load(run_id)
        return row

    async def cancel(self, run_id: str, *, reason: str = "", by: str = "", force: bool = False) -> RunRow:
        self._touch(run_id)
        return await self._mending.cancel(run_id, reason=reason, by=by, force=force)

    async def retry(self, run_id: str, *, by: str = "") -> RunRow:
        self._touch(run_id)
        return await self._mending.retry(run_id, by=by)

    async def pause(self, run_id: str, *, reason: str = "", by: str = "") -> RunRow:
        """Holds a run: what is in flight is recorded, nothing more begins until it is released."""
        return await self._mending.pause(run_id, reason=reason, by=by)

    async def release(self, run_id: str, *, by: str = "", accept_drift: bool = False) -> RunRow:
        """A held run goes on. `accept_drift`: its record stands, whatever inputs the code gives now."""
        self._touch(run_id)
        row = await self._mending.release(run_id, by=by, accept_drift=accept_drift)
        self._timers.reload()  # moments that came while it was held
        return row

    async def fork(
        self,
        run_id: str,
        *,
        at: str,
        changes: dict[str, bytes] | None = None,
        input: bytes | None = None,
        by: str = "",
    ) -> RunRow:
        """A new run with this one's history up to step `at`; from there on it runs anew. `changes` maps step
        ids to the JSON text of outputs to put in place of the recorded ones."""
        row = await self._mending.fork(run_id, at=at, changes=changes or {}, input=input, by=by)
        self._touch(row.run_id)
        return row

    async def resume(self, token: str, payload: bytes, *, by: str = "", lenient: bool = False) -> HookRow:
        """`lenient`: the payload's values came as strings."""
        row = await self._answering.hook(token)
        self._touch(row.run_id)
        return await self._answering.resume(row.run_id, row.step, payload, by=by, lenient=lenient)

    async def reject(self, token: str, *, reason: str = "", by: str = "") -> HookRow:
        row = await self._answering.hook(token)
        self._touch(row.run_id)
        return await self._answering.reject(row.run_id, row.step, reason=reason, by=by)

    async def resume_hook(self, run_id: str, step: str | None, payload: bytes, *, by: str = "") -> HookRow:
        """For an authenticated user. `step` None: the only hook of the run that waits."""
        row = await self._answering.waiting_hook(run_id, step)
        self._touch(run_id)
        return await self._answering.resume(run_id, row.step, payload, by=by, lenient=False)

    async def reject_hook(self, run_id: str, step: str | None, *, reason: str = "", by: str = "") -> HookRow:
        row = await self._answering.waiting_hook(run_id, step)
        self._touch(run_id)
        return await self._answering.reject(run_id, row.step, reason=reason, by=by)

    async def hook(self, token: str) -> HookRow:
        return await self._answering.hook(token)

    def hook_url(self, hook: HookRow) -> str:
        """The link of a hook, derived again; for authenticated users."""
        return self.engine.hook_url(self.engine.tokens.token(hook.run_id, hook.step, key_id=hook.key_id))

    async def settled(self, run_id: str, *, timeout_s: float | None, waits: bool = False) -> RunRow:
        """The run when it ended (`waits`: or waits for a hook, or is held), or as it stands at the timeout."""
        end: asyncio.Future[None] = self._loop.create_future()

        def look() -> None:
            if not end.done():
                end.set_result(None)

        unsubscribe = self.store.wake_on_commit(look) if waits else None
        deadline = None if timeout_s is None else self._loop.time() + timeout_s
        try:
            while True:
                end = self._loop.create_future()
                self._ends.setdefault(run_id, set()).add(end)
                await self.store.flush()
                row = await self.engine_row(run_id)
                if row.status in FINISHED or (waits and row.status in (RunStatus.WAITING, RunStatus.HELD)):
                    return row
                left_s = None if deadline is None else deadline - self._loop.time()
                if left_s is not None and left_s <= 0:
                    return row
                try:
                    async with asyncio.timeout(left_s):
                        await end
                except TimeoutError:
                    return await self.engine_row(run_id)
                finally:
                    self._unwatch(run_id, end)
        finally:
            self._unwatch(run_id, end)
            if unsubscribe is not None:
                unsubscribe()

    def logs(self, run_id: str) -> list[Line]:
        """The newest lines of a run."""
        return self.engine.logs.lines(run_id)

    def subscribe_logs(self, callback: Callable[[Line], None]) -> Callable[[], None]:
        return self.engine.logs.subscribe(callback)

    def health(self) -> dict[str, object]:
        reason: str | None = None
        if self.failed.done():
            reason = str(self.failed.result())
        elif self.engine.stopping:
            reason = "the server is stopping"
        elif self._behind.mishap is not None:
            reason = str(self._behind.mishap)
        return {"ready": reason is None, "reason": reason}

    def figures(self) -> Figures:
        return Figures(
            resident_runs=len(self.engine.live),
            slots_used=self._slots.used,
            queue_depth=self._slots.depth,
            steps_in_flight=self.engine.attempts.count,
            timers_in_window=self._timers.armed,
            loop_lag_seconds=self._watchdog.lag_s,
        )

    async def engine_row(self, run_id: str) -> RunRow:
        from ksl.errors import UnknownRun

        row = await self.store.run(run_id)
        if row is None:
            raise UnknownRun(f'there is no run "{run_id}". `ksl runs list` shows the runs there are.')
        return row

    def _touch(self, run_id: str) -> None:
        """The run is one of those that this process advances."""
        if not self._serve and run_id not in self._touched:
            self._touched.add(run_id)
            self._timers.reload()  # its timers may have been passed over

    def _start(self) -> None:
        self._spawn(self._timers.run())
        if self._serve:
            self._spawn(self._retention.run())
        self._watchdog.start()

    async def _recover(self) -> None:
        """Unfinished runs go on: queued ones in line, running ones replayed. What waits for a moment or an
        answer stays in the log until it comes."""
        recovery = Recovery(self.engine, load=self._load)
        at_once, alone, queued = await recovery.sort()
        self._spawn(self._take_up_in_order(at_once, queued))
        if alone:
            self._spawn(recovery.one_by_one(alone))

    async def _take_up_in_order(self, under_way: list[RunRow], queued: list[RunRow]) -> None:
        # What is half done asks for its slot when it is loaded; put in line first, a long queue would go before it.
        await asyncio.gather(*(self._load(row.run_id) for row in under_way))
        for row in queued:
            self._admit(row, None)

    async def _load(self, run_id: str) -> None:
        async with self._loading:
            try:
                await self.engine.load(run_id)
            except KslError as error:
                self.engine.lost(run_id, error)  # else it is held, and says why

    def _admit(self, row: RunRow, input: bytes | None) -> None:
        """Puts a queued run in line. `input` where it is at hand and the run has never begun."""
        workflow = self.project.workflows.get(row.workflow)
        if input is not None and self._slots.depth > _INPUTS_KEPT_MAX:
            input = None
        data = input

        def granted() -> None:
            if self.engine.stopping:
                return  # it stays queued, for the next start
            if data is not None:
                self.engine.begin(row, data)
            else:
                self._spawn(self._begin_again(row.run_id))

        self._slots.want(row.run_id, row.workflow, workflow.concurrency if workflow else None, granted)

    async def _begin_again(self, run_id: str) -> None:
        try:
            async with self._loading:
                await self.engine.begin_again(run_id)
        except KslError as error:
            self._slots.release(run_id)
            self.engine.lost(run_id, error)

    def _timer_due(self, timer: TimerRow) -> None:
        if not self._serve and timer.run_id not in self._touched:
            return  # a command advances the run at hand only; the server will see to the others
        if self.engine.stopping:
            return
        if timer.kind == "run_retry":
            self._spawn(self._retry_due(timer))
        else:
            self.engine.timer_due(timer)

    def _lost(self, run_id: str | None, error: KslError) -> None:
        if isinstance(error, TryAgain):
            self._behind.add(run_id, error)
        elif isinstance(error, ChangeRefused) and run_id is not None:
            self._spawn(self._hold_refused(run_id, error))

    async def _let_in(self, run_id: str) -> None:
        try:
            await self._take_up(run_id)
        except KslError as error:
            self.engine.lost(run_id, error)

    async def _take_up(self, run_id: str) -> None:
        """A run whose newest turn was not stored goes on from what is."""
        await self.store.flush()
        row = await self.store.run(run_id)
        if row is None or row.status in FINISHED or row.status is RunStatus.HELD:
            return
        if row.status is not RunStatus.QUEUED:
            await self.engine.load(run_id)
        elif row.due_ms is None:
            self._admit(row, None)
        else:
            self._timers.set([TimerRow(row.due_ms, run_id, "", "run_retry", boot=self.boot)])

    async def _hold_refused(self, run_id: str, error: KslError) -> None:
        """A change that the log will never take: going on would only bring it again."""
        await self.store.flush()
        row = await self.store.run(run_id)
        if row is not None and row.status not in FINISHED and row.status is not RunStatus.HELD:
            if run_id not in self.engine.live:
                await self.engine.hold(row, error)

    async def _retry_due(self, timer: TimerRow) -> None:
        await self.store.flush()  # a short backoff may be over before its beginning is stored
        try:
            row = await self.store.run(timer.run_id)
        except KslError as error:
            self.engine.lost(timer.run_id, error)
            return
        if row is not None and row.status is RunStatus.QUEUED and row.due_ms == timer.due_ms:
            self._admit(row, None)

    def _ended(self, run_id: str) -> None:
        for end in self._ends.pop(run_id, ()):
            if not end.done():
                end.set_result(None)

    def _unwatch(self, run_id: str, end: asyncio.Future[None]) -> None:
        watching = self._ends.get(run_id)
        if watching is not None:
            watching.discard(end)
            if not watching:
                del self._ends[run_id]

    def _spawn(self, coro: object) -> None:
        task: asyncio.Task[None] = self._loop.create_task(coro)  # type: ignore[arg-type]
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(_report)

    def _public_url(self) -> str:
        return self.settings.server.public_url or self.url


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("a task of the runtime failed", exc_info=error)


def new_run_id() -> str:
    """`run_` and 20 characters: the time, so that ids sort by age, and 50 random bits."""
    return "run_" + _base32(time.time_ns() // 1_000_000) + _base32(secrets.randbits(50))


_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"  # no i, l, o, u: easily misread
_PAIRS = [high + low for high in _DIGITS for low in _DIGITS]


def _base32(number: int) -> str:
    """50 bits as ten digits."""
    return (
        _PAIRS[number >> 40 & 1023]
        + _PAIRS[number >> 30 & 1023]
        + _PAIRS[number >> 20 & 1023]
        + _PAIRS[number >> 10 & 1023]
        + _PAIRS[number & 1023]
    )


def _token(path: Path) -> str:
    """The bearer token of this data folder, made at first start."""
    try:
        if path.exists():
            token = path.read_text(encoding="ascii").strip()
            if token:
                return token
        token = secrets.token_urlsafe(32)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(token + "\n")
        return token
    except (OSError, UnicodeDecodeError) as error:
        raise StoreUnopenable(f"the token file {path} cannot be used: {error}.") from error

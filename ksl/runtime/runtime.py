"""Composition: opens the log, starts the engine and its loops, stops them in reverse order.

Everything with a choice in it comes in as an argument or is made here: clock, randomness, ids, store.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, cast

import msgspec

from ksl.agent.around import serve_outside
from ksl.define.cron import CronSource
from ksl.define.poll import PollSource
from ksl.define.prompting import prompt_workflow
from ksl.define.seam import outside
from ksl.define.webhook import WebhookSource
from ksl.engine import guards, outcomes
from ksl.engine.answering import Answering
from ksl.engine.clock import SystemClock
from ksl.engine.commits import Commits
from ksl.engine.engine import Engine
from ksl.engine.host import Clock, Limits
from ksl.engine.logs import Line
from ksl.engine.mending import Mending
from ksl.engine.put_right import let_go
from ksl.engine.server_log import ServerLog
from ksl.engine.starting import Started, Starting
from ksl.engine.strict_json import check
from ksl.engine.tokens import TokenKeys
from ksl.engine.unfit import hold_unfit
from ksl.engine.waking import Waking
from ksl.engine.watchdog import Watchdog
from ksl.errors import BadRequest, KslError, QueueFull, UnknownTrigger
from ksl.log.lock import FolderLock
from ksl.log.retention import RetentionLoop
from ksl.log.sqlite import SqliteStore
from ksl.log.store import Store
from ksl.queue.slots import Slots
from ksl.queue.timers import TimerLoop
from ksl.records import FiringRow, HookRow, RunRow, Switch, TimerRow, Trigger
from ksl.records.under_way import UnderWay
from ksl.runtime.advancing import Advancing
from ksl.runtime.agents import AgentServices, Prompted, session_id_of
from ksl.runtime.credentials import check_keys, make_vault
from ksl.runtime.ends import Ends
from ksl.runtime.positions import position_json, stage_of
from ksl.runtime.run_ids import new_firing_id, new_run_id
from ksl.runtime.speech import Speech
from ksl.runtime.telemetry import Telemetry
from ksl.runtime.token import read_token
from ksl.runtime.under_way import under_way
from ksl.trigger.cron import CronLoop
from ksl.trigger.firing import Item, Triggers
from ksl.trigger.poll import PollLoop
from ksl.trigger.receiving import Receiving
from ksl.vault.redactor import Redactor
from ksl.vault.vault import NoVault

if TYPE_CHECKING:
    from ksl.build.config import Settings
    from ksl.build.discover import Project
    from ksl.define.agent import Agent
    from ksl.define.credential import CredentialSource
    from ksl.trigger.verify.scheme import Scheme
    from ksl.vault.vault import Vault


class Figures(msgspec.Struct, frozen=True):
    resident_runs: int
    slots_used: int
    queue_depth: int
    oldest_wait_s: float | None  # of those that wait for a slot
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
        vault: Vault | None = None,
        credentials: CredentialSource | None = None,
        redactor: Redactor | None = None,
        log: ServerLog | None = None,
    ) -> None:
        self.folder = folder
        self.settings = settings
        project.with_prompts()
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
        self.let_go = 0  # runs that were held for a rule which the code keeps again
        self.vault = vault
        self.credentials: CredentialSource = credentials or vault or NoVault()
        self.redactor = redactor or Redactor()
        self.speech = Speech(self.redactor, clock.now_ms)
        self.log = log or ServerLog(self.redactor, boot=boot)
        self.began_ms = clock.now_ms()
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
            public_url=lambda: self.public_url,
            workspaces_root=settings.data_folder / "workspaces",
            credentials=self.credentials,
            mask=self.redactor,
        )
        self.agents = AgentServices(self, settings=settings, store=store, clock=clock)
        self.engine.attempts.services = self.agents
        self._advancing = Advancing(self.engine, slots=self._slots, timers=self._timers, advances_all=serve)
        self._ends = Ends(store)
        self.engine.on_end = self._ended
        commits = Commits(self.engine)
        self._starting = Starting(self.engine, commits, new_id=new_id, admit=self._advancing.admit)
        self.triggers = Triggers(
            project=project,
            store=store,
            clock=clock,
            new_id=new_firing_id,
            prepare=self._starting.prepare,
            admit=self._admit_fired,
            lost=lambda error: self.engine.lost(None, error),
            mask=self.redactor,
        )
        self.webhooks = Receiving(self.triggers, secrets=self._secrets_of)
        self.cron = CronLoop(self.triggers, clock=clock, cancel=self._give_way)
        self.polls = PollLoop(self.triggers, clock=clock)
        self._answering = Answering(self.engine, commits)
        self._waking = Waking(self.engine, commits)
        self._mending = Mending(self.engine, commits, new_id=new_id, admit=self._advancing.admit)
        self._retention = RetentionLoop(store=store, clock=clock, keep_s=settings.retention.finished_runs)
        self._telemetry: Telemetry | None = None
        if serve and (endpoint := settings.telemetry.otlp_endpoint):
            place = settings.data_folder / "telemetry"
            self._telemetry = Telemetry(store, endpoint=endpoint, service=settings.project.name, place=place)
        self._watchdog = Watchdog(self._loop)
        self._withdraw: list[Callable[[], None]] = []  # what scripts and actions are given by this process
        self._sources: list[asyncio.Task[None]] = []  # loops of sources that fire by themselves
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
        redactor: Redactor | None = None,
        log: ServerLog | None = None,
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
            check_keys(settings)
            store = await SqliteStore.open(
                settings.store.path, durability=settings.store.durability, boot=boot
            )
        except BaseException:
            lock.release()
            raise
        redactor = redactor or Redactor()
        clock = clock or SystemClock()
        log = log or ServerLog(redactor, boot=boot)
        if serve:
            log.listen()
        try:
            vault = make_vault(
                settings, project.credentials, store.credentials, redactor=redactor, now_ms=clock.now_ms
            )
            await vault.learn()
            runtime = cls(
                folder=folder,
                settings=settings,
                project=project,
                store=store,
                lock=lock,
                clock=clock,
                rng=rng or random.Random(secrets.randbits(64)),
                new_id=new_id or new_run_id,
                tokens=TokenKeys.open(data / "hook-keys"),
                token=read_token(data / "token"),
                boot=boot,
                serve=serve,
                vault=vault,
                redactor=redactor,
                log=log,
            )
            await runtime.triggers.standing.load()
            if serve:
                runtime.unfit = await hold_unfit(runtime.engine)
                runtime.let_go = await let_go(runtime.engine)
            runtime._start()
            if serve:
                await runtime._advancing.recover()
            return runtime
        except BaseException:
            log.close()
            await store.close()
            lock.release()
            raise

    async def close(self, *, drain_s: float = 10.0) -> None:
        """Takes no new work, lets steps in flight finish for up to `drain_s` and records them, then stops."""
        for task in self._sources:
            task.cancel()
        await asyncio.gather(*self._sources, return_exceptions=True)
        await self.polls.stop()
        self.engine.stopping = True
        self.engine.stop_waiting()
        await self._advancing.behind.stop()
        await self.engine.attempts.drain(0 if self.failed.done() else drain_s)
        await asyncio.sleep(0)
        await self.store.flush()
        for task in self._advancing.tasks:
            task.cancel()
        await asyncio.gather(*self._advancing.tasks, return_exceptions=True)
        await self.engine.loaded()
        for run in list(self.engine.live.values()):
            self.engine.discard(run)
        await self.agents.close()
        self._watchdog.stop()
        while self._withdraw:
            self._withdraw.pop()()
        if self.vault is not None:
            await self.vault.settled()
        await self.store.close()
        self.log.close()
        if self._lock is not None:
            self._lock.release()

    def stop_now(self) -> None:
        """No more draining: what is in flight is cut off, and runs again after the next start."""
        for key in list(self.engine.attempts.in_flight):
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
        subscriber: str | None = None,
        by: str = "",
        admit: bool = True,
        again: str | None = None,
    ) -> Started:
        """Stores a run and puts it in line. `input` is JSON text. Returns after the commit.

        `admit` False: it is stored only, for a server to advance. `again`: the run that it repeats.
        """
        started = await self._starting.start(
            workflow,
            input,
            trigger=trigger,
            idempotency_key=idempotency_key,
            subscriber=subscriber,
            by=by,
            admit=admit,
            again=again,
        )
        if admit:
            self._advancing.touch(started.run.run_id)
        return started

    async def prompt(
        self,
        agent: Agent,
        message: str,
        *,
        session: str | None,
        idempotency_key: str | None = None,
        by: str = "",
    ) -> Prompted:
        """Stores a prompt of an agent as a run, which goes on by itself. Errors: UnknownSession, those of `start`."""
        if session is not None:
            await self.agents.check_session(session, agent.slug)
        workflow = prompt_workflow(agent)
        input = msgspec.json.encode({"message": message, "session": session})
        started = await self.start(workflow.slug, input, idempotency_key=idempotency_key, by=by)
        run_id = started.run.run_id
        return Prompted(run_id, session or session_id_of(run_id, f"{agent.slug}#0"))

    async def invoke(self, slug: str, payload: bytes | None, *, by: str) -> FiringRow:
        """Fires a source now, disabled or not, and returns the newest firing that came of it, stored.

        `payload` is JSON text for a webhook; cron sources and polls have their own.
        Errors: UnknownTrigger, BadRequest, BadJson, InvalidInput, and those of `Triggers.fire`.
        """
        source = self.triggers.source(slug)
        if isinstance(source, WebhookSource):
            check(payload or b"null", what="the payload")
            webhook = cast("WebhookSource[Any]", source)
            fired = await self.triggers.fire(webhook, [Item(payload or b"null")], by=by)
            return fired.row
        if payload is not None:
            raise BadRequest(
                f"{source.kind} source {slug} makes its own payload and takes no input. Nothing was done."
            )
        if isinstance(source, CronSource):
            return (await self.triggers.fire(source, [Item(source.data)], by=by)).row
        assert isinstance(source, PollSource)
        return (await self.polls.poll(cast("PollSource[Any]", source), by=by))[-1]

    async def switch_trigger(self, slug: str, workflow: str | None, *, enabled: bool, by: str) -> Switch:
        """Enables or disables a source, or its attachment to one workflow. Errors: UnknownTrigger."""
        source = self.triggers.source(slug)
        attached = [attachment.workflow.slug for attachment in source.attachments]
        if workflow is not None and workflow not in attached:
            raise UnknownTrigger(
                f"source {slug} is not attached to {workflow}. It is attached to: {', '.join(attached) or 'nothing'}. "
                "Nothing was changed."
            )
        return await self.triggers.standing.switch(source, workflow or "", enabled=enabled, by=by)

    def raise_if_overloaded(self) -> None:
        """Errors: QueueFull. A line that only grows takes memory, and every start in it waits longer than the one
        before."""
        most = self.settings.queue.backlog
        depth = self._slots.depth
        if depth >= most:
            raise QueueFull(
                f"{depth:,} runs wait in line for a slot, and queue.backlog is {most:,}. No run was created. Try "
                "again when the line is shorter; /metrics has it as ksl_queue_depth."
            )

    async def advance(self, run_id: str) -> RunRow:
        """Takes up a run that exists: what a server does at start with all of them, for one."""
        row = await self.engine_row(run_id)
        await self._advancing.take_over(row)
        return row

    async def cancel(self, run_id: str, *, reason: str = "", by: str = "", force: bool = False) -> RunRow:
        self._advancing.touch(run_id)
        return await self._mending.cancel(run_id, reason=reason, by=by, force=force)

    def give_up(self, run_id: str) -> None:
        """Cancels a run that nobody waits for any more, in its own time."""

        async def cancel() -> None:
            with suppress(KslError):
                await self.cancel(
                    run_id, reason="the agent whose tool it was no longer waits for it", by="agent"
                )

        self._advancing.spawn(cancel())

    async def retry(self, run_id: str, *, by: str = "") -> RunRow:
        self._advancing.touch(run_id)
        return await self._mending.retry(run_id, by=by)

    async def pause(self, run_id: str, *, reason: str = "", by: str = "") -> RunRow:
        """Holds a run: what is in flight is recorded, nothing more begins until it is released."""
        return await self._mending.pause(run_id, reason=reason, by=by)

    async def release(self, run_id: str, *, by: str = "", accept_drift: bool = False) -> RunRow:
        """A held run goes on. `accept_drift`: its record stands, whatever inputs the code gives now."""
        self._advancing.touch(run_id)
        row = await self._mending.release(run_id, by=by, accept_drift=accept_drift)
        self._timers.reload()  # moments that came while it was held
        return row

    async def wake(self, run_id: str, step: str | None = None, *, by: str = "") -> RunRow:
        """Ends a sleep before its moment. `step` None: the only one of the run. Errors: UnknownRun, WrongState."""
        self._advancing.touch(run_id)
        return await self._waking.wake(run_id, step, by=by)

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
        self._advancing.touch(row.run_id)
        return row

    async def resume(self, token: str, payload: bytes, *, by: str = "") -> HookRow:
        row = await self._answering.hook(token)
        self._advancing.touch(row.run_id)
        return await self._answering.resume(row.run_id, row.step, payload, by=by)

    async def reject(self, token: str, *, reason: str = "", by: str = "") -> HookRow:
        row = await self._answering.hook(token)
        self._advancing.touch(row.run_id)
        return await self._answering.reject(row.run_id, row.step, reason=reason, by=by)

    async def resume_hook(self, run_id: str, step: str | None, payload: bytes, *, by: str = "") -> HookRow:
        """For an authenticated user. `step` None: the only hook of the run that waits."""
        row = await self._answering.waiting_hook(run_id, step)
        self._advancing.touch(run_id)
        return await self._answering.resume(run_id, row.step, payload, by=by)

    async def reject_hook(self, run_id: str, step: str | None, *, reason: str = "", by: str = "") -> HookRow:
        row = await self._answering.waiting_hook(run_id, step)
        self._advancing.touch(run_id)
        return await self._answering.reject(run_id, row.step, reason=reason, by=by)

    async def hook(self, token: str) -> HookRow:
        return await self._answering.hook(token)

    def hook_url(self, hook: HookRow) -> str | None:
        """The link of a hook, derived again; for authenticated users. None where its key is gone."""
        tokens = self.engine.tokens
        if hook.key_id not in tokens:
            return None
        return self.engine.hook_url(tokens.token(hook.run_id, hook.step, key_id=hook.key_id))

    async def settled(self, run_id: str, *, timeout_s: float | None, waits: bool = False) -> RunRow:
        """The run when it ended (`waits`: or waits for a hook, or is held), or as it stands at the timeout."""
        return await self._ends.settled(run_id, timeout_s=timeout_s, waits=waits)

    def under_way(self, run_id: str) -> dict[str, UnderWay]:
        """Steps in flight, which the log does not know yet."""
        return under_way(self.engine, run_id)

    async def position(self, run_id: str, seq: int | None = None) -> dict[str, Any]:
        """Where the body of a run stood after one of its events, by a replay that stores and does nothing.

        Errors: UnknownRun, DamagedEvent, BadRequest for a `seq` that it has not got, WorkflowGone.
        """
        stage = stage_of(self.settings, self.engine.tokens)
        return await position_json(self.engine.project, self.store, run_id, seq, stage=stage)

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
        elif self._advancing.behind.mishap is not None:
            reason = str(self._advancing.behind.mishap)
        return {"ready": reason is None, "reason": reason}

    def figures(self) -> Figures:
        return Figures(
            resident_runs=len(self.engine.live),
            slots_used=self._slots.used,
            queue_depth=self._slots.depth,
            oldest_wait_s=self._slots.oldest_wait_s,
            steps_in_flight=self.engine.attempts.count,
            timers_in_window=self._timers.armed,
            loop_lag_seconds=self._watchdog.lag_s,
        )

    async def engine_row(self, run_id: str) -> RunRow:
        """Errors: UnknownRun."""
        return await self._ends.row(run_id)

    @property
    def is_moving(self) -> bool:
        """Whether runs are being loaded or admitted: things go on by themselves."""
        return bool(self._advancing.tasks) or self.engine.is_loading or self._slots.is_granting

    def _start(self) -> None:
        self._advancing.spawn(self._timers.run())
        if self._serve:
            self.engine.on_row = outcomes.tell
            self._advancing.spawn(self._retention.run())
            if self._telemetry is not None:
                self._advancing.spawn(self._telemetry.run())
            self._sources = [asyncio.create_task(loop.run()) for loop in (self.cron, self.polls)]
        self._watchdog.start()
        if self.vault is not None:
            vault = self.vault
            self._withdraw.append(outside.put(lambda: nullcontext(vault)))
        self._withdraw.append(serve_outside(self.agents.outside()))

    async def _secrets_of(self, scheme: Scheme) -> list[str]:
        from ksl.trigger.verify.resolving import secrets_of

        return await secrets_of(scheme, self.credentials)

    def _ended(self, run_id: str) -> None:
        self._ends.ended(run_id)
        self.cron.wake()

    async def _give_way(self, run_id: str, reason: str) -> None:
        await self.cancel(run_id, reason=reason, by="cron")

    def _admit_fired(self, row: RunRow, input: bytes) -> None:
        self._advancing.touch(row.run_id)
        self._advancing.admit(row, input)

    def _timer_due(self, timer: TimerRow) -> None:
        self._advancing.timer_due(timer)

    @property
    def public_url(self) -> str:
        """How others reach this server."""
        return self.settings.server.public_url or self.url

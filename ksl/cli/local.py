"""The client without a server: an engine inside the command, which holds the data folder until it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager

from msgspec.structs import replace

from ksl.build.config import Settings
from ksl.build.rules.enforce import enforce
from ksl.cli.client import ENDED, NOTHING, Begun, HookTarget, Which
from ksl.cli.output import Json
from ksl.cli.project import discovered, tell_of_the_rest
from ksl.cli.redaction import REDACTOR
from ksl.cli.stderr_log import log_to_stderr
from ksl.cli.stored import StoredReader, selected
from ksl.engine.many import Verb, change_page
from ksl.runtime import Runtime
from ksl.views.hooks import answer_json, hooks_json
from ksl.views.runs import run_json
from ksl.views.workflows import workflows_json

LOOK_AGAIN_S = 0.25  # at a run that neither ended nor waits: it may have gone to sleep
BY = "cli"


@asynccontextmanager
async def local_client(settings: Settings, *, advances: bool) -> AsyncGenerator[LocalClient]:
    """`advances` False: no step of any run begins, since an engine without slots has nowhere to run it."""
    if not advances:
        settings = replace(settings, queue=replace(settings.queue, concurrency=0))
    # Whoever runs a workflow by hand asked for its result; a server keeps account of what was used.
    with log_to_stderr(audits=False), discovered(settings) as project:
        enforce(project)
        runtime = await Runtime.open(
            settings.folder, settings, project=project, serve=False, redactor=REDACTOR
        )
        try:
            tell_of_the_rest(project)
            yield LocalClient(settings, runtime)
        finally:
            # Steps in flight are let go at once: their outcome is not recorded, so they run again. Whoever
            # wanted to wait for them has done so by now.
            await runtime.close(drain_s=0.0)


class LocalClient(StoredReader):
    """Reads like `StoredReader`, from the engine's own store."""

    carries_on = False

    def __init__(self, settings: Settings, runtime: Runtime) -> None:
        super().__init__(settings)
        self.runtime = runtime
        self.opened = runtime.store

    async def workflows(self) -> Json:
        return workflows_json(self.runtime.project)

    async def run(self, run_id: str, *, include: frozenset[str] = NOTHING) -> Json:
        logs, under_way = self.runtime.logs(run_id), self.runtime.under_way(run_id)
        return await run_json(self.runtime.store, run_id, include=include, logs=logs, under_way=under_way)

    async def hooks(self, *, run_id: str | None = None) -> Json:
        return await hooks_json(self.runtime.store, self.runtime.hook_url, run_id=run_id)

    async def start(self, workflow: str, input: bytes, *, idempotency_key: str | None, detach: bool) -> Begun:
        started = await self.runtime.start(
            workflow, input, idempotency_key=idempotency_key, by=BY, admit=not detach
        )
        if not started.created and not detach:
            await self.runtime.advance(
                started.run.run_id
            )  # whoever did so is gone, or we would not hold the folder
        return Begun(started.run.run_id, str(started.run.status), started.created)

    async def settled(self, run_id: str, enough: Callable[[Json], bool]) -> Json:
        while True:
            await self.runtime.settled(run_id, timeout_s=LOOK_AGAIN_S, waits=True)
            if enough(run := await self.run(run_id)):
                return run

    async def follow(self, run_id: str, *, text: bool = False) -> AsyncIterator[Json]:
        """As the engine in here stores them and models say it. It ends with the run alone."""
        stored, seen = asyncio.Event(), 0
        stored.set()
        unsubscribe = self.runtime.store.wake_on_commit(stored.set)
        try:
            with self.runtime.speech.listening(run_id) as listener:
                while True:
                    if stored.is_set():
                        stored.clear()
                        ended = (await self.run(run_id))["status"] in ENDED
                        for event in (page := await self.events(run_id, after=seen))["events"]:
                            seen = event["seq"]
                            yield event
                        if ended and page["next_cursor"] is None:
                            return
                        if page["next_cursor"] is not None:
                            stored.set()
                            continue
                    for said in listener.news() if text else ():
                        yield said
                    await _first_of(stored, listener.heard if text else stored)
        finally:
            unsubscribe()

    async def cancel(self, run_id: str, *, reason: str, force: bool) -> None:
        await self.runtime.cancel(run_id, reason=reason, by=BY, force=force)

    async def retry(self, run_id: str) -> None:
        await self.runtime.retry(run_id, by=BY)

    async def pause(self, run_id: str, *, reason: str) -> None:
        await self.runtime.pause(run_id, reason=reason, by=BY)

    async def release(self, run_id: str, *, accept_drift: bool) -> None:
        await self.runtime.release(run_id, by=BY, accept_drift=accept_drift)

    async def wake(self, run_id: str, step: str | None) -> None:
        await self.runtime.wake(run_id, step, by=BY)

    async def fork(self, run_id: str, *, at: str, changes: dict[str, bytes], input: bytes | None) -> Json:
        row = await self.runtime.fork(run_id, at=at, changes=changes, input=input, by=BY)
        return {"run_id": row.run_id, "status": row.status.value}

    async def change_many(
        self, verb: Verb, which: Which, options: Json, *, confirm: int, cursor: str | None
    ) -> Json:
        async def act(run_id: str) -> None:
            match verb:
                case "cancel":
                    await self.cancel(run_id, **options)
                case "retry":
                    await self.retry(run_id)
                case "pause":
                    await self.pause(run_id, **options)
                case "release":
                    await self.release(run_id, **options)

        where = selected(verb, which)
        return await change_page(self.runtime.store, where, act, confirm=confirm, cursor=cursor)

    async def resume(self, target: HookTarget, payload: bytes) -> Json:
        if target.token is not None:
            return answer_json(await self.runtime.resume(target.token, payload, by=BY))
        return answer_json(await self.runtime.resume_hook(target.run_id or "", target.step, payload, by=BY))

    async def reject(self, target: HookTarget, reason: str) -> Json:
        if target.token is not None:
            return answer_json(await self.runtime.reject(target.token, reason=reason, by=BY))
        return answer_json(
            await self.runtime.reject_hook(target.run_id or "", target.step, reason=reason, by=BY)
        )


async def _first_of(*events: asyncio.Event) -> None:
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waiting:
            each.cancel()

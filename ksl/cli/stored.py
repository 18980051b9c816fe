"""The reader for when no server runs: the store, opened for reading only. No run moves because of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from ksl.build.config import Settings
from ksl.cli.client import ENDED, NOTHING, Which
from ksl.cli.output import Json
from ksl.cli.project import discovered, tell_of_the_rest
from ksl.cli.redaction import learn_stored
from ksl.engine.many import Verb, matching, selection
from ksl.engine.tokens import TokenKeys
from ksl.errors import UnknownRun
from ksl.log.lock import read_holder
from ksl.log.sqlite import SqliteStore
from ksl.log.store import Store
from ksl.records import HookRow, RunFilter
from ksl.runtime.positions import position_json, stage_of
from ksl.views.canvas import run_canvas_json
from ksl.views.events import events_json
from ksl.views.hooks import hooks_json
from ksl.views.runs import run_filter, run_json, runs_json
from ksl.views.workflows import workflows_json

LOOK_AGAIN_S = 0.2


class StoredReader:
    carries_on = False

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.opened: Store | None = None

    async def aclose(self) -> None:
        if self.opened is not None:
            await self.opened.close()

    async def workflows(self) -> Json:
        with discovered(self.settings) as project:
            tell_of_the_rest(project)
            return workflows_json(project)

    async def run(self, run_id: str, *, include: frozenset[str] = NOTHING) -> Json:
        return await run_json(await self._store_of(run_id), run_id, include=include, logs=[])

    async def runs(
        self,
        *,
        workflow: str | None,
        status: str | None,
        since: str | None,
        query: str | None,
        limit: int,
        cursor: str | None,
    ) -> Json:
        now_ms = time.time_ns() // 1_000_000
        where = run_filter(workflow=workflow, status=status, since=since, query=query, now_ms=now_ms)
        if (store := await self.store()) is None:
            return {"runs": [], "next_cursor": None}
        return await runs_json(store, where, cursor=cursor, limit=limit)

    async def canvas(self, slug: str, *, run_id: str, expand: bool) -> Json:
        store = await self._store_of(run_id)
        with discovered(self.settings) as project:
            now_ms = time.time_ns() // 1_000_000
            return await run_canvas_json(store, project, slug, run_id, now_ms=now_ms, expand=expand)

    async def events(self, run_id: str, *, after: int = 0) -> Json:
        return await events_json(await self._store_of(run_id), run_id, after=after)

    async def position(self, run_id: str, seq: int | None) -> Json:
        store = await self._store_of(run_id)
        tokens = TokenKeys.open(self.settings.data_folder / "hook-keys")
        with discovered(self.settings) as project:
            return await position_json(project, store, run_id, seq, stage=stage_of(self.settings, tokens))

    async def follow(self, run_id: str, *, text: bool = False) -> AsyncIterator[Json]:
        seen = 0
        while True:
            # Asked before the events: whatever the run does after its end is then still looked for.
            ended = (await self.run(run_id))["status"] in ENDED
            advanced = read_holder(self.settings.data_folder) is not None
            for event in (page := await self.events(run_id, after=seen))["events"]:
                seen = event["seq"]
                yield event
            if page["next_cursor"] is None:
                if ended or not advanced:
                    return
                # Another command's engine has the run. It announces no address, so looking is all there is.
                await asyncio.sleep(LOOK_AGAIN_S)

    async def hooks(self, *, run_id: str | None = None) -> Json:
        if run_id is not None:
            await self.run(run_id)
        if (store := await self.store()) is None:
            return {"hooks": []}
        server = self.settings.server
        base = server.public_url or f"http://{server.host}:{server.port}"
        keys = TokenKeys.open(self.settings.data_folder / "hook-keys")

        def url_of(hook: HookRow) -> str | None:
            if hook.key_id not in keys:
                return None
            return f"{base}/hooks/{keys.token(hook.run_id, hook.step, key_id=hook.key_id)}"

        return await hooks_json(store, url_of, run_id=run_id)

    async def matching(self, verb: Verb, which: Which) -> Json:
        where = selected(verb, which)
        if (store := await self.store()) is None:
            return {"matched": 0, "since": which.since}
        return await matching(store, where)

    async def _store_of(self, run_id: str) -> Store:
        if (store := await self.store()) is None:
            raise UnknownRun(
                f"No run has the id {run_id}: nothing has been run in {self.settings.folder} yet."
            )
        return store

    async def store(self) -> Store | None:
        """None while there is no database: nothing has been run in this project yet."""
        if self.opened is None and self.settings.store.path.exists():
            self.opened = await SqliteStore.open_reader(self.settings.store.path)
            await learn_stored(self.settings, self.opened)
        return self.opened


def selected(verb: Verb, which: Which) -> RunFilter:
    now_ms = time.time_ns() // 1_000_000
    where = run_filter(workflow=which.workflow, status=which.status, since=which.since, now_ms=now_ms)
    return selection(verb, where)

"""Who answers commands about triggers and subscriptions: the running server, else this process."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

from ksl.cli.connect import connected, reading
from ksl.cli.invocation import Invocation
from ksl.cli.output import Json
from ksl.cli.project import discovered, tell_of_the_rest
from ksl.cli.remote import RemoteClient
from ksl.engine.clock import SystemClock
from ksl.engine.strict_json import check
from ksl.views.subscriptions import subscription_json, subscriptions_json
from ksl.views.triggers import firing_json, firings_json, trigger_json, trigger_whole_json

if TYPE_CHECKING:
    from ksl.build.discover import Project
    from ksl.log.store import Store
    from ksl.runtime import Runtime
    from ksl.trigger.standing import Standing

BY = "cli"


class Looking(Protocol):
    async def triggers(self) -> Json: ...

    async def trigger(self, slug: str) -> Json: ...

    async def firings(self, slug: str, *, verdict: str | None, limit: int, cursor: str | None) -> Json: ...

    async def subscriptions(self, workflow: str | None) -> Json: ...


class Acting(Looking, Protocol):
    # Whether runs go on after this command: a server is there to advance them.
    carries_on: bool

    async def invoke(self, slug: str, payload: bytes | None) -> Json: ...

    async def switch(self, slug: str, workflow: str | None, *, enabled: bool) -> Json: ...

    async def subscribe(self, workflow: str, subscriber: str) -> Json: ...

    async def set_enabled(self, subscription_id: str, enabled: bool) -> Json: ...

    async def unsubscribe(self, subscription_id: str) -> Json: ...


@asynccontextmanager
async def looking(invocation: Invocation) -> AsyncGenerator[Looking]:
    """For commands that only look. With no server it reads the project and the store."""
    from ksl.cli.stored import StoredReader
    from ksl.log.memory import MemoryStore
    from ksl.trigger.standing import Standing

    async with reading(invocation) as reader:
        if isinstance(reader, RemoteClient):
            yield _Remote(reader)
            return
        assert isinstance(reader, StoredReader)
        settings = reader.settings
        server = settings.server
        public_url = server.public_url or f"http://{server.host}:{server.port}"
        with discovered(settings) as project:
            tell_of_the_rest(project)
            store = await reader.store() or MemoryStore()
            standing = Standing(project=project, store=store, clock=SystemClock())
            await standing.load()
            yield _Stored(project, store, standing, public_url)


@asynccontextmanager
async def acting(invocation: Invocation) -> AsyncGenerator[Acting]:
    """For commands that change something. With no server, runs that are started wait for one."""
    async with connected(invocation, advances=False) as client:
        if isinstance(client, RemoteClient):
            yield _Remote(client)
        else:
            from ksl.cli.local import LocalClient

            assert isinstance(client, LocalClient)
            yield _Local(client.runtime)


class _Remote:
    carries_on = True

    def __init__(self, client: RemoteClient) -> None:
        self._client = client

    async def triggers(self) -> Json:
        return await self._client.ask("GET", "/triggers")

    async def trigger(self, slug: str) -> Json:
        return await self._client.ask("GET", _path(slug))

    async def firings(self, slug: str, *, verdict: str | None, limit: int, cursor: str | None) -> Json:
        asked = {"verdict": verdict, "limit": limit, "cursor": cursor}
        params = {key: value for key, value in asked.items() if value is not None}
        return await self._client.ask("GET", f"{_path(slug)}/runs", params=params)

    async def subscriptions(self, workflow: str | None) -> Json:
        return await self._client.ask(
            "GET", "/subscriptions", params={"workflow": workflow} if workflow else {}
        )

    async def invoke(self, slug: str, payload: bytes | None) -> Json:
        body = b"{}"
        if payload is not None:
            # As it was typed: re-encoding it here would hide what strict JSON refuses.
            check(payload, what="the input")
            body = b'{"input": ' + payload + b"}"
        headers = {"Content-Type": "application/json"}
        # A poll goes and looks first, and that may take its time.
        return await self._client.ask(
            "POST", f"{_path(slug)}/invoke", headers=headers, content=body, timeout=None
        )

    async def switch(self, slug: str, workflow: str | None, *, enabled: bool) -> Json:
        verb = "enable" if enabled else "disable"
        return await self._client.ask("POST", f"{_path(slug)}/{verb}", json={"workflow": workflow})

    async def subscribe(self, workflow: str, subscriber: str) -> Json:
        asked = {"workflow": workflow, "subscriber": subscriber}
        return await self._client.ask("POST", "/subscriptions", json=asked)

    async def set_enabled(self, subscription_id: str, enabled: bool) -> Json:
        path = f"/subscriptions/{quote(subscription_id, safe='')}"
        return await self._client.ask("PATCH", path, json={"enabled": enabled})

    async def unsubscribe(self, subscription_id: str) -> Json:
        return await self._client.ask("DELETE", f"/subscriptions/{quote(subscription_id, safe='')}")


class _Stored:
    def __init__(self, project: Project, store: Store, standing: Standing, public_url: str) -> None:
        self._project = project
        self._store = store
        self._standing = standing
        self._public_url = public_url

    async def triggers(self) -> Json:
        sources = sorted(self._project.triggers.values(), key=lambda source: source.slug)
        shown = [trigger_json(source, self._standing, public_url=self._public_url) for source in sources]
        return {"triggers": shown}

    async def trigger(self, slug: str) -> Json:
        return await trigger_whole_json(
            self._store, self._source(slug), self._standing, public_url=self._public_url
        )

    async def firings(self, slug: str, *, verdict: str | None, limit: int, cursor: str | None) -> Json:
        self._source(slug)
        return await firings_json(self._store, slug, verdict=verdict, limit=limit, cursor=cursor)

    async def subscriptions(self, workflow: str | None) -> Json:
        return subscriptions_json(self._standing.subscriptions(workflow))

    def _source(self, slug: str) -> Any:
        from ksl.trigger.firing import source_of

        return source_of(self._project, slug)


class _Local(_Stored):
    carries_on = False

    def __init__(self, runtime: Runtime) -> None:
        super().__init__(runtime.project, runtime.store, runtime.triggers.standing, runtime.public_url)
        self._runtime = runtime

    async def invoke(self, slug: str, payload: bytes | None) -> Json:
        return firing_json(await self._runtime.invoke(slug, payload, by=BY))

    async def switch(self, slug: str, workflow: str | None, *, enabled: bool) -> Json:
        row = await self._runtime.switch_trigger(slug, workflow, enabled=enabled, by=BY)
        return {"slug": row.source, "workflow": row.workflow or None, "enabled": row.enabled}

    async def subscribe(self, workflow: str, subscriber: str) -> Json:
        row, _ = await self._standing.subscribe(workflow, subscriber, by=BY)
        return subscription_json(row)

    async def set_enabled(self, subscription_id: str, enabled: bool) -> Json:
        return subscription_json(await self._standing.set_enabled(subscription_id, enabled))

    async def unsubscribe(self, subscription_id: str) -> Json:
        return subscription_json(await self._standing.unsubscribe(subscription_id))


def _path(slug: str) -> str:
    return f"/triggers/{quote(slug, safe='')}"

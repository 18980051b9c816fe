"""Who answers commands that look at agents and sessions: the running server, else the project and its store."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol
from urllib.parse import quote

from ksl.cli.connect import reading
from ksl.cli.invocation import Invocation
from ksl.cli.output import Json
from ksl.cli.project import discovered
from ksl.cli.remote import RemoteClient
from ksl.cli.stored import StoredReader
from ksl.log.memory import MemoryStore
from ksl.views.agents import agents_json
from ksl.views.sessions import session_json, sessions_json


class Looking(Protocol):
    async def agents(self) -> Json: ...

    async def sessions(self, *, agent: str | None, limit: int) -> Json: ...

    async def session(self, session_id: str) -> Json: ...

    def follow(self, run_id: str) -> AsyncIterator[Json]:
        """As `Reader.follow`, with texts."""
        ...


@asynccontextmanager
async def looking(invocation: Invocation) -> AsyncGenerator[Looking]:
    async with reading(invocation) as reader:
        if isinstance(reader, RemoteClient):
            yield _Remote(reader)
        else:
            assert isinstance(reader, StoredReader)
            yield _Stored(reader)


class _Remote:
    def __init__(self, client: RemoteClient) -> None:
        self._client = client

    async def agents(self) -> Json:
        return await self._client.ask("GET", "/agents")

    async def sessions(self, *, agent: str | None, limit: int) -> Json:
        params = {"limit": str(limit)} | ({} if agent is None else {"agent": agent})
        return await self._client.ask("GET", "/sessions", params=params)

    async def session(self, session_id: str) -> Json:
        return await self._client.ask("GET", f"/sessions/{quote(session_id, safe='')}")

    def follow(self, run_id: str) -> AsyncIterator[Json]:
        return self._client.follow(run_id, text=True)


class _Stored:
    def __init__(self, reader: StoredReader) -> None:
        self._reader = reader

    async def agents(self) -> Json:
        with discovered(self._reader.settings) as project:
            return agents_json(project)

    async def sessions(self, *, agent: str | None, limit: int) -> Json:
        return await sessions_json(await self._reader.store() or MemoryStore(), agent=agent, limit=limit)

    async def session(self, session_id: str) -> Json:
        return await session_json(await self._reader.store() or MemoryStore(), session_id)

    def follow(self, run_id: str) -> AsyncIterator[Json]:
        return self._reader.follow(run_id, text=True)

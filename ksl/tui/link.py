"""The link to whoever answers: found, watched, lost and found again, with one stream of events for everything."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing, suppress
from typing import Literal, Protocol

import msgspec

from ksl.tui.client import Client, Door, Json, Lost, Refused
from ksl.tui.spoken import Said, Spoken

State = Literal["searching", "live", "stored", "lost"]

BACKOFF_S = (1, 2, 4, 8, 15)
APPLIED_S = 0.1  # changes are applied ten times a second at most
SEARCH_S = 0.3  # until somebody is found for the first time
LOOK_AGAIN_S = 2.0  # while there is no server: for one, and for what commands have stored


class Doors(Protocol):
    """Finds who answers: asked at the start, and again whenever the link is lost."""

    async def find(self) -> Door:
        """Errors: Lost where nobody can be found at the moment."""
        ...


class Change(msgspec.Struct):
    """An event, as far as every screen needs it."""

    run_id: str
    type: str
    at: str = ""
    step: str | None = None


class Link:
    """`changed` gets what happened since it was last called; an empty list means: look at everything again. `heard` is
    called when models have said something: it is in `spoken`."""

    def __init__(
        self,
        doors: Doors,
        *,
        changed: Callable[[list[Change]], None],
        told: Callable[[], None],
        heard: Callable[[], None] = lambda: None,
    ) -> None:
        self.state: State = "searching"
        self.client: Client | None = None
        self.retry_in_s = 0
        self.why = ""
        self._doors = doors
        self._changed = changed
        self._told = told
        self._after: int | None = None
        self._looks = asyncio.Event()
        self._decode = msgspec.json.Decoder(Change).decode
        self._heard = heard
        self.spoken = Spoken()
        self._decode_said = msgspec.json.Decoder(Said).decode

    @property
    def read_only(self) -> bool:
        return self.client is not None and self.client.door.read_only

    @property
    def name(self) -> str:
        return self.client.door.name if self.client is not None else ""

    def look(self) -> None:
        """Looks for a server now, not when its time has come."""
        self._looks.set()

    async def run(self) -> None:
        """Until it is cancelled."""
        failures = 0
        try:
            while True:
                try:
                    await self._open()
                    failures = 0
                    if self.read_only:
                        await self._look_again()
                    else:
                        await self._follow()
                except Lost as lost:
                    self.why = str(lost)
                except Refused as refused:
                    self.why = refused.detail
                if self.client is None:
                    self._set("searching")
                    await asyncio.sleep(SEARCH_S)
                    continue
                await self._wait(BACKOFF_S[min(failures, len(BACKOFF_S) - 1)])
                failures += 1
        finally:
            if self.client is not None:
                await self.client.aclose()

    async def _open(self) -> None:
        door = await self._doors.find()
        if self.client is None or self.client.door != door:
            before, self.client = self.client, Client(door)
            self._after = None
            if before is not None:
                await before.aclose()
        if door.read_only:
            self._set("stored")

    async def _look_again(self) -> None:
        assert self.client is not None
        here = self.client.door
        while (door := await self._doors.find()) == here:
            self._changed([])
            self._looks.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_AGAIN_S):
                    await self._looks.wait()
        before, self.client = self.client, Client(door)
        await before.aclose()
        await self._follow()

    async def _follow(self) -> None:
        assert self.client is not None
        pending: list[Change] = []
        arrived = asyncio.Event()
        applying = asyncio.create_task(self._apply(pending, arrived))
        try:
            async with aclosing(self.client.stream("/stream", self._after)) as stream:
                async for id, data in stream:
                    if id is not None:
                        self._after = id
                        change = self._decode(data)
                        self.spoken.happened(change.run_id, change.type, change.step)
                        pending.append(change)
                        arrived.set()
                    elif data:
                        self.spoken.take(self._decode_said(data))
                        arrived.set()
                    else:
                        self.spoken.clear()
                        self._set("live")
                        self._changed([])
        finally:
            applying.cancel()
            await asyncio.gather(applying, return_exceptions=True)

    async def _apply(self, pending: list[Change], arrived: asyncio.Event) -> None:
        while True:
            await arrived.wait()
            arrived.clear()
            changes = pending.copy()
            pending.clear()
            if changes:
                self._changed(changes)
            self._heard()
            await asyncio.sleep(APPLIED_S)

    async def _wait(self, seconds: int) -> None:
        self._looks.clear()
        for left in range(seconds, 0, -1):
            self.retry_in_s = left
            self._set("lost")
            with suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self._looks.wait()
                    return

    def _set(self, state: State) -> None:
        self.state = state
        self._told()


async def ready(client: Client) -> Json:
    return await client.get("/readyz")

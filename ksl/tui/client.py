"""One small client of the HTTP interface, for a server and for the database of a folder alike."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast
from urllib.parse import quote

import httpx
import msgspec

Json = dict[str, Any]
T = TypeVar("T")

# The server sends a comment every 15 s; a stream that is silent for longer has lost its server.
SILENT_S = 45.0
ANSWER_S = 30.0
CONNECT_S = 3.0
_OBJECT = msgspec.json.Decoder(Json)


@dataclass(frozen=True)
class Door:
    """Where answers come from. With a `transport` it is this process: the database, for reading only."""

    url: str
    token: str | None
    transport: httpx.AsyncBaseTransport | None = field(default=None, compare=False)

    @property
    def read_only(self) -> bool:
        return self.transport is not None

    @property
    def name(self) -> str:
        return self.url.partition("://")[2].rstrip("/")


class Refused(Exception):
    """The server's answer was no: a problem with a code, and fields where an input was wrong."""

    def __init__(self, status: int, code: str, detail: str, errors: list[Json]) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.errors = errors


class Lost(Exception):
    """Nobody answers."""


class Client:
    def __init__(self, door: Door) -> None:
        self.door = door
        headers = {"Accept": "application/json"}
        if door.token:
            headers["Authorization"] = f"Bearer {door.token}"
        # trust_env off: a proxy set for the web must not see the token of a server on this machine.
        self._http = httpx.AsyncClient(
            base_url=door.url,
            headers=headers,
            transport=door.transport,
            # Reading the certificates of the world takes as long as all else until the first answer.
            verify=door.url.startswith("https:"),
            timeout=httpx.Timeout(ANSWER_S, connect=CONNECT_S),
            trust_env=False,
        )

    async def aclose(self) -> None:
        await self._http.aclose()

    async def get(self, path: str, **params: Any) -> Json:
        return _OBJECT.decode(await self.raw("GET", path, params=params))

    async def typed(self, kind: type[T], path: str, **params: Any) -> T:
        """Only the fields of `kind`: the rest, such as the inputs of runs, is passed over."""
        return msgspec.json.decode(await self.raw("GET", path, params=params), type=kind)

    async def text(self, path: str) -> str:
        return (await self.raw("GET", path)).decode()

    async def post(self, path: str, body: object = None) -> Json:
        if self.door.read_only:
            raise Refused(503, "", "No server runs, so nothing can be changed. Start one: ksl serve.", [])
        return _OBJECT.decode(await self.raw("POST", path, body=msgspec.json.encode(body)))

    async def raw(
        self, method: str, path: str, *, params: Mapping[str, Any] | None = None, body: bytes | None = None
    ) -> bytes:
        given = {name: value for name, value in (params or {}).items() if value is not None}
        headers = {"Content-Type": "application/json"} if body is not None else {}
        try:
            # Given as an empty mapping, they would take away those that the path has.
            answer = await self._http.request(
                method, path, params=given or None, content=body, headers=headers
            )
        except httpx.HTTPError as error:
            raise Lost(f"{self.door.name}: {error or type(error).__name__}") from error
        if answer.is_success or (answer.status_code == 503 and path == "/readyz"):
            return answer.content
        raise _refused(answer)

    async def stream(self, path: str, after: int | None) -> AsyncGenerator[tuple[int | None, bytes]]:
        """Ids and data of events; first `(None, b"")`, once it is open. What models say has no id. Ends with Lost."""
        headers = {"Accept": "text/event-stream"}
        if after is not None:
            headers["Last-Event-ID"] = str(after)
        timeout = httpx.Timeout(ANSWER_S, connect=CONNECT_S, read=SILENT_S)
        try:
            async with self._http.stream("GET", path, headers=headers, timeout=timeout) as answer:
                if not answer.is_success:
                    await answer.aread()
                    raise _refused(answer)
                yield None, b""
                async with aclosing(_frames(answer)) as frames:
                    async for frame in frames:
                        yield frame
        except httpx.HTTPError as error:
            raise Lost(f"{self.door.name}: {error or type(error).__name__}") from error
        raise Lost(f"{self.door.name} ended the stream")


async def _frames(answer: httpx.Response) -> AsyncGenerator[tuple[int | None, bytes]]:
    rest = b""
    async for chunk in answer.aiter_bytes():
        *frames, rest = (rest + chunk).split(b"\n\n")
        for frame in frames:
            head, _, data = frame.partition(b"\ndata: ")
            if head.startswith(b"id: "):
                yield int(head[4:]), data
            elif head == b"event: text":
                yield None, data


def part(text: str) -> str:
    """One part of a path."""
    return quote(text, safe="")


def _refused(answer: httpx.Response) -> Refused:
    try:
        known: object = msgspec.json.decode(answer.content)
    except msgspec.DecodeError:
        known = None
    fields = cast(Json, known) if isinstance(known, dict) else {}
    detail = fields.get("detail") or fields.get("title") or f"the server answered {answer.status_code}"
    errors: list[Json] = fields.get("errors") or []
    return Refused(answer.status_code, str(fields.get("code", "")), str(detail), errors)

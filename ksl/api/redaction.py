"""Takes known secrets out of every answer, whatever route gave it.

Nearly everything was masked when it was recorded. What this is for was recorded before its secret was known.
"""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ksl.vault.redactor import Redactor


class Redacting:
    """Costs one look at a flag while no secret is known."""

    def __init__(self, app: ASGIApp, *, redactor: Redactor) -> None:
        self._app = app
        self._redactor = redactor

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._redactor.active:
            send = _Masked(send, self._redactor)
        await self._app(scope, receive, send)


class _Masked:
    """Holds the start of an answer back until its body shows how long it is."""

    def __init__(self, send: Send, redactor: Redactor) -> None:
        self._send = send
        self._redactor = redactor
        self._start: Message | None = None
        self._media_type = ""

    async def __call__(self, message: Message) -> None:
        match message["type"]:
            case "http.response.start":
                self._start = message
                self._media_type = _media_type(message)
            case "http.response.body":
                await self._body(message)
            case _:
                await self._send(message)

    async def _body(self, message: Message) -> None:
        body: bytes = message.get("body", b"")
        masked = self._mask(body)
        start, self._start = self._start, None
        if start is not None:
            whole = not message.get("more_body", False)
            await self._send(_of_length(start, len(masked)) if whole and masked is not body else start)
        await self._send(message if masked is body else {**message, "body": masked})

    def _mask(self, body: bytes) -> bytes:
        if self._media_type.endswith("json"):
            return self._redactor.json(body)
        return self._redactor.bytes(body) if self._media_type.startswith(("text/", "image/svg")) else body


def _media_type(start: Message) -> str:
    for name, value in start.get("headers", []):
        if name.lower() == b"content-type":
            return value.decode("latin-1").partition(";")[0].strip().lower()
    return ""


def _of_length(start: Message, length: int) -> Message:
    headers = [(name, value) for name, value in start["headers"] if name.lower() != b"content-length"]
    return {**start, "headers": [*headers, (b"content-length", str(length).encode())]}

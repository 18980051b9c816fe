"""A server that speaks the OpenAI chat protocol over HTTP on loopback, and says what a script has for it.

What it says follows from the conversation it is sent, as with a real one: a turn asked for again is answered alike.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, cast

Json = dict[str, Any]
Say = Callable[[Json], Json]
KEY = "sk-test"


def text(content: str) -> Json:
    return {"role": "assistant", "content": content}


def calls(*made: tuple[str, str, Json | str]) -> Json:
    """(id, name, arguments) of each."""
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {
                "id": id,
                "type": "function",
                "function": {"name": name, "arguments": args if isinstance(args, str) else json.dumps(args)},
            }
            for id, name, args in made
        ],
    }


def output(value: Json, id: str = "final") -> Json:
    return calls((id, "final_result", value))


def turn_of(body: Json) -> int:
    """How many turns the conversation has had."""
    return sum(message["role"] == "assistant" for message in body["messages"])


def _script(turns: list[Json]) -> Say:
    return lambda body: turns[turn_of(body)]


class ChatServer:
    """`before` is told of each request and says whether it gets no answer. `mishaps` are answers for the next requests
    in place of the right ones: (status, headers), "cut", "junk", and "silence" for an empty stream. A streamed answer
    is cut into `pieces`; `between` is told of each before it is sent, by its number, and says whether the connection
    is cut there."""

    def __init__(self, say: Say | list[Json]) -> None:
        self.say: Say = say if callable(say) else _script(say)
        self.requests: list[Json] = []
        self.turns: Counter[int] = Counter()  # requests that were answered, by turn
        self.mishaps: list[Any] = []
        self.effects: list[tuple[str, str]] = []  # (name, idempotency key), of POST /effects/NAME
        self.before: Callable[[str, int], Awaitable[bool]] | None = None  # (path, how many came before)
        self.pieces: Callable[[str], list[str]] = _halves
        self.between: Callable[[int], Awaitable[bool]] | None = None
        self.tells_use = True  # with what is streamed
        self.counts: Counter[str] = Counter()
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> ChatServer:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._serving):
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    @property
    def settings(self) -> str:
        return f'[models.providers.local]\nbase_url = "{self.url}/v1"\napi_key = "{KEY}"\n'

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *lines = head.decode().split("\r\n")
                path = first.split(" ")[1]
                headers = dict(line.lower().split(": ", 1) for line in lines if ": " in line)
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                count = self.counts[path]
                self.counts[path] += 1
                if path.startswith("/effects/"):
                    self.effects.append((path.rpartition("/")[2], headers.get("idempotency-key", "")))
                if self.before is not None and await self.before(path, count):
                    return
                if path == "/v1/models":
                    _send(writer, 200, b'{"data": [{"id": "small"}]}')
                elif not path.startswith("/v1/"):
                    _send(writer, 200, b"{}")
                else:
                    await self._chat(writer, json.loads(body), headers)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _chat(self, writer: asyncio.StreamWriter, body: Json, headers: dict[str, str]) -> None:
        assert headers["authorization"] == f"bearer {KEY}"
        self.requests.append(body)
        match self.mishaps.pop(0) if self.mishaps else None:
            case "cut":
                writer.write(
                    b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{"id"'
                )
                writer.close()
                return
            case "junk":
                _send(writer, 200, b'{"id": "x", "choices": [{"mess')
                return
            case "silence":
                writer.write(
                    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
                )
                writer.close()
                return
            case (int(status), more):
                _send(
                    writer,
                    status,
                    b'{"error": {"message": "not now", "type": "x"}}',
                    cast("dict[str, str]", more),
                )
                return
            case _:
                pass
        message = self.say(body)
        self.turns[turn_of(body)] += 1
        if body.get("stream"):
            await self._stream(writer, message)
        else:
            _send(writer, 200, json.dumps(_completion(message)).encode())

    async def _stream(self, writer: asyncio.StreamWriter, message: Json) -> None:
        deltas: list[Json] = [
            {"role": "assistant", "content": piece} for piece in self.pieces(message["content"] or "")
        ]
        for place, call in enumerate(message.get("tool_calls", ())):
            deltas.append({"tool_calls": [{"index": place, **call}]})
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
        for number, delta in enumerate(deltas):
            if self.between is not None and await self.between(number):
                writer.close()
                return
            _event(writer, _chunk({"index": 0, "delta": delta, "finish_reason": None}))
            await writer.drain()
        _event(writer, _chunk({"index": 0, "delta": {}, "finish_reason": _why(message)}))
        if self.tells_use:
            _event(writer, {**_chunk(None), "usage": _USAGE})
        writer.write(b"data: [DONE]\n\n")
        writer.close()


def _halves(text: str) -> list[str]:
    half = len(text) // 2
    return [text[:half], text[half:]]


_USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}


def _why(message: Json) -> str:
    return "tool_calls" if message.get("tool_calls") else "stop"


def _completion(message: Json) -> Json:
    return {
        "id": "chat-1",
        "object": "chat.completion",
        "created": 1_750_000_000,
        "model": "small",
        "choices": [{"index": 0, "message": message, "finish_reason": _why(message)}],
        "usage": _USAGE,
    }


def _chunk(choice: Json | None) -> Json:
    return {
        "id": "chat-1",
        "object": "chat.completion.chunk",
        "created": 1_750_000_000,
        "model": "small",
        "choices": [] if choice is None else [choice],
    }


def _event(writer: asyncio.StreamWriter, value: Json) -> None:
    writer.write(b"data: " + json.dumps(value).encode() + b"\n\n")


def _send(writer: asyncio.StreamWriter, status: int, body: bytes, more: dict[str, str] | None = None) -> None:
    headers = {"content-type": "application/json", "content-length": str(len(body)), **(more or {})}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode() + body)

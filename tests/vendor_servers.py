"""Servers on loopback that speak the protocols of vendors: Anthropic's Messages API, Google's generateContent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol, cast

Json = dict[str, Any]


class Said(NamedTuple):
    """What a model says in one turn."""

    text: str = ""
    calls: tuple[tuple[str, Json], ...] = ()  # (tool, arguments)


class Asked(NamedTuple):
    """What the server was asked, whatever the protocol."""

    model: str
    key: str
    system: str
    results: tuple[Any, ...]  # of calls, in the newest message
    turns: int  # that the model has had
    tools: tuple[str, ...]
    must_call: bool  # text is no answer
    body: Json


class Speech(Protocol):
    """One protocol."""

    vendor: str
    model: str
    input_tokens: int  # as is told of every turn

    def asked(self, path: str, headers: dict[str, str], body: Json) -> Asked: ...

    def streams(self, path: str, body: Json) -> bool: ...

    def answer(self, said: Said) -> Json: ...

    def events(self, said: Said) -> Iterator[tuple[str, Json]]:
        """(name of the event, its data) of a stream."""
        ...

    def refusal(self, status: int, message: str) -> Json: ...


class Messages:
    """Anthropic."""

    vendor = "anthropic"
    model = "claude-sonnet-4-6"
    input_tokens = 10

    def asked(self, path: str, headers: dict[str, str], body: Json) -> Asked:
        assert path.startswith("/v1/messages"), path
        assert headers["anthropic-version"]
        assert body["max_tokens"] > 0
        blocks = [
            part for each in body["messages"] if isinstance(each["content"], list) for part in each["content"]
        ]
        if any(part["type"] == "tool_use" for part in blocks):
            assert body.get("tools"), "a conversation with calls of tools names tools"
        newest = body["messages"][-1]
        assert newest["role"] == "user"
        parts: list[Json] = newest["content"] if isinstance(newest["content"], list) else []
        system = body.get("system", "")
        return Asked(
            model=body["model"],
            key=headers.get("x-api-key") or headers["authorization"].removeprefix("Bearer "),
            system=system if isinstance(system, str) else "".join(each["text"] for each in system),
            results=tuple(_text(part["content"]) for part in parts if part["type"] == "tool_result"),
            turns=sum(message["role"] == "assistant" for message in body["messages"]),
            tools=tuple(tool["name"] for tool in body.get("tools", ())),
            must_call=body.get("tool_choice", {}).get("type") in ("any", "tool"),
            body=body,
        )

    def streams(self, path: str, body: Json) -> bool:
        return bool(body.get("stream"))

    def answer(self, said: Said) -> Json:
        return {
            **self._head(said),
            "content": list(_blocks(said)),
            "stop_reason": "tool_use" if said.calls else "end_turn",
            "usage": {"input_tokens": self.input_tokens, "output_tokens": 5},
        }

    def events(self, said: Said) -> Iterator[tuple[str, Json]]:
        begun: Json = {**self._head(said), "content": [], "stop_reason": None}
        begun["usage"] = {"input_tokens": self.input_tokens, "output_tokens": 1}
        yield "message_start", {"type": "message_start", "message": begun}
        for index, block in enumerate(_blocks(said)):
            if block["type"] == "text":
                empty: Json = {**block, "text": ""}
                delta: Json = {"type": "text_delta", "text": block["text"]}
            else:
                empty = {**block, "input": {}}
                delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
            head: Json = {"type": "content_block_start", "index": index, "content_block": empty}
            yield "content_block_start", head
            yield "content_block_delta", {"type": "content_block_delta", "index": index, "delta": delta}
            yield "content_block_stop", {"type": "content_block_stop", "index": index}
        why = {"stop_reason": "tool_use" if said.calls else "end_turn", "stop_sequence": None}
        yield "message_delta", {"type": "message_delta", "delta": why, "usage": {"output_tokens": 5}}
        yield "message_stop", {"type": "message_stop"}

    def refusal(self, status: int, message: str) -> Json:
        kind = "rate_limit_error" if status == 429 else "invalid_request_error"
        return {"type": "error", "error": {"type": kind, "message": message}}

    def _head(self, said: Said) -> Json:
        return {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "stop_sequence": None,
        }


class GenerateContent:
    """Google."""

    vendor = "google"
    model = "gemini-2.5-flash"
    input_tokens = 10

    def asked(self, path: str, headers: dict[str, str], body: Json) -> Asked:
        model, _, method = path.removeprefix("/v1beta/models/").partition("?")[0].partition(":")
        assert method in ("generateContent", "streamGenerateContent"), path
        newest = body["contents"][-1]
        assert newest["role"] == "user"
        responses = [part["functionResponse"] for part in newest["parts"] if "functionResponse" in part]
        tools = [each for tool in body.get("tools", ()) for each in tool["functionDeclarations"]]
        how = body.get("toolConfig", {}).get("functionCallingConfig", {})
        return Asked(
            model=model,
            key=headers["x-goog-api-key"],
            system="".join(part["text"] for part in body.get("systemInstruction", {}).get("parts", ())),
            results=tuple(next(iter(each["response"].values())) for each in responses),
            turns=sum(content["role"] == "model" for content in body["contents"]),
            tools=tuple(tool["name"] for tool in tools),
            must_call=how.get("mode") == "ANY",
            body=body,
        )

    def streams(self, path: str, body: Json) -> bool:
        return ":streamGenerateContent" in path

    def answer(self, said: Said) -> Json:
        parts: list[Json] = [{"text": said.text}] if said.text else []
        parts += [{"functionCall": {"name": name, "args": args}} for name, args in said.calls]
        return {
            "candidates": [
                {"content": {"role": "model", "parts": parts}, "finishReason": "STOP", "index": 0}
            ],
            "usageMetadata": {
                "promptTokenCount": self.input_tokens,
                "candidatesTokenCount": 5,
                "totalTokenCount": self.input_tokens + 5,
            },
            "modelVersion": self.model,
            "responseId": "r-1",
        }

    def events(self, said: Said) -> Iterator[tuple[str, Json]]:
        yield "", self.answer(said)

    def refusal(self, status: int, message: str) -> Json:
        return {"error": {"code": status, "message": message, "status": "RESOURCE_EXHAUSTED"}}


class VendorServer:
    """`say` gives what is said of what was asked. `mishaps` are answers for the next requests in place of the right
    ones: (status, headers), "cut", "junk"."""

    def __init__(self, speech: Speech, say: Callable[[Asked], Said] | list[Said]) -> None:
        self.speech = speech
        self.say: Callable[[Asked], Said] = say if callable(say) else lambda asked: say[asked.turns]
        self.asked: list[Asked] = []
        self.mishaps: list[Any] = []
        self.faults: list[BaseException] = []  # of the server itself: what it was sent is not the protocol
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> VendorServer:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._serving):
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        assert not self.faults, self.faults

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def settings(self, key: str = "") -> str:
        written = f'api_key = "{key}"\n' if key else ""
        return f'[models.providers.{self.speech.vendor}]\nbase_url = "{self.url}"\n{written}'

    @property
    def model(self) -> str:
        return f"{self.speech.vendor}/{self.speech.model.replace('4-6', '4.6')}"  # as people write it

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *lines = head.decode().split("\r\n")
                given = (line.split(": ", 1) for line in lines if ": " in line)
                headers = {name.lower(): value for name, value in given}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                self._answer(writer, first.split(" ")[1], headers, json.loads(body))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except (AssertionError, LookupError, ValueError) as error:
            self.faults.append(error)
        finally:
            writer.close()

    def _answer(self, writer: asyncio.StreamWriter, path: str, headers: dict[str, str], body: Json) -> None:
        asked = self.speech.asked(path, headers, body)
        self.asked.append(asked)
        match self.mishaps.pop(0) if self.mishaps else None:
            case "cut":
                writer.write(
                    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{"
                )
                writer.close()
            case "junk":
                _send(writer, 200, "application/json", b'{"id": "x", "content": [{"ty')
            case (int(status), more):
                refusal = json.dumps(self.speech.refusal(status, "not now")).encode()
                _send(writer, status, "application/json", refusal, cast("dict[str, str]", more))
            case _ if self.speech.streams(path, body):
                events = self.speech.events(self.say(asked))
                lines = (
                    (f"event: {name}\n" if name else "") + f"data: {json.dumps(e)}\n\n" for name, e in events
                )
                _send(writer, 200, "text/event-stream", "".join(lines).encode())
            case _:
                answer = json.dumps(self.speech.answer(self.say(asked))).encode()
                _send(writer, 200, "application/json", answer)


def _blocks(said: Said) -> Iterator[Json]:
    if said.text:
        yield {"type": "text", "text": said.text}
    for n, (name, args) in enumerate(said.calls):
        yield {"type": "tool_use", "id": f"toolu_{n}", "name": name, "input": args}


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "".join(each["text"] for each in content)


def _send(
    writer: asyncio.StreamWriter, status: int, kind: str, body: bytes, more: dict[str, str] | None = None
) -> None:
    headers = {"content-type": kind, "content-length": str(len(body)), **(more or {})}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode() + body)

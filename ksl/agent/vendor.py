"""A real model, asked through pydantic-ai. This module takes seconds to import."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, cast

import httpx2
from pydantic_ai.exceptions import (
    ModelAPIError,
    ModelConnectionError,
    ModelHTTPError,
    UnexpectedModelBehavior,
)
from pydantic_ai.messages import (
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelResponse,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
)
from pydantic_ai.models import Model as PydanticModel
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import ToolDefinition

from ksl.agent import bounded
from ksl.agent.characters import Pieces, mended
from ksl.agent.message import OUTPUT_TOOL, told_apart
from ksl.agent.model import Question, Reply
from ksl.agent.tool_set import ToolSpec
from ksl.errors import ModelRefused, ModelUnavailable, PayloadTooLarge, RetryLater
from ksl.records.model_use import ModelUse

Json = dict[str, Any]
TIMEOUT_S = 600.0  # for a whole turn
_TRY_AGAIN = (408, 409, 425, 429)
_CANNOT_STREAM = (400, 404, 405, 415, 422, 501)  # or something else is wrong, and is said again
# What clients raise of an answer that they cannot read, whatever it lacks.
_UNREADABLE = (UnexpectedModelBehavior, httpx2.HTTPError, LookupError, TypeError, AttributeError, ValueError)
# Tried again by the step's own policy, where each attempt is told of.
_SETTINGS = ModelSettings(max_retries=0, timeout=TIMEOUT_S)
_NONE_CALLED: ModelSettings = {**_SETTINGS, "tool_choice": "none"}
_NAMED: ModelSettings = {
    **_SETTINGS,
    "extra_body": {"tool_choice": {"type": "function", "function": {"name": OUTPUT_TOOL}}},
}


class VendorModel:
    def __init__(
        self,
        kind: str,
        id: str,
        *,
        name: str,
        key: str,
        base_url: str | None,
        names_tool: bool = False,
        has_price: bool = False,
    ) -> None:
        """`names_tool`: the server knows no `tool_choice` "required", but takes the name of a tool."""
        self._name = name
        self._kind = kind
        self._names_tool = names_tool
        self._id = id = (
            id.replace(".", "-") if kind == "anthropic" else id
        )  # its ids have no dots, its versions do
        self._streams = True
        self._has_price = has_price
        self._model, self._close = _make(kind, id, key=key, base_url=base_url)

    async def turn(self, question: Question) -> Reply:
        messages = ModelMessagesTypeAdapter.validate_python(_with_instructions(question))
        parameters = _parameters(question)
        settings: ModelSettings = _SETTINGS
        if self._kind == "anthropic" and (called := _called_before(question)):
            parameters = replace(parameters, function_tools=called)
            settings = _NONE_CALLED
        if self._names_tool and question.output is not None:
            if question.tools:
                parameters = replace(
                    parameters, allow_text_output=True
                )  # "auto": text is read as an answer, too
            else:
                settings = _NAMED
        try:
            async with asyncio.timeout(TIMEOUT_S):
                if question.told is None or not self._streams:
                    response = await self._model.request(messages, settings, parameters)
                else:
                    response = await self._streamed(messages, settings, parameters, question.told)
        except TimeoutError as error:
            raise ModelUnavailable(f"{self._name} came to no end in {TIMEOUT_S:g} s.") from error
        except (ModelAPIError, bounded.AnswerTooLong, *_UNREADABLE) as error:
            raise _told(error, self._name) from error
        return Reply(told_apart(_parts(response), question.messages), self._use(question, response))

    async def close(self) -> None:
        with contextlib.suppress(Exception):
            await self._close()

    async def _streamed(
        self,
        messages: list[ModelMessage],
        settings: ModelSettings,
        parameters: ModelRequestParameters,
        told: Callable[[str], None],
    ) -> ModelResponse:
        """A server that cannot stream is asked again as a whole, and from then on at once so."""
        said = False
        pieces = Pieces(told)
        try:
            async with cast("Any", self._model.request_stream(messages, settings, parameters)) as stream:
                async for event in stream:
                    said = True
                    if isinstance(event, PartStartEvent) and isinstance(event.part, TextPart):
                        pieces.add(event.part.content)
                    elif isinstance(event, PartDeltaEvent) and isinstance(event.delta, TextPartDelta):
                        pieces.add(event.delta.content_delta)
                response = cast("ModelResponse", stream.get())
        except (ModelHTTPError, NotImplementedError, UnexpectedModelBehavior) as error:
            if (isinstance(error, ModelHTTPError) and error.status_code not in _CANNOT_STREAM) or said:
                raise
            # Some say by an empty stream that they stream no calls of tools.
            whole = await self._model.request(messages, settings, parameters)
            self._streams = False
            return whole
        if not (response.provider_details or {}).get("finish_reason"):
            # A connection that is closed in the middle looks like an end to some clients.
            raise ModelUnavailable(f"{self._name} broke off in the middle of its answer.")
        if not response.usage.total_tokens:
            self._streams = False  # or its use would always be an estimate
        return response

    def _use(self, question: Question, response: ModelResponse) -> ModelUse:
        usage = response.usage
        if not usage.total_tokens:  # not told: estimated, so that budgets bound such a server, too
            asked = [question.messages, question.instructions, [tool.schema for tool in question.tools]]
            return ModelUse(self._name, input_tokens=_tokens(asked), output_tokens=_tokens(_parts(response)))
        return ModelUse(
            model=self._name,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            usd=_price(response, self._kind, self._id) if self._has_price else None,
        )


def _tokens(value: Any) -> int:
    """At four characters a token, which is near the truth for English."""
    return len(json.dumps(value)) // 4 + 1


def _make(
    kind: str, id: str, *, key: str, base_url: str | None
) -> tuple[PydanticModel, Callable[[], Awaitable[None]]]:
    """The model, and what closes its connections. No client tries a request again by itself."""
    match kind:
        case "anthropic":
            from anthropic import AsyncAnthropic, DefaultAsyncHttpxClient
            from pydantic_ai.models.anthropic import AnthropicModel
            from pydantic_ai.providers.anthropic import AnthropicProvider

            client = DefaultAsyncHttpxClient(event_hooks=bounded.HOOKS)
            anthropic = AsyncAnthropic(api_key=key, base_url=base_url, max_retries=0, http_client=client)
            return AnthropicModel(id, provider=AnthropicProvider(anthropic_client=anthropic)), anthropic.close
        case "google":
            from httpx2 import AsyncClient, Timeout
            from pydantic_ai.models.google import GoogleModel
            from pydantic_ai.providers.google import GoogleProvider

            http = AsyncClient(timeout=Timeout(TIMEOUT_S, connect=10.0), event_hooks=bounded.HOOKS)
            google = GoogleProvider(api_key=key, base_url=base_url, http_client=http)
            return GoogleModel(id, provider=google), http.aclose
        case _:
            from openai import AsyncOpenAI, DefaultAsyncHttpxClient
            from pydantic_ai.providers.openai import OpenAIProvider

            from ksl.agent.chat_model import ChatModel

            client = DefaultAsyncHttpxClient(event_hooks=bounded.HOOKS)
            openai = AsyncOpenAI(api_key=key or "none", base_url=base_url, max_retries=0, http_client=client)
            return ChatModel(id, provider=OpenAIProvider(openai_client=openai)), openai.close


def _with_instructions(question: Question) -> list[Json]:
    messages = [dict(message) for message in question.messages]
    if question.instructions:
        for message in messages:
            if message["kind"] == "request":
                message["instructions"] = question.instructions
    return messages


def _parameters(question: Question) -> ModelRequestParameters:
    tools = [_definition(tool) for tool in question.tools]
    if question.output is None:
        return ModelRequestParameters(function_tools=tools)
    answer = ToolSpec(OUTPUT_TOOL, "The final answer, given when everything else is done.", question.output)
    return ModelRequestParameters(
        function_tools=tools,
        output_mode="tool",
        output_tools=[_definition(answer, kind="output")],
        allow_text_output=False,
    )


def _called_before(question: Question) -> list[ToolDefinition]:
    """Tools that the conversation has calls of, where it is to go on without any: Anthropic refuses to read of calls
    where no tool is named."""
    if question.tools or question.output is not None:
        return []
    parts = (part for message in question.messages for part in message["parts"])
    names = dict.fromkeys(part["tool_name"] for part in parts if part["part_kind"] == "tool-call")
    about = "Was called in this conversation; it cannot be called any more."
    return [_definition(ToolSpec(name, about, {"type": "object", "properties": {}})) for name in names]


def _definition(tool: ToolSpec, kind: Any = "function") -> ToolDefinition:
    return ToolDefinition(
        name=tool.name, description=tool.description, parameters_json_schema=tool.schema, kind=kind
    )


def _parts(response: ModelResponse) -> list[Json]:
    (dumped,) = ModelMessagesTypeAdapter.dump_python([response], mode="json")
    return [
        {key: mended(value) for key, value in part.items() if value is not None} for part in dumped["parts"]
    ]


def _price(response: ModelResponse, kind: str, id: str) -> float | None:
    try:
        from genai_prices import calc_price

        return float(calc_price(cast("Any", response.usage), id, provider_id=kind).total_price)
    except (ImportError, LookupError, ValueError):
        return None


def _told(error: Exception, name: str) -> Exception:
    if bounded.is_too_long(error):
        size = bounded.ANSWER_BYTES_MAX // 1024**2
        return PayloadTooLarge(
            f"{name} sent more than {size} MiB for one answer, and was cut off. It is not asked again: it would come "
            "to no end once more, and may be paid by what it says. Look at what the server does with the request."
        )
    if not isinstance(error, ModelAPIError):
        return ModelUnavailable(f"{name} answered what is not its protocol: {_first(error)}")
    said = f"{name}: {_first(error)}"
    status = error.status_code if isinstance(error, ModelHTTPError) else None
    if status is not None and status not in _TRY_AGAIN and status < 500:
        return ModelRefused(
            f"{said} The request would be refused again; put right what it names (the model's id, the key, the "
            "request) and retry the run."
        )
    if error.retry_after is not None:
        return RetryLater(said, after=error.retry_after)
    kind = "could not be reached" if isinstance(error, ModelConnectionError) else "is not available"
    return ModelUnavailable(f"{name} {kind}: {_first(error)}")


def _first(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 500 else f"{text[:500]}..."

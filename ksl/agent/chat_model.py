"""The OpenAI chat protocol, as all the servers that say to speak it understand it."""

from __future__ import annotations

from openai.types.chat import ChatCompletionMessageParam
from pydantic_ai.messages import ModelResponse
from pydantic_ai.models.openai import OpenAIChatModel


class ChatModel(OpenAIChatModel):
    def _map_model_response(self, message: ModelResponse) -> ChatCompletionMessageParam | None:
        """A turn that only calls tools has an empty `content`: null, which OpenAI takes, other servers refuse, and
        one that is not there as well."""
        mapped = super()._map_model_response(message)
        if mapped is not None and mapped.get("content") is None:
            mapped["content"] = ""
        return mapped

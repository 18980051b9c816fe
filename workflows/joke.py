"""Asks a model for a joke, and another one what kind of joke that is."""

from __future__ import annotations

import os
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from ksl import prompt_llm, workflow

_REAL = os.environ.get("KSL_EXAMPLE_MODEL")
TELLER = _REAL or "test/script/agents/scripts/jokes.json"
CRITIC = _REAL or "test/script/agents/scripts/kind.json"


class Pun(BaseModel):
    kind: Literal["pun"]
    subject: str
    rating: int | None = Field(description="From 1 to 5; null where you would rather not say.")


class Story(BaseModel):
    kind: Literal["story"]
    ending: Literal["good", "bad"]


Kind = Annotated[Pun | Story, Field(discriminator="kind")]


class Joke(BaseModel):
    text: str
    said_of_it: str


@workflow(description="A joke, and what is to be thought of it.")
async def joke(input: str) -> Joke:
    text = await prompt_llm(f"Tell me a joke about {input}, in one line.", model=TELLER)
    kind: Pun | Story = await prompt_llm(f"What kind of joke is this? {text}", model=CRITIC, output=Kind)
    match kind:
        case Pun(subject=subject):
            said = f"a pun on {subject}"
        case Story(ending=ending):
            said = f"a story that ends {'well' if ending == 'good' else 'badly'}"
    return Joke(text=text, said_of_it=said)

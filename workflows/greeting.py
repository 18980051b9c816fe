"""The smallest workflow: one step."""

from __future__ import annotations

from pydantic import BaseModel, Field

from ksl import action, workflow


class Person(BaseModel):
    name: str = Field(min_length=1)


class Greeting(BaseModel):
    message: str


@action
async def compose_greeting(name: str) -> Greeting:
    return Greeting(message=f"Hello, {name}")


@workflow(slug="greeting", description="Says hello to somebody.")
async def greeting(input: Person) -> Greeting:
    return await compose_greeting.run(name=input.name)

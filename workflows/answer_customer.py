"""The support agent answers a customer. What it promises, it has done: each of its calls is a step of this run."""

from __future__ import annotations

from pydantic import BaseModel

from ksl import Budget, workflow

from agents.desk import support


class Letter(BaseModel):
    sender: str
    text: str


class Answer(BaseModel):
    to: str
    text: str
    session: str
    tokens: int


@workflow(
    description="Has the support agent answer a customer.", budget=Budget(tokens=200_000, on_exceeded="hold")
)
async def answer_customer(input: Letter) -> Answer:
    result = await support.prompt(input.text)
    return Answer(to=input.sender, text=result.text, session=result.session_id, tokens=result.usage.tokens)

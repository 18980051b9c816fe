"""Asks until the answer is certain enough, then takes the ticket where it belongs.

`classify` counts keywords, so that this runs anywhere. A step that asks a model can take its place as it is.
"""

from __future__ import annotations

from pydantic import BaseModel, Field

from ksl import FatalError, workflow

from actions.desk import Kind, add_context, classify, file_bug, page_on_call
from actions.mail import write_letter


class Ticket(BaseModel):
    folder: str = Field(description="Holds `tickets` of the past; pages, bugs and letters are written here.")
    sender: str
    text: str = Field(min_length=1)
    certain_enough: float = Field(0.6, ge=0, le=1)
    rounds_max: int = Field(3, ge=0)


class Triage(BaseModel):
    kind: Kind
    certainty: float
    rounds: int
    path: str


@workflow(slug="llm-triage", description="Tells what a ticket is about, and takes it there.")
async def llm_triage(input: Ticket) -> Triage:
    text, rounds = input.text, 0
    while True:
        verdict = await classify.run(text=text)
        if verdict.certainty >= input.certain_enough or rounds == input.rounds_max:
            break
        text = await add_context.run(folder=input.folder, text=text)
        rounds += 1
    match verdict.kind:
        case "outage" | "security":
            path = await page_on_call.run(folder=input.folder, kind=verdict.kind, text=input.text)
        case "bug" if verdict.certainty >= input.certain_enough:
            path = await file_bug.run(folder=input.folder, text=input.text)
        case "bug" | "question":
            letter = await write_letter.run(
                folder=input.folder,
                to=input.sender,
                subject="Tell us more",
                text=f"You wrote:\n\n{input.text}",
            )
            path = letter.path
        case other:
            raise FatalError(f"no desk takes a ticket of kind {other!r}: {input.text[:80]!r}")
    return Triage(kind=verdict.kind, certainty=verdict.certainty, rounds=rounds, path=path)

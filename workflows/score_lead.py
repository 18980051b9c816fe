"""Scores what is known about a person, and writes to sales about the best. `enrich-lead` runs it as a step."""

from __future__ import annotations

from pydantic import BaseModel

from ksl import workflow

from actions.leads import Company, Mentions, Score, score
from actions.mail import write_letter


class Findings(BaseModel):
    folder: str
    name: str
    company: Company | None
    rank: float  # of the company by size, 0 to 1
    mentions: Mentions
    interests: list[str]


@workflow(slug="score-lead", description="Scores a person, and writes to sales about the best.")
async def score_lead(input: Findings) -> Score:
    verdict = await score.run(
        company=input.company, rank=input.rank, mentions=input.mentions, interests=input.interests
    )
    if verdict.points >= 70:
        await write_letter.run(
            folder=input.folder,
            to="sales@example.org",
            subject=f"{input.name}: {verdict.points} points",
            text="; ".join(verdict.reasons),
        )
    return verdict

"""Puts together what is known about a person: several questions at once, then a workflow as one step."""

from __future__ import annotations

import asyncio

from pydantic import BaseModel, Field

from ksl import workflow

from actions.leads import Company, find_company, find_interests, find_mentions, size_market
from workflows.score_lead import score_lead


class Lead(BaseModel):
    folder: str = Field(description="Holds companies.csv and a folder of notes.")
    name: str = Field(min_length=1)
    email: str = Field(pattern=r"^[^@\s]+@[^@\s]+$")


class EnrichedLead(BaseModel):
    name: str
    email: str
    company: Company | None
    interests: list[str]
    points: int
    reasons: list[str]


@workflow(slug="enrich-lead", description="Gathers what is known about a person and scores it.")
async def enrich_lead(input: Lead) -> EnrichedLead:
    company, mentions = await asyncio.gather(
        find_company.run(folder=input.folder, email=input.email),
        find_mentions.run(folder=input.folder, name=input.name),
    )

    rank: asyncio.Task[float] | None = None
    async with asyncio.TaskGroup() as group:
        interests = group.create_task(find_interests.run(folder=input.folder, notes=mentions.notes))
        if company is not None:
            rank = group.create_task(size_market.run(folder=input.folder, company=company))

    found = interests.result()
    verdict = await score_lead.run(
        folder=input.folder,
        name=input.name,
        company=company,
        rank=rank.result() if rank is not None else 0.0,
        mentions=mentions,
        interests=found,
    )
    return EnrichedLead(
        name=input.name,
        email=input.email,
        company=company,
        interests=found,
        points=verdict.points,
        reasons=verdict.reasons,
    )

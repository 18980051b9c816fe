"""The daily digest on weekdays, for whoever subscribed to it: `ksl subscriptions add weekday-digest ada`."""

from __future__ import annotations

from pydantic import BaseModel, Field

from ksl import Context, workflow

from workflows.daily_digest import DigestResult, daily_digest


class Subscribed(BaseModel):
    folder: str = Field(description="Holds a folder of feeds for each subscriber, by name.")


@workflow(
    slug="weekday-digest",
    description="The daily digest of each subscriber, from feeds of their own.",
    subscription="subscribable",
)
async def weekday_digest(input: Subscribed, ctx: Context) -> DigestResult:
    return await daily_digest.run(folder=f"{input.folder}/{ctx.subscriber or 'everybody'}")

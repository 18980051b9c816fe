"""One feed after the other; one that cannot be read is named in the digest and costs no more than that."""

from __future__ import annotations

from pydantic import BaseModel, Field

from ksl import Context, StepFailed, workflow

from actions.feeds import Entry, list_feeds, rank_entries, read_feed, write_digest


class Digest(BaseModel):
    folder: str = Field(description="Holds `feeds`; the digest is written to `digests`.")
    topics: list[str] = []
    most: int = Field(10, ge=1)


class DigestResult(BaseModel):
    path: str
    read: int
    unread: list[str]


@workflow(slug="daily-digest", description="Puts what is new in a folder of feeds on one page.")
async def daily_digest(input: Digest, ctx: Context) -> DigestResult:
    names = await list_feeds.run(folder=input.folder)
    entries: list[Entry] = []
    unread: list[str] = []
    for name in names:
        try:
            found = await read_feed.run(folder=input.folder, name=name)
        except StepFailed:
            unread.append(name)
            continue
        entries += found
    path = await publish(input, ctx, entries, unread)
    return DigestResult(path=path, read=len(names) - len(unread), unread=unread)


async def publish(input: Digest, ctx: Context, entries: list[Entry], unread: list[str]) -> str:
    """Called from one place, so the canvas shows its steps there."""
    ranked = await rank_entries.run(entries=entries, topics=input.topics, most=input.most)
    return await write_digest.run(
        folder=input.folder, day=ctx.triggered_at.date(), ranked=ranked, unread=unread
    )

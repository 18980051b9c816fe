"""Works through a folder: one file after the other where order matters, a few at a time where it does not."""

from __future__ import annotations

from pydantic import BaseModel, Field

from ksl import bounded, workflow

from actions.documents import Item, fingerprint, process_item, triage, write_manifest


class Batch(BaseModel):
    folder: str
    limit: int = Field(1000, ge=1)
    at_once: int = Field(3, ge=1)


class BatchResult(BaseModel):
    processed: int
    words: int
    skipped: dict[str, str]
    manifest: str | None


@workflow(slug="batch", description="Tidies a folder of text files and fingerprints the results.")
async def batch(input: Batch) -> BatchResult:
    plan = await triage.run(folder=input.folder, limit=input.limit)
    items: list[Item] = []
    for name in plan.items:
        item = await process_item.run(folder=input.folder, name=name)
        items.append(item)
    if not items:
        return BatchResult(processed=0, words=0, skipped=plan.skipped, manifest=None)
    prints = await bounded(
        input.at_once, [fingerprint.run(folder=input.folder, output=one.output) for one in items]
    )
    manifest = await write_manifest.run(folder=input.folder, fingerprints=prints)
    return BatchResult(
        processed=len(items), words=sum(one.words for one in items), skipped=plan.skipped, manifest=manifest
    )

"""A draft goes out once a person has read it: they get a link, and three days.

The hook is made before the letter, which carries its link, and awaited after it. An answer that comes before
the wait does is kept.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from ksl import Context, HookTimeout, workflow

from actions.mail import write_letter
from actions.press import archive_draft, publish_page, read_draft


class Publication(BaseModel):
    folder: str = Field(description="Holds `drafts`; pages, archive and letters are written here.")
    draft: str = Field(description="Name of a Markdown file below `drafts`.")
    author: str = "author@example.org"
    editor: str = "editor@example.org"


class Decision(BaseModel):
    verdict: Literal["publish", "revise", "drop"]
    by: str = Field(min_length=1)
    comment: str = ""


class Published(BaseModel):
    outcome: Literal["published", "sent back", "dropped", "expired"]
    path: str | None = None


@workflow(slug="publish-with-approval", description="Publishes a draft when an editor agrees.")
async def publish_with_approval(input: Publication, ctx: Context) -> Published:
    draft = await read_draft.run(folder=input.folder, name=input.draft)
    approval = ctx.hook(
        Decision,
        timeout="3d",
        title=f'Publish "{draft.title}"?',
        details={"words": draft.words, "open points": draft.open_points},
    )
    await write_letter.run(
        folder=input.folder, to=input.editor, subject=f"To read: {draft.title}", text=approval.resume_url
    )
    try:
        decision = await approval
    except HookTimeout:
        path = await archive_draft.run(folder=input.folder, draft=draft, because="nobody answered")
        return Published(outcome="expired", path=path)
    if decision.verdict == "publish":
        path = await publish_page.run(folder=input.folder, draft=draft, approved_by=decision.by)
        return Published(outcome="published", path=path)
    elif decision.verdict == "revise":
        letter = await write_letter.run(
            folder=input.folder,
            to=input.author,
            subject=f"Back to you: {draft.title}",
            text=f"{decision.by} writes: {decision.comment or 'please revise.'}",
        )
        return Published(outcome="sent back", path=letter.path)
    else:
        path = await archive_draft.run(folder=input.folder, draft=draft, because=f"dropped by {decision.by}")
        return Published(outcome="dropped", path=path)

"""Watches a git repository: each commit that is new since the last look gets a run, and no commit gets two."""

from __future__ import annotations

import os

from pydantic import BaseModel

from ksl import PollContext, PollSource

from actions.commits import Commit, commits_since
from workflows.note_commit import note_commit


class Looked(BaseModel):
    head: str


async def new_commits(ctx: PollContext[Looked]) -> list[Commit]:
    """`KSL_WATCHED` is the repository; without it there is nothing to look at. The first look only remembers
    where the history stands."""
    root = os.environ.get("KSL_WATCHED")
    if not root:
        return []
    found = await commits_since.run(root=root, known=ctx.state.head if ctx.state else None)
    ctx.set_state(Looked(head=found.head))
    return found.commits


def noted(commit: Commit) -> dict[str, object]:
    return {"folder": os.environ.get("KSL_NOTES", "notes"), "commit": commit}


commits = PollSource(
    slug="commits",
    description="New commits of a repository on this machine.",
    schedule="*/2 * * * *",
    run=new_commits,
    state=Looked,
    each=True,
    key=lambda commit: commit.id,
    timeout="1m",
)
commits.attach(note_commit, transform=noted)

"""A note for each commit that changed something; started by a poll, see `triggers/commits.py`."""

from __future__ import annotations

from pydantic import BaseModel

from ksl import workflow

from actions.commits import Commit, files_of, write_note


class NewCommit(BaseModel):
    folder: str  # for the notes
    commit: Commit


class Noted(BaseModel):
    path: str | None  # None: the commit changed no file
    files: int


@workflow(slug="note-commit", description="Writes down what a commit changed.")
async def note_commit(input: NewCommit) -> Noted:
    changed = await files_of.run(root=input.commit.root, commit=input.commit.id)
    if not changed:
        return Noted(path=None, files=0)
    path = await write_note.run(folder=input.folder, commit=input.commit, changed=changed)
    return Noted(path=path, files=len(changed))

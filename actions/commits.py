"""What is new in a git repository, commit by commit."""

from __future__ import annotations

from pydantic import BaseModel

from ksl import action

from actions.files import existing_folder, inside, write_whole
from actions.git import GitFailed, git_records, git_text, readable

FIELDS = "%H%x1f%an%x1f%aI%x1f%s"


class Commit(BaseModel):
    root: str  # of the repository
    id: str
    author: str
    at: str
    subject: str


class NewCommits(BaseModel):
    head: str  # the newest commit there is
    commits: list[Commit]  # oldest first


@action
async def commits_since(root: str, known: str | None) -> NewCommits:
    """Those after `known`; none where that is not given, or is no part of the history any more."""
    head = await git_text(root, "rev-parse", "HEAD")
    if known is None or not await _is_there(root, known):
        return NewCommits(head=head, commits=[])
    found: list[Commit] = []

    def take(record: bytes) -> None:
        commit, author, at, subject = readable(record).split("\x1f", 3)
        found.append(Commit(root=root, id=commit, author=author, at=at, subject=subject))

    await git_records(root, "log", "-z", "--reverse", f"--format={FIELDS}", f"{known}..{head}", take=take)
    return NewCommits(head=head, commits=found)


@action
async def files_of(root: str, commit: str) -> list[str]:
    """The names of the files that a commit changed."""
    names: list[str] = []
    arguments = ("diff-tree", "-z", "--no-commit-id", "--name-only", "-r", "--root", commit)
    await git_records(root, *arguments, take=lambda record: names.append(readable(record)))
    return [name for name in names if name]


@action
def write_note(folder: str, commit: Commit, changed: list[str]) -> str:
    """One file for each commit, so that writing it again changes nothing."""
    lines = [
        f"# {commit.subject}",
        "",
        f"{commit.author}, {commit.at}",
        "",
        *(f"- {name}" for name in changed),
    ]
    path = inside(existing_folder(folder), f"{commit.id}.md")
    write_whole(path, "\n".join([*lines, ""]))
    return str(path)


async def _is_there(root: str, commit: str) -> bool:
    try:
        await git_text(root, "cat-file", "-e", f"{commit}^{{commit}}")
    except GitFailed:
        return False
    return True

"""What a repository's history tells: who, where, when, how big. Each question is one action, one walk of git.

All of them read the history of one commit (`head`), found first. So the parallel branches of a report agree
with each other, and with themselves after a crash, even when somebody commits in the meantime.
"""

from __future__ import annotations

import heapq
from collections import Counter
from pathlib import Path

from pydantic import BaseModel

from ksl import ActionContext, FatalError, action

from actions.churn import ChurnCount, FileChurn
from actions.git import GitFailed, git_records, git_text, readable
from actions.ledger import note_effect

PROJECT = Path(__file__).resolve().parent.parent


class Repository(BaseModel):
    root: str  # absolute; what every later step hands to git
    name: str
    branch: str | None  # None: a detached head
    head: str | None  # None: no commits yet
    commits: int
    shallow: bool  # cloned with --depth: older commits are missing


class Author(BaseModel):
    name: str
    email: str
    commits: int
    first: str  # day, "2025-03-02"
    last: str


class Authors(BaseModel):
    people: list[Author]  # busiest first
    total: int  # people, also those not listed
    first: str  # day of the oldest commit
    last: str


class Churn(BaseModel):
    files: list[FileChurn]  # most changed lines first
    total: int  # files ever touched
    added: int
    removed: int


class Rhythm(BaseModel):
    weekdays: list[int]  # commits on Monday ... Sunday, by the author's own clock
    hours: list[int]  # commits at 0 ... 23 o'clock


class FileSize(BaseModel):
    path: str
    size: int  # bytes


class Sizes(BaseModel):
    files: list[FileSize]  # biggest first
    total: int
    size: int


@action(timeout="30s")
async def open_repository(ctx: ActionContext, path: str) -> Repository:
    """Finds the repository at a path (relative ones start at the project folder) and its newest commit."""
    note_effect(ctx)
    root = _folder(path)
    try:
        bare = await git_text(str(root), "rev-parse", "--is-bare-repository") == "true"
        top = root if bare else Path(await git_text(str(root), "rev-parse", "--show-toplevel"))
    except GitFailed as problem:
        raise FatalError(f"{root} cannot be read as a git repository. Git says: {problem.said}") from None
    head = await _or_none(str(top), "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    return Repository(
        root=str(top),
        name=await _name(top),
        branch=await _or_none(str(top), "symbolic-ref", "--quiet", "--short", "HEAD"),
        head=head,
        commits=int(await git_text(str(top), "rev-list", "--count", head)) if head else 0,
        shallow=await git_text(str(top), "rev-parse", "--is-shallow-repository") == "true",
    )


@action(timeout="5m")
async def commits_by_author(ctx: ActionContext, root: str, head: str, top: int) -> Authors:
    """Counts commits per person. One address is one person, and a .mailmap is honoured."""
    note_effect(ctx)
    people: dict[str, Author] = {}

    def take(record: bytes) -> None:
        name, email, day = readable(record).rsplit("\x1f", 2)
        key = email.casefold() or name
        known = people.setdefault(key, Author(name=name, email=email, commits=0, first=day, last=day))
        known.commits += 1
        known.first, known.last = min(known.first, day), max(known.last, day)

    await git_records(
        root, "log", "-z", "--encoding=UTF-8", "--format=%aN%x1f%aE%x1f%as", head, "--", take=take
    )
    return Authors(
        people=heapq.nsmallest(top, people.values(), key=lambda one: (-one.commits, one.name)),
        total=len(people),
        first=min(one.first for one in people.values()),
        last=max(one.last for one in people.values()),
    )


@action(timeout="10m")
async def churn_by_file(ctx: ActionContext, root: str, head: str, top: int) -> Churn:
    """Counts changed lines per file. A renamed file keeps its past; merges count through what they merge."""
    note_effect(ctx)
    counted = ChurnCount(await _shallow_boundary(root))
    arguments = ("log", "-z", "--numstat", "--no-ext-diff", "--find-renames", "--format=%x01%H", head, "--")
    await git_records(root, *arguments, take=counted.take)
    return Churn(
        files=heapq.nsmallest(
            top, counted.files.values(), key=lambda one: (-one.added - one.removed, one.path)
        ),
        total=len(counted.files),
        added=sum(one.added for one in counted.files.values()),
        removed=sum(one.removed for one in counted.files.values()),
    )


@action(timeout="5m")
async def commits_by_weekday(ctx: ActionContext, root: str, head: str) -> Rhythm:
    """Counts commits per weekday and hour, by the clock on the author's wall."""
    note_effect(ctx)
    days: Counter[int] = Counter()
    hours: Counter[int] = Counter()

    def take(record: bytes) -> None:
        day, hour = record.split()
        days[int(day)] += 1
        hours[int(hour)] += 1

    await git_records(root, "log", "-z", "--format=%ad", "--date=format:%u %H", head, "--", take=take)
    return Rhythm(weekdays=[days[day] for day in range(1, 8)], hours=[hours[hour] for hour in range(24)])


@action(timeout="2m")
async def biggest_files(ctx: ActionContext, root: str, head: str, top: int) -> Sizes:
    """Measures the files of the newest commit. Submodules are other repositories and are left out."""
    note_effect(ctx)
    files: list[FileSize] = []

    def take(record: bytes) -> None:
        about, _, path = record.partition(b"\t")
        kind, size = about.split()[1], about.split()[3]
        if kind == b"blob":
            files.append(FileSize(path=readable(path), size=int(size)))

    await git_records(root, "ls-tree", "-r", "-l", "-z", "--full-tree", head, take=take)
    return Sizes(
        files=heapq.nsmallest(top, files, key=lambda one: (-one.size, one.path)),
        total=len(files),
        size=sum(one.size for one in files),
    )


def _folder(path: str) -> Path:
    root = (PROJECT / Path(path).expanduser()).resolve()
    if not root.is_dir():
        raise FatalError(f"{root} is not a folder. Give the path of a git repository.")
    return root


async def _name(top: Path) -> str:
    """What the repository is called where it came from, else its folder's: a clone may lie anywhere."""
    origin = await _or_none(str(top), "config", "--get", "remote.origin.url") or str(top)
    return (
        origin.rstrip("/").replace("\\", "/").rpartition("/")[2].removesuffix(".git") or top.name or str(top)
    )


async def _or_none(root: str, *arguments: str) -> str | None:
    """For questions that git answers with a status: no output and status 1 mean "there is none"."""
    try:
        return await git_text(root, *arguments)
    except GitFailed as problem:
        if problem.status == 1:
            return None
        raise


async def _shallow_boundary(root: str) -> frozenset[str]:
    place = Path(root) / await git_text(root, "rev-parse", "--git-path", "shallow")
    try:
        return frozenset(place.read_text().split())
    except FileNotFoundError:
        return frozenset()

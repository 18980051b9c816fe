"""Reads a git repository's history and writes a report about it, with a person's consent if it is a long one.

    ksl workflows run repo-report --input '{"path": "."}'

Four questions are put to git at once. Kill the process at any moment: the answers that were recorded are not
asked for again, the pause ends when it would have, and a consent given before the crash counts after it.
"""

from __future__ import annotations

import asyncio
from typing import Literal

from pydantic import BaseModel, Field

from ksl import Context, HookRejected, HookTimeout, workflow

from actions.git_history import (
    biggest_files,
    churn_by_file,
    commits_by_author,
    commits_by_weekday,
    open_repository,
)
from actions.report import write_report


class RepoReport(BaseModel):
    path: str = Field(".", description="The repository; a relative path starts at the project folder.")
    output: str = Field(
        "repo-report.md",
        description="Name of the report below the reports folder.",
        pattern=r"^[^/\\.][^\\]*\.md$",
    )
    approval_above: int = Field(50, ge=0, description="Ask a person when there are more commits than this.")
    approve_within: str = Field(
        "7d", description="How long to wait for the answer.", pattern=r"^[0-9]+(s|m|h|d|w)$"
    )
    pause: str = Field("2s", description="How long to wait before asking.", pattern=r"^[0-9]+(ms|s|m|h)$")
    top: int = Field(10, ge=1, le=100, description="Length of the lists in the report.")


class Approval(BaseModel):
    approved: bool
    note: str = ""


class RepoReportResult(BaseModel):
    outcome: Literal["written", "declined", "empty"]
    detail: str
    report: str | None = None  # absolute path of the Markdown file
    commits: int = 0
    people: int = 0
    files_changed: int = 0
    lines_added: int = 0
    lines_removed: int = 0


@workflow(slug="repo-report", description="Reports who changed what in a git repository, and when.")
async def repo_report(input: RepoReport, ctx: Context) -> RepoReportResult:
    repository = await open_repository.run(path=input.path)
    root, head = repository.root, repository.head
    if head is None:
        return RepoReportResult(
            outcome="empty", detail=f"{root} has no commits yet, so there is nothing to report."
        )

    authors, churn, rhythm, sizes = await asyncio.gather(
        commits_by_author.run(root=root, head=head, top=input.top),
        churn_by_file.run(root=root, head=head, top=input.top),
        commits_by_weekday.run(root=root, head=head),
        biggest_files.run(root=root, head=head, top=input.top),
    )
    result = RepoReportResult(
        outcome="declined",
        detail="",
        commits=repository.commits,
        people=authors.total,
        files_changed=churn.total,
        lines_added=churn.added,
        lines_removed=churn.removed,
    )

    await ctx.sleep(input.pause)

    if repository.commits > input.approval_above:
        consent = ctx.hook(
            Approval,
            timeout=input.approve_within,
            title=f"Write a report on {repository.name} ({repository.commits:,} commits)?",
            details={
                "repository": root,
                "commits": repository.commits,
                "people": authors.total,
                "output": input.output,
            },
        )
        try:
            answer = await consent
        except HookRejected as rejection:
            return result.model_copy(update={"detail": f"Rejected: {rejection.reason or 'no reason given'}."})
        except HookTimeout:
            return result.model_copy(update={"detail": f"Nobody answered within {input.approve_within}."})
        if not answer.approved:
            return result.model_copy(update={"detail": f"Not approved: {answer.note or 'no note given'}."})

    report = await write_report.run(
        name=input.output,
        written_on=ctx.triggered_at.date(),
        repository=repository,
        authors=authors,
        churn=churn,
        rhythm=rhythm,
        sizes=sizes,
    )
    detail = f"{report.size:,} bytes about {repository.commits:,} commits."
    return result.model_copy(update={"outcome": "written", "detail": detail, "report": report.path})

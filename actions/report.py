"""A repository's history as a page of Markdown."""

from __future__ import annotations

import os
import re
from datetime import date
from pathlib import Path

from pydantic import BaseModel

from ksl import ActionContext, FatalError, action

from actions.files import inside, write_whole
from actions.git_history import PROJECT, Authors, Churn, Repository, Rhythm, Sizes
from actions.ledger import note_effect

FOLDER_VARIABLE = "KSL_REPORTS"
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
BAR = 24  # characters of a full bar


class Report(BaseModel):
    path: str  # absolute
    size: int  # bytes


@action
def write_report(
    ctx: ActionContext,
    name: str,
    written_on: date,
    repository: Repository,
    authors: Authors,
    churn: Churn,
    rhythm: Rhythm,
    sizes: Sizes,
) -> Report:
    """Writes the report below the reports folder: `KSL_REPORTS`, else `reports/` in the project."""
    note_effect(ctx)
    folder = Path(os.environ.get(FOLDER_VARIABLE) or PROJECT / "reports")
    path = inside(folder, name)
    if path.suffix != ".md" or path.is_dir():
        raise FatalError(
            f"{path} cannot be the report: its name must end in .md and be no folder. Nothing was written."
        )
    text = report_text(
        written_on=written_on, repository=repository, authors=authors, churn=churn, rhythm=rhythm, sizes=sizes
    ).encode()
    write_whole(path, text)
    return Report(path=str(path), size=len(text))


def report_text(
    *, written_on: date, repository: Repository, authors: Authors, churn: Churn, rhythm: Rhythm, sizes: Sizes
) -> str:
    """The whole page. The same input gives the same bytes."""
    parts = [
        f"# {_text(repository.name)}: what its history says",
        _dateline(written_on, repository, authors),
        _in_short(repository, authors, churn, rhythm),
        _people(repository, authors),
        _work(churn),
        _week(rhythm),
        _sizes(sizes),
        _counting(repository),
    ]
    return "\n\n".join(parts) + "\n"


def _dateline(written_on: date, repository: Repository, authors: Authors) -> str:
    branch = f"branch {_code(repository.branch)}" if repository.branch else "no branch"
    head = (repository.head or "")[:10]
    return (
        f"{authors.first} to {authors.last} · {branch} at {_code(head)} · "
        f"{_many(repository.commits, 'commit')} by {_many(authors.total, 'person', 'people')}\n\n"
        f"Written on {written_on.isoformat()}."
    )


def _in_short(repository: Repository, authors: Authors, churn: Churn, rhythm: Rhythm) -> str:
    busiest = authors.people[0]
    day = max(range(7), key=lambda one: rhythm.weekdays[one])
    hour = max(range(24), key=lambda one: rhythm.hours[one])
    who = (
        f"**{_text(busiest.name)}** made all of the commits."
        if authors.total == 1
        else f"**{_text(busiest.name)}** made {_share(busiest.commits, repository.commits)} of the commits."
    )
    lines = [who]
    if churn.files:
        file = churn.files[0]
        lines.append(
            f"Most work went into {_code(file.path)}: {_many(file.added + file.removed, 'line')} changed "
            f"in {_many(file.commits, 'commit')}."
        )
    hours = f"{hour:02d}:00 to {(hour + 1) % 24:02d}:00"
    lines.append(f"**{WEEKDAYS[day]}** is the busiest day, and {hours} the busiest hour.")
    lines.append(f"In all, {churn.added:,} lines were added and {churn.removed:,} removed.")
    return "## In short\n\n" + "\n".join(f"- {line}" for line in lines)


def _people(repository: Repository, authors: Authors) -> str:
    rows = [
        f"| {_text(one.name)} | {one.commits:,} | {_share(one.commits, repository.commits)} "
        f"| {one.first} | {one.last} |"
        for one in authors.people
    ]
    head = ["## People", "", "| who | commits | share | first | last |", "|---|---:|---:|---|---|"]
    return "\n".join([*head, *rows, *_left_out(authors.total - len(authors.people), "person", "people")])


def _work(churn: Churn) -> str:
    if not churn.files:
        return "## Where the work goes\n\nNo file was ever changed."
    most = max(one.added + one.removed for one in churn.files)
    rows = [
        f"| {_cell(one.path)} | {one.commits:,} | {_signed('+', one.added)} | {_signed('-', one.removed)} "
        f"| {_bar(one.added + one.removed, most, 12)} |"
        for one in churn.files
    ]
    head = ["| file | commits | added | removed | |", "|---|---:|---:|---:|---|"]
    left_out = _left_out(churn.total - len(churn.files), "file")
    return "\n".join(["## Where the work goes", "", *head, *rows, *left_out])


def _week(rhythm: Rhythm) -> str:
    most = max(rhythm.weekdays)
    rows = [
        f"{day:<9}  {count:>6,}  {_bar(count, most, BAR)}".rstrip()
        for day, count in zip(WEEKDAYS, rhythm.weekdays, strict=True)
    ]
    return "\n".join(["## The week", "", "```text", *rows, "```"])


def _sizes(sizes: Sizes) -> str:
    if not sizes.files:
        return "## The biggest files\n\nThe newest commit holds no files."
    rows = [
        f"| {_cell(one.path)} | {_bytes(one.size)} | {_share(one.size, sizes.size)} |" for one in sizes.files
    ]
    return "\n".join(
        [
            "## The biggest files",
            "",
            f"The newest commit holds {_many(sizes.total, 'file')}, {_bytes(sizes.size)} in all.",
            "",
            "| file | size | share |",
            "|---|---:|---:|",
            *rows,
        ]
    )


def _counting(repository: Repository) -> str:
    notes = [
        "Lines are those of text files. A renamed file keeps its past. Merges count by what they merge.",
        "One address is one person, and `.mailmap` is honoured.",
        "Days and hours are those on the author's own clock.",
    ]
    if repository.shallow:
        notes.insert(
            0, "**This clone is shallow**: older commits are missing here, so every number is too small."
        )
    return "## How it was counted\n\n" + "\n".join(f"- {note}" for note in notes)


def _left_out(count: int, one: str, many: str = "") -> list[str]:
    return ["", f"And {_many(count, one, many)} more."] if count > 0 else []


def _many(count: int, one: str, many: str = "") -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def _signed(sign: str, count: int) -> str:
    return f"{sign}{count:,}" if count else "0"


def _share(part: int, whole: int) -> str:
    percent = 100 * part / whole if whole else 0.0
    if 0 < percent < 1:
        return "under 1%"
    return "over 99%" if 99 < percent < 100 else f"{percent:.0f}%"


def _bar(count: int, most: int, width: int) -> str:
    return "█" * max(round(width * count / most), 1) if count else ""


def _bytes(size: int) -> str:
    if size < 1024:
        return f"{size} B"
    amount = float(size)
    for unit in ("KiB", "MiB", "GiB"):
        amount /= 1024
        if amount < 1023.95:
            return f"{amount:.1f} {unit}"
    return f"{amount / 1024:.1f} TiB"


def _text(name: str) -> str:
    """A name as plain text: whatever Markdown or a table would take as markup is escaped."""
    return re.sub(r"([\\`*_{}\[\]<>#|~&])", r"\\\1", _one_line(name))


def _code(name: str) -> str:
    """A file name as code. It may hold backticks, which need a longer fence."""
    name = _one_line(name)
    fence = "`" * (max((len(run) for run in re.findall("`+", name)), default=0) + 1)
    space = " " if name.startswith("`") or name.endswith("`") else ""
    return f"{fence}{space}{name}{space}{fence}"


def _cell(name: str) -> str:
    return _code(name).replace("|", "\\|")  # else the bar would end the cell, even inside code


def _one_line(name: str) -> str:
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in name
    )

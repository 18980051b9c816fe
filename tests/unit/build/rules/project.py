"""Small projects for the rules: an example's files beside actions that they may import."""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from ksl.build.discover import Project, discover, unload
from ksl.build.rules.check import check
from ksl.build.rules.diagnostic import Diagnostic
from ksl.build.rules.rule import example_files, unmarked
from ksl.errors import MalformedDefinition

DESK = """
from pydantic import BaseModel

from ksl import action


class Answer(BaseModel):
    ok: bool = True
    more: bool = False


@action
async def charge(amount: int) -> str:
    return f"{amount}"


@action
async def notify(text: str) -> None: ...


@action
async def archive(text: str) -> list[str]:
    return [text]


@action
async def audit() -> Answer:
    return Answer()
"""


@contextmanager
def project_of(folder: Path, text: str) -> Generator[Project]:
    """The project of an example's files, imported."""
    write(folder, "actions/desk.py", DESK)
    for path, content in example_files(text).items():
        write(folder, path, unmarked(content))
    project = discover(folder)
    try:
        yield project
    finally:
        unload(project)


def checked(folder: Path, text: str) -> list[Diagnostic]:
    with project_of(folder, text) as project:
        unexpected = [each for each in project.failures if each.code != MalformedDefinition.code]
        assert not unexpected, unexpected
        return check(project)


def marks(text: str) -> list[tuple[str, int, int, int, int]]:
    """File, line, column, end line and end column of what stands between the marks, as diagnostics count."""
    found: list[tuple[str, int, int, int, int]] = []
    for path, content in example_files(text).items():
        places: list[int] = []
        line, col = 1, 1
        for char in re.sub(r"\r\n?", "\n", content):
            if char in "«»":
                places += [line, col]
            elif char == "\n":
                line, col = line + 1, 1
            else:
                col += 1
        for at in range(0, len(places), 4):
            first, start, last, end = places[at : at + 4]
            found.append((path, first, start, last, end))
    return sorted(found)


def write(folder: Path, path: str, text: str) -> None:
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")

"""The project around the current folder: its settings, and what it defines."""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ksl.cli.app import narrate
from ksl.cli.invocation import Invocation

if TYPE_CHECKING:
    from ksl.build.config import Settings
    from ksl.build.discover import Project


def settings_of(invocation: Invocation, flags: Mapping[str, object] | None = None) -> Settings:
    """Errors: NotAProject and what else keeps settings from being read."""
    from ksl.build.config import find_project, load_settings

    return load_settings(find_project(invocation.start), os.environ, flags)


@contextmanager
def discovered(settings: Settings, *, importing: bool = True) -> Generator[Project]:
    """Imports the project's modules for the length of the block. What went wrong is in the result.

    Not `importing`, they are only read: see `ksl.build.by_name`.
    """
    from ksl.build.discover import discover, unload

    names = settings.project
    folders = (names.workflows, names.actions, names.agents, names.triggers)
    project = discover(settings.folder, names=folders, importing=importing)
    try:
        yield project
    finally:
        unload(project)


def tell_of_the_rest(project: Project) -> None:
    """Says on stderr that some of the code did not load, where a command goes on with what did."""
    if broken := len(project.failures) + len(project.duplicates):
        errors = count(broken, "error")
        narrate(f"{errors} in the project's code (see `ksl build`): going on with the rest.")


def count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"

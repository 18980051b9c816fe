"""The project around the current folder: its settings, and what it defines."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ksl.cli.invocation import Invocation

if TYPE_CHECKING:
    from ksl.build.config import Settings
    from ksl.build.discover import Project


def settings_of(invocation: Invocation, flags: Mapping[str, object] | None = None) -> Settings:
    """Errors: NotAProject and what else keeps settings from being read."""
    from ksl.build.config import find_project, load_settings

    return load_settings(find_project(invocation.start), os.environ, flags)


def discovered(settings: Settings) -> Project:
    """Imports the project's modules; what went wrong is in the result, not raised."""
    from ksl.build.discover import discover

    names = settings.project
    return discover(settings.folder, names=(names.workflows, names.actions, names.agents, names.triggers))


def count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"

"""The project's settings and code."""

from __future__ import annotations

import os
from collections.abc import Iterator

from ksl.build.config import Settings, find_project, is_loopback, load_settings
from ksl.cli.building import problems, summary
from ksl.cli.checks import Finding
from ksl.cli.invocation import Invocation
from ksl.cli.project import count, discovered
from ksl.cli.serving_token import refuse_open_door
from ksl.errors import KslError, NoColumnPositions


def settings_findings(invocation: Invocation) -> tuple[list[Finding], Settings | None]:
    """The settings too, for the checks that need them."""
    try:
        folder = find_project(invocation.start)
    except KslError as error:
        return [Finding("project", "fail", "not found", str(error))], None
    found = [Finding("project", "ok", str(folder))]
    try:
        settings = load_settings(folder, os.environ)
    except KslError as error:
        return [*found, Finding("settings", "fail", "cannot be used", str(error))], None
    return [*found, Finding("settings", "ok", _in_words(settings)), *_bind(settings)], settings


def code_findings(settings: Settings) -> Iterator[Finding]:
    try:
        with discovered(settings) as project:
            broken, defined = problems(project), summary(project)
    except NoColumnPositions:
        # The machine's own finding has said so.
        return
    if not broken:
        yield Finding("code", "ok", defined)
        return
    first = f"{broken[0]['file']}:{broken[0]['line']} {broken[0]['message']}"
    found = f"{count(len(broken), 'error')}, the first: {first}"
    yield Finding("code", "fail", found, "`ksl build` shows all of them.")


def _in_words(settings: Settings) -> str:
    server = settings.server
    return f"{server.host}:{server.port}, {settings.store.path}, durability {settings.store.durability}"


def _bind(settings: Settings) -> Iterator[Finding]:
    try:
        refuse_open_door(settings)
    except KslError as error:
        yield Finding(
            "network", "fail", f"`ksl serve` would not listen on {settings.server.host}", str(error)
        )
        return
    if not is_loopback(settings.server.host) and not settings.server.public_url.startswith("https://"):
        yield Finding(
            "network",
            "warn",
            f"{settings.server.host} is reachable from other machines, and ksl speaks plain HTTP",
            "Put a proxy that does TLS in front and set server.public_url to its https:// address.",
        )

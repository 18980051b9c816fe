"""Slugs: the stable names by which definitions are found, in step ids, addresses and commands."""

from __future__ import annotations

import re

from ksl.errors import MalformedDefinition

_SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_LENGTH_MAX = 100


def slug_of(name: str) -> str:
    """Kebab case of a Python name: `research_signup` and `ResearchSignup` give `research-signup`."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", name)
    return re.sub(r"[^a-z0-9]+", "-", spaced.lower()).strip("-")


def check_slug(slug: str, *, where: str) -> str:
    if len(slug) > _LENGTH_MAX or not _SLUG.fullmatch(slug):
        raise MalformedDefinition(
            f'{where}: the slug "{slug}" cannot be used. A slug is lower-case letters and digits in groups '
            f"joined by single hyphens, at most {_LENGTH_MAX} characters, like research-signup."
        )
    return slug


def title_of(slug: str) -> str:
    return slug.replace("-", " ").capitalize()

"""Slugs from names, and what is none."""

from __future__ import annotations

import pytest

from ksl.define.slug import check_slug, slug_of, title_of
from ksl.errors import MalformedDefinition


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("research_signup", "research-signup"),
        ("ResearchSignup", "research-signup"),
        ("HTTPServer2Go", "http-server2-go"),
        ("_private_", "private"),
        ("a__b", "a-b"),
    ],
)
def test_a_python_name_becomes_kebab_case(name: str, slug: str) -> None:
    assert slug_of(name) == slug
    assert check_slug(slug, where="x") == slug


@pytest.mark.parametrize("slug", ["", "-a", "a-", "a--b", "A", "a b", "a/b", "a#0", "ä", "a\n", "a" * 101])
def test_what_would_break_an_address_or_an_id_is_refused(slug: str) -> None:
    with pytest.raises(MalformedDefinition, match="slug"):
        check_slug(slug, where="x")


def test_a_title_reads_like_a_sentence() -> None:
    assert title_of("research-signup") == "Research signup"

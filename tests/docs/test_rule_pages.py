from __future__ import annotations

from pathlib import Path

from ksl.build.rules.pages import pages

PAGES = Path(__file__).parents[2] / "docs" / "rules"


def test_the_pages_are_those_that_the_rules_make() -> None:
    """When this fails, run `python -m ksl.build.rules.pages docs/rules`."""
    assert {page.name: page.read_text(encoding="utf-8") for page in PAGES.iterdir()} == pages()

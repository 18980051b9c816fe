from __future__ import annotations

from pathlib import Path

from ksl.build.rules.pages import GUIDE_BEGINS, pages, with_guide_part

PAGES = Path(__file__).parents[2] / "docs" / "rules"


def test_the_pages_are_those_that_the_rules_make() -> None:
    """When this fails, run `python -m ksl.build.rules.pages docs/rules`."""
    assert {page.name: page.read_text(encoding="utf-8") for page in PAGES.iterdir()} == pages()


def test_the_guide_shows_every_rule_as_it_is() -> None:
    """When this fails, run `python -m ksl.build.rules.pages docs/rules docs/guide/canvas.md`."""
    page = (PAGES.parent / "guide" / "canvas.md").read_text(encoding="utf-8")
    assert page.count(GUIDE_BEGINS) == 1
    assert page == with_guide_part(page)

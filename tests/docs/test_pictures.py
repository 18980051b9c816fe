from __future__ import annotations

import re

import pytest

from tests.browser import pictures as console
from tests.docs.pictures import FOLDER, ROOT, drawn
from tests.examples.engine import examples
from tests.tui import pictures

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_the_pictures_are_those_that_the_code_draws_now() -> None:
    made = dict(drawn(examples()))
    screens = [*map(pictures.file_of, pictures.NAMES), *map(console.file_of, console.NAMES)]
    assert sorted([*made, *screens]) == sorted(path.name for path in FOLDER.iterdir())
    for name, text in made.items():
        assert (FOLDER / name).read_text(encoding="utf-8") == text, f"{name}: run `make pictures`"


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.iterdir()))
def test_every_picture_is_shown_on_a_page(name: str) -> None:
    assert any(f"pictures/{name})" in page.read_text(encoding="utf-8") for page in PAGES)


def test_every_picture_that_a_page_shows_is_there() -> None:
    for page in PAGES:
        for told, target in re.findall(r"!\[([^\]]*)\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
            assert told, f"{page.name}: {target} has no text for those who do not see it"
            assert (page.parent / target).is_file(), f"{page.name}: {target}"

"""What holds for all pages together: links lead somewhere, rooms and decisions are told of."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
ROOMS = sorted(init.parent.name for init in (ROOT / "ksl").glob("*/__init__.py"))
DECISIONS = sorted((DOCS / "decisions").glob("0*.md"))


def links(page: Path) -> list[str]:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [link for link in LINK.findall(text) if "://" not in link]


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_leads_to_something_that_is_there(page: Path) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_every_page_can_be_reached_from_the_first() -> None:
    reached: set[Path] = set()
    pending = [DOCS / "README.md"]
    while pending:
        page = pending.pop()
        if page not in reached:
            reached.add(page)
            targets = [(page.parent / link.partition("#")[0]).resolve() for link in links(page)]
            pending += [
                target for target in targets if target.suffix == ".md" and target.is_relative_to(DOCS)
            ]
    assert reached == set(DOCS.rglob("*.md"))


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_says_what_comes_in_what_goes_out_and_what_it_never_does(room: str) -> None:
    assert re.match(r"In: .+ Out: .+\.\n\n\*\*Invariant:\*\* .+\.", told_by(room), re.DOTALL)


@pytest.mark.parametrize("room", ROOMS)
def test_the_architecture_page_gives_the_invariant_of_a_room_as_the_room_does(room: str) -> None:
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    told = re.search(rf"^\*\*{room}\.\*\*.*?^Invariant: (.*?)\n\n", text, re.MULTILINE | re.DOTALL)
    assert told is not None
    assert one_line(told[1]).lower() == one_line(told_by(room).partition("**Invariant:** ")[2]).lower()


def test_the_architecture_page_draws_the_rows_that_the_imports_are_checked_by() -> None:
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
    rows = "\n".join(re.sub(r"[()]", "", row) for row in contract["layers"])
    assert f"```\n{rows}\n```" in (DOCS / "architecture.md").read_text(encoding="utf-8")


def told_by(room: str) -> str:
    return ast.get_docstring(ast.parse((ROOT / "ksl" / room / "__init__.py").read_text())) or ""


def one_line(text: str) -> str:
    return " ".join(text.split())


def test_decisions_are_numbered_without_gaps_and_listed_in_order() -> None:
    assert [int(page.name[:4]) for page in DECISIONS] == [*range(1, len(DECISIONS) + 1)]
    listed = re.findall(
        r"^(\d+)\. \[(.+)\]\((.+)\)$", (DOCS / "decisions" / "README.md").read_text(), re.MULTILINE
    )
    titles = [page.read_text().splitlines()[0].removeprefix("# ").partition(". ") for page in DECISIONS]
    assert listed == [
        (number, title, page.name) for (number, _, title), page in zip(titles, DECISIONS, strict=True)
    ]


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
def test_a_decision_gives_question_options_choice_price_and_what_would_change_it(page: Path) -> None:
    parts = re.findall(r"^\*\*(.+?)\.\*\*", page.read_text(), re.MULTILINE)
    assert parts == ["Question", "Options", "Choice", "What it costs", "What would change our mind"]

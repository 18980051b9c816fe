from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ksl import errors
from ksl.errors import KslError

PAGES = Path(__file__).parents[2] / "docs" / "errors"
SECTIONS = ["## Why it arises", "## What state things are in", "## What to do"]


def coded(kind: type[KslError] = KslError) -> Iterator[type[KslError]]:
    """Every class of the tree that has a code of its own. Tests and clients make further ones as they go."""
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            if "code" in vars(child):
                yield child
            yield from coded(child)


CODED = sorted(coded(), key=lambda kind: kind.code)


def test_no_two_errors_share_a_code() -> None:
    codes = [kind.code for kind in CODED]
    assert codes == sorted(set(codes))


@pytest.mark.parametrize("kind", CODED, ids=lambda kind: kind.code)
def test_an_error_is_found_in_the_room_of_errors_whatever_its_family(kind: type[KslError]) -> None:
    assert getattr(errors, kind.__name__) is kind


@pytest.mark.parametrize("kind", CODED, ids=lambda kind: kind.code)
def test_an_error_has_a_page_with_its_message_its_cause_its_state_and_its_cure(kind: type[KslError]) -> None:
    lines = (PAGES / f"{kind.code}.md").read_text(encoding="utf-8").splitlines()

    assert lines[0] == f"# {kind.code} {kind.__name__}"
    assert lines[2].startswith(f"> {kind.code} ")
    assert [line for line in lines if line.startswith("## ")] == SECTIONS
    advice = "\n".join(lines[lines.index(SECTIONS[-1]) :])
    assert "Before:" in advice
    assert "After" in advice


def test_every_page_belongs_to_an_error() -> None:
    assert {page.stem for page in PAGES.glob("KSL*.md")} == {kind.code for kind in CODED}


def test_the_list_of_errors_has_a_line_for_each_with_its_own_words() -> None:
    text = (PAGES / "README.md").read_text(encoding="utf-8")
    listed = [line for line in text.splitlines() if line.startswith("| [KSL")]

    assert listed == [
        f"| [{kind.code}]({kind.code}.md) | {kind.__name__} | {summary(kind)} |" for kind in CODED
    ]


def summary(kind: type[KslError]) -> str:
    return " ".join((kind.__doc__ or "").split("\n\n")[0].split())


def test_a_traceback_names_an_error_as_authors_import_it() -> None:
    assert f"{errors.StepFailed.__module__}.{errors.StepFailed.__name__}" == "ksl.errors.StepFailed"

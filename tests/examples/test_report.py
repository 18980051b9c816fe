from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from ksl import FatalError

from actions.churn import FileChurn
from actions.git_history import Author, Authors, Churn, FileSize, Repository, Rhythm, Sizes
from actions.report import report_text, write_report

REPOSITORY = Repository(root="/r", name="garden", branch="main", head="c" * 40, commits=400, shallow=False)
AUTHORS = Authors(
    people=[
        Author(name="Ada", email="ada@example.org", commits=399, first="2024-01-01", last="2025-03-05"),
        Author(name="G|race <b>", email="g@example.org", commits=1, first="2025-03-04", last="2025-03-04"),
    ],
    total=5,
    first="2024-01-01",
    last="2025-03-05",
)
CHURN = Churn(
    files=[
        FileChurn(path="plan.txt", commits=300, added=2000, removed=1000),
        FileChurn(path="a|b `c`\n.txt", commits=1, added=1, removed=0),
    ],
    total=2,
    added=2001,
    removed=1000,
)
RHYTHM = Rhythm(weekdays=[0, 10, 300, 90, 0, 0, 0], hours=[0] * 9 + [400] + [0] * 14)
SIZES = Sizes(files=[FileSize(path="plan.txt", size=1536), FileSize(path="x", size=3)], total=2, size=1539)


def page(
    repository: Repository = REPOSITORY,
    authors: Authors = AUTHORS,
    churn: Churn = CHURN,
    sizes: Sizes = SIZES,
) -> str:
    return report_text(
        written_on=date(2025, 3, 6),
        repository=repository,
        authors=authors,
        churn=churn,
        rhythm=RHYTHM,
        sizes=sizes,
    )


def test_the_page_begins_with_what_a_reader_wants_to_know() -> None:
    assert page().startswith(
        f"""# garden: what its history says

2024-01-01 to 2025-03-05 · branch `main` at `{"c" * 10}` · 400 commits by 5 people

Written on 2025-03-06.

## In short

- **Ada** made over 99% of the commits.
- Most work went into `plan.txt`: 3,000 lines changed in 300 commits.
- **Wednesday** is the busiest day, and 09:00 to 10:00 the busiest hour.
- In all, 2,001 lines were added and 1,000 removed.
"""
    )


def test_names_of_any_kind_keep_the_tables_whole() -> None:
    html = MarkdownIt("commonmark").enable("table").render(page())
    assert html.count("<table>") == 3
    assert "<td>G|race &lt;b&gt;</td>" in html
    assert "<code>a|b `c`\\n.txt</code>" in html


def test_a_small_share_is_not_shown_as_nothing_nor_a_large_one_as_all() -> None:
    assert "| under 1% |" in page()
    assert "| over 99% |" in page()


def test_the_page_says_how_many_are_not_listed() -> None:
    assert "And 3 people more." in page()


def test_a_history_without_files_still_makes_a_page() -> None:
    text = page(churn=Churn(files=[], total=0, added=0, removed=0), sizes=Sizes(files=[], total=0, size=0))
    assert "No file was ever changed." in text
    assert "The newest commit holds no files." in text


def test_a_shallow_clone_is_said_to_be_one() -> None:
    assert "**This clone is shallow**" in page(REPOSITORY.model_copy(update={"shallow": True}))


async def write(name: str) -> str:
    report = await write_report.run(
        name=name,
        written_on=date(2025, 3, 6),
        repository=REPOSITORY,
        authors=AUTHORS,
        churn=CHURN,
        rhythm=RHYTHM,
        sizes=SIZES,
    )
    return report.path


async def test_writing_the_report_again_gives_the_same_file_and_leaves_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KSL_REPORTS", str(tmp_path))
    first = Path(await write("team/report.md")).read_bytes()
    assert Path(await write("team/report.md")).read_bytes() == first == page().encode()
    assert [path.name for path in (tmp_path / "team").iterdir()] == ["report.md"]


@pytest.mark.parametrize("name", ["../report.md", "a/../../report.md", "/tmp/report.md", "report.txt", ""])
async def test_a_report_cannot_be_written_elsewhere(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KSL_REPORTS", str(tmp_path / "reports"))
    with pytest.raises(FatalError, match="Nothing was written"):
        await write(name)
    assert list(tmp_path.rglob("*.md")) == []


async def test_a_link_out_of_the_reports_folder_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KSL_REPORTS", str(tmp_path / "reports"))
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "out").symlink_to(tmp_path)
    with pytest.raises(FatalError, match="does not stay inside"):
        await write("out/report.md")

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ksl import ActionContext, FatalError

from actions.churn import ChurnCount
from actions.git_history import (
    FileSize,
    Repository,
    biggest_files,
    churn_by_file,
    commits_by_author,
    commits_by_weekday,
    open_repository,
)
from tests.examples.conftest import Repo


async def opened(repo: Repo) -> tuple[str, str]:
    found = await open_repository.run(path=str(repo.root))
    assert found.head is not None
    return found.root, found.head


async def test_a_repository_is_found_with_its_branch_and_newest_commit(repo: Repo) -> None:
    assert await open_repository.run(path=str(repo.root)) == Repository(
        root=str(repo.root),
        name="garden",
        branch="main",
        head=repo.git("rev-parse", "HEAD").strip(),
        commits=3,
        shallow=False,
    )


async def test_a_folder_inside_a_repository_stands_for_the_whole_of_it(repo: Repo) -> None:
    repo.commit({"shed/tools.txt": "hoe\n"})
    found = await open_repository.run(path=str(repo.root / "shed"))
    assert (found.root, found.commits) == (str(repo.root), 4)


async def test_a_repository_without_commits_has_no_head(new_repo: Callable[[str], Repo]) -> None:
    found = await open_repository.run(path=str(new_repo("empty").root))
    assert (found.head, found.commits, found.branch) == (None, 0, "main")


async def test_a_detached_head_has_no_branch(repo: Repo) -> None:
    repo.git("checkout", "--quiet", "--detach")
    assert (await open_repository.run(path=str(repo.root))).branch is None


async def test_a_bare_repository_is_read_like_any_other(repo: Repo, tmp_path: Path) -> None:
    repo.git("clone", "--quiet", "--bare", str(repo.root), str(tmp_path / "bare.git"))
    found = await open_repository.run(path=str(tmp_path / "bare.git"))
    assert (found.root, found.name, found.commits) == (str(tmp_path / "bare.git"), "garden", 3)


async def test_a_folder_that_is_no_repository_is_refused_in_gits_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    folder = tmp_path / "plain"
    folder.mkdir()
    with pytest.raises(FatalError, match=r"plain cannot be read as a git repository.*not a git repository"):
        await open_repository.run(path=str(folder))


async def test_a_missing_folder_is_refused_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(FatalError, match=r"missing is not a folder"):
        await open_repository.run(path=str(tmp_path / "missing"))


async def test_a_machine_without_git_is_told_to_install_it(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(FatalError, match="git was not found"):
        await open_repository.run(path=str(repo.root))


async def test_another_repository_named_by_the_environment_is_not_read(
    repo: Repo, new_repo: Callable[[str], Repo], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(new_repo("other").root / ".git"))
    assert (await open_repository.run(path=str(repo.root))).commits == 3


async def test_commits_are_counted_by_address_whatever_its_case(repo: Repo) -> None:
    repo.commit({}, email="ADA@example.org", at="2025-03-06T09:30:00+01:00")
    root, head = await opened(repo)
    authors = await commits_by_author.run(root=root, head=head, top=10)
    assert [(one.name, one.commits, one.first, one.last) for one in authors.people] == [
        ("Ada", 3, "2025-03-03", "2025-03-06"),
        ("Grace | *Hopper*", 1, "2025-03-04", "2025-03-04"),
    ]
    assert (authors.total, authors.first, authors.last) == (2, "2025-03-03", "2025-03-06")


async def test_a_mailmap_makes_two_addresses_one_person(repo: Repo) -> None:
    repo.commit({".mailmap": "Ada <ada@example.org> <grace@example.org>\n"})
    root, head = await opened(repo)
    authors = await commits_by_author.run(root=root, head=head, top=10)
    assert [(one.name, one.commits) for one in authors.people] == [("Ada", 4)]


async def test_the_lists_are_cut_and_the_totals_are_not(repo: Repo) -> None:
    root, head = await opened(repo)
    authors = await commits_by_author.run(root=root, head=head, top=1)
    churn = await churn_by_file.run(root=root, head=head, top=1)
    sizes = await biggest_files.run(root=root, head=head, top=1)
    assert [len(authors.people), len(churn.files), len(sizes.files)] == [1, 1, 1]
    assert [authors.total, churn.total, sizes.total] == [2, 3, 3]


async def test_a_renamed_file_keeps_its_past_and_an_odd_name_is_read_whole(repo: Repo) -> None:
    root, head = await opened(repo)
    churn = await churn_by_file.run(root=root, head=head, top=10)
    assert [(one.path, one.commits, one.added, one.removed) for one in churn.files] == [
        ("plan.txt", 3, 4, 1),
        ("odd\tname\n|`x`.txt", 1, 1, 0),
        ("seeds.bin", 1, 0, 0),
    ]
    assert (churn.added, churn.removed) == (5, 1)


async def test_a_name_that_is_not_utf_8_is_shown_by_its_bytes(repo: Repo) -> None:
    (repo.root / "caf\udce9.txt").write_text("noir\n")
    repo.commit({})
    root, head = await opened(repo)
    sizes = await biggest_files.run(root=root, head=head, top=10)
    assert "caf\\xe9.txt" in [one.path for one in sizes.files]


async def test_weekdays_and_hours_are_those_on_the_authors_own_clock(repo: Repo) -> None:
    root, head = await opened(repo)
    rhythm = await commits_by_weekday.run(root=root, head=head)
    assert rhythm.weekdays == [1, 1, 1, 0, 0, 0, 0]  # 22:15 on Tuesday in New York was Wednesday in UTC
    assert {hour: count for hour, count in enumerate(rhythm.hours) if count} == {9: 2, 22: 1}


async def test_sizes_are_those_of_the_newest_commit(repo: Repo) -> None:
    root, head = await opened(repo)
    sizes = await biggest_files.run(root=root, head=head, top=2)
    assert sizes.files == [FileSize(path="seeds.bin", size=3000), FileSize(path="plan.txt", size=16)]
    assert (sizes.total, sizes.size) == (3, 3020)


async def test_what_is_read_stays_the_same_when_somebody_commits_meanwhile(repo: Repo) -> None:
    root, head = await opened(repo)
    before = await churn_by_file.run(root=root, head=head, top=10)
    repo.commit({"plan.txt": "all new\n"})
    assert await churn_by_file.run(root=root, head=head, top=10) == before


async def test_the_edge_of_a_shallow_clone_is_no_churn(repo: Repo, tmp_path: Path) -> None:
    repo.git("clone", "--quiet", "--depth=1", f"file://{repo.root}", str(tmp_path / "shallow"))
    found = await open_repository.run(path=str(tmp_path / "shallow"))
    assert (found.shallow, found.commits, found.head is not None) == (True, 1, True)
    churn = await churn_by_file.run(root=found.root, head=found.head or "", top=10)
    assert (churn.files, churn.added) == ([], 0)


def test_a_chain_of_renames_ends_at_todays_name() -> None:
    count = ChurnCount()
    log = b"\x01c3\0\n1\t0\t\0b\0c\0\x01c2\0\n1\t0\t\0a\0b\0\x01c1\0\n5\t0\ta\0"
    for record in log.split(b"\0"):
        count.take(record)
    assert {path: (one.commits, one.added) for path, one in count.files.items()} == {"c": (3, 7)}


def test_a_file_named_like_a_commit_line_is_still_a_file() -> None:
    count = ChurnCount()
    for record in b"\x01c1\0\n1\t0\t\0\x01c9\0\x01c8\0".split(b"\0"):
        count.take(record)
    assert list(count.files) == ["\x01c8"]


async def test_an_action_notes_its_effect_when_a_ledger_is_named(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KSL_DEMO_LEDGER", str(tmp_path / "ledger"))
    attempt = ActionContext(run_id="r1", step_id="open-repository#0", attempt=2, idempotency_key="k")
    await open_repository.function(attempt, path=str(repo.root))
    line = json.loads((tmp_path / "ledger").read_text())
    assert (line["run"], line["step"], line["attempt"], line["key"]) == ("r1", "open-repository#0", 2, "k")

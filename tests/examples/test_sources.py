"""A digest for each subscriber on weekdays, and a note for each commit of a repository that is watched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ksl.testing import environment

from tests.examples.conftest import Repo
from triggers.commits import commits
from triggers.weekdays import weekdays
from workflows.weekday_digest import weekday_digest

FEED = "<rss><channel><item><title>{}</title><link>https://example.org/{}</link></item></channel></rss>"


async def test_each_subscriber_gets_a_digest_of_their_own_feeds_on_weekdays(tmp_path: Path) -> None:
    for name in ("ada", "bob"):
        feeds = tmp_path / name / "feeds"
        feeds.mkdir(parents=True)
        (feeds / "news.xml").write_text(FEED.format(f"News for {name}", name))
    async with environment() as env:  # it is Monday, 09:00 UTC: past nine in Berlin
        await env.watch(weekdays)
        for name in ("ada", "bob"):
            await env.subscribe(weekday_digest, name)
        await env.advance("7d")
        fired = env.firings(weekdays)
        assert [each.triggered_at[:16] for each in fired] == [
            f"2026-01-{day:02}T08:00" for day in (6, 7, 8, 9, 12)
        ]
        assert all(len(each.runs) == 2 for each in fired)
        # The folder is that of the project; in a test the payload is given.
        (firing,) = await env.fire(weekdays, {"folder": str(tmp_path)})
        results = [await run.result() for run in firing.runs]
        assert [result.read for result in results] == [1, 1]
        texts = [Path(result.path).read_text() for result in results]
        assert ["News for ada" in texts[0], "News for bob" in texts[1]] == [True, True]


async def test_each_new_commit_gets_a_note_and_old_ones_get_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new_repo: Callable[[str], Repo]
) -> None:
    repo = new_repo("watched")
    (tmp_path / "notes").mkdir()
    monkeypatch.setenv("KSL_WATCHED", str(repo.root))
    monkeypatch.setenv("KSL_NOTES", str(tmp_path / "notes"))
    repo.commit({"old.txt": "1"})
    async with environment() as env:
        await env.watch(commits)
        assert env.firings(commits) == []
        repo.commit({"a.txt": "1", "b.txt": "2"})
        repo.commit({"a.txt": "3"})
        await env.advance("10m")
        (firing,) = env.firings(commits)
        results = [await run.result() for run in firing.runs]
        assert [result.files for result in results] == [2, 1]
        notes = [Path(result.path or "").read_text() for result in results]
        assert "- a.txt\n- b.txt\n" in notes[0]


async def test_a_history_that_was_rewritten_is_begun_anew(
    monkeypatch: pytest.MonkeyPatch, new_repo: Callable[[str], Repo]
) -> None:
    first, second = new_repo("first"), new_repo("second")
    first.commit({"a.txt": "1"})
    second.commit({"a.txt": "2"})
    async with environment() as env:
        monkeypatch.setenv("KSL_WATCHED", str(first.root))
        await env.fire(commits)
        monkeypatch.setenv("KSL_WATCHED", str(second.root))
        (firing,) = await env.fire(commits)
        assert (firing.verdict, firing.runs) == ("skipped", [])


async def test_without_a_repository_there_is_nothing_to_look_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KSL_WATCHED", raising=False)
    async with environment() as env:
        (firing,) = await env.fire(commits)
        assert firing.verdict == "skipped"

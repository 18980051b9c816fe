"""Pages of runs put together: nothing twice, nothing lost, nothing that is no more."""

from __future__ import annotations

from collections.abc import Sequence

from ksl.tui.run_rows import Count, Page, RunLine, RunRows

NOW = 1_795_262_400_000


def line(run_id: str, status: str = "succeeded", **more: object) -> RunLine:
    return RunLine(run_id, "echo", status, "api", "2026-11-21T11:00:00Z", **more)  # type: ignore[arg-type]


def page(ids: str, cursor: str | None = None, status: str = "succeeded") -> Page:
    return Page([line(each, status) for each in ids.split()], cursor, Count(len(ids.split()), True))


def ids(rows: Sequence[RunLine]) -> str:
    return " ".join(run.run_id for run in rows)


def begun(ids: str, cursor: str | None = None) -> RunRows:
    rows = RunRows()
    rows.begin(page(ids, cursor))
    return rows


def test_new_runs_above_the_first_line_are_counted_and_the_lines_stay() -> None:
    rows = begun("d c b a", "next")
    rows.renew(page("f e d c", "next", "failed"), keep=())
    assert (rows.unseen, rows.more_unseen) == ({"f", "e"}, False)
    assert ids(rows.loaded) == "d c b a"
    assert [run.status for run in rows.loaded] == ["failed", "failed", "succeeded", "succeeded"]


def test_a_whole_page_of_new_runs_is_more_than_can_be_counted() -> None:
    rows = begun("d c b a", "next")
    rows.renew(page("z y x", "next"), keep=())
    assert (len(rows.unseen), rows.more_unseen) == (3, True)
    assert ids(rows.loaded) == "d c b a"


def test_a_run_that_the_filter_means_no_longer_goes_unless_it_is_chosen() -> None:
    rows = begun("e d c b a")
    rows.renew(page("e b a"), keep={"c"})
    assert ids(rows.loaded) == "e c b a"
    assert rows.fallen == {"c"}
    rows.take_fallen(["c"], [line("c", "failed")])
    assert next(run for run in rows.loaded if run.run_id == "c").status == "failed"
    assert rows.drop_fallen(keep={"b"})
    assert ids(rows.loaded) == "e b a"


def test_what_fell_and_is_meant_again_is_a_line_like_others() -> None:
    rows = begun("c b a")
    rows.renew(page("c a"), keep={"b"})
    rows.renew(page("c b a"), keep={"b"})
    assert rows.fallen == set()
    assert not rows.drop_fallen(keep=())
    assert ids(rows.loaded) == "c b a"


def test_a_chosen_run_that_was_deleted_goes() -> None:
    rows = begun("b a")
    rows.renew(page("b"), keep={"a"})
    rows.take_fallen(["a"], [])
    assert ids(rows.loaded) == "b"


def test_lines_beyond_the_reach_of_the_first_page_are_not_taken_for_gone() -> None:
    rows = begun("f e", "next")
    rows.extend(page("d c", "next"))
    rows.renew(page("f e", "next"), keep=())
    assert ids(rows.loaded) == "f e d c"
    rows.renew(page("g f", "next"), keep=())
    assert ids(rows.loaded) == "f e d c"


def test_a_run_that_matches_only_now_comes_in_at_its_place() -> None:
    rows = begun("f d b", "next")
    rows.renew(page("f e d c b a", None), keep=())
    assert ids(rows.loaded) == "f e d c b a"
    assert rows.unseen == set()


def test_a_run_beyond_the_first_page_is_stale_until_it_was_asked_for_again() -> None:
    rows = begun("d c", "next")
    rows.extend(page("b a"))
    rows.changed(["a", "elsewhere"])
    rows.renew(page("d c", "next"), keep=())
    assert rows.stale == {"a"}
    rows.take_again(["a"], [line("a", "failed")], keep=())
    assert rows.stale == set()
    assert rows.loaded[-1].status == "failed"


def test_a_stale_run_that_is_not_found_is_gone() -> None:
    rows = begun("b a")
    rows.anything_changed()
    rows.take_again(["a", "b"], [line("b")], keep=())
    assert ids(rows.loaded) == "b"
    assert rows.stale == set()


def test_a_page_that_overlaps_brings_nothing_twice() -> None:
    rows = begun("d c", "next")
    rows.extend(page("c b a", None))
    assert ids(rows.loaded) == "d c b a"
    assert rows.cursor is None


def test_the_order_is_one_of_what_is_loaded_and_keeps_the_newest_first_among_equals() -> None:
    rows = RunRows()
    rows.begin(
        Page(
            [
                line("new", "running", started_at="2026-11-21T11:59:59Z"),
                line("long", "failed", started_at="2026-11-21T10:00:00Z", finished_at="2026-11-21T11:00:00Z"),
                line("unbegun", "queued"),
                line("old", "running", started_at="2026-11-21T11:59:58Z"),
            ],
            None,
        )
    )
    rows.loaded[2].workflow = "alpha"
    assert ids(rows.in_order("started", NOW)) == "new long unbegun old"
    assert ids(rows.in_order("took", NOW)) == "long old new unbegun"
    assert ids(rows.in_order("workflow", NOW)) == "unbegun new long old"
    assert ids(rows.in_order("state", NOW)) == "long new old unbegun"


def test_beyond_ten_thousand_the_count_says_so() -> None:
    assert str(Count(9_999, True)) == "9,999"
    assert str(Count(10_000, True)) == "10,000"
    assert str(Count(10_000, False)) == "10k+"

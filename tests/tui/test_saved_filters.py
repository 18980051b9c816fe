from __future__ import annotations

from pathlib import Path

import pytest

from ksl.tui.saved_filters import SavedFilters


def test_each_project_has_its_own_by_name(tmp_path: Path) -> None:
    here, there = SavedFilters("/a", tmp_path / "new"), SavedFilters("/b", tmp_path / "new")
    here.save("slow", "took:>5s")
    here.save("bad", "state:failed")
    there.save("mine", "ä")
    assert list(here.all().items()) == [("bad", "state:failed"), ("slow", "took:>5s")]
    here.forget("slow")
    assert here.all() == {"bad": "state:failed"}
    assert there.all() == {"mine": "ä"}


@pytest.mark.parametrize("held", ["", "[1]", "{", '{"/a": 3}', '{"/a": {"x": 1}}'])
def test_a_file_that_cannot_be_read_holds_none(tmp_path: Path, held: str) -> None:
    (tmp_path / "filters.json").write_text(held)
    assert SavedFilters("/a", tmp_path).all() == {}


@pytest.mark.parametrize("held", ["", "[1]", "{"])
def test_a_file_that_holds_something_else_is_not_written_over(tmp_path: Path, held: str) -> None:
    (tmp_path / "filters.json").write_text(held)
    with pytest.raises(ValueError, match="nothing was changed"):
        SavedFilters("/a", tmp_path).save("x", "y")
    assert (tmp_path / "filters.json").read_text() == held

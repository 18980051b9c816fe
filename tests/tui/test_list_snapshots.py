"""The lists, with a run in every state and with firings. `python -m tests.tui.list_snapshots` writes them anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tui.app import SIZES
from tests.tui.list_snapshots import NAMES, taken
from tests.tui.snapshots import FOLDER


@pytest.mark.parametrize("size", SIZES)
async def test_the_lists_look_as_they_did(tmp_path: Path, size: tuple[int, int]) -> None:
    found = await taken(tmp_path, size)
    for name in NAMES:
        file = FOLDER / f"{name}-{size[0]}.txt"
        assert found[name] == file.read_text(encoding="utf-8"), (
            f"{file.name}: python -m tests.tui.list_snapshots"
        )

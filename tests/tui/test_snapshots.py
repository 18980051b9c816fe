"""The text of screens whose runs, ids and clock stand still. `python -m tests.tui.snapshots` writes it anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tui.project import write
from tests.tui.snapshots import FOLDER, NAMES, taken


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_the_screens_look_as_they_did(tmp_path: Path, size: tuple[int, int]) -> None:
    found = await taken(write(tmp_path), size)
    for name in NAMES:
        file = FOLDER / f"{name}-{size[0]}.txt"
        assert found[name] == file.read_text(encoding="utf-8"), f"{file.name}: python -m tests.tui.snapshots"

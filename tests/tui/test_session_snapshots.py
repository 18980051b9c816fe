"""The text of the screens of sessions. `python -m tests.tui.session_snapshots` writes it anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tui.agents_project import write
from tests.tui.session_snapshots import FOLDER, NAMES, SIZES, taken


@pytest.mark.parametrize("size", SIZES)
async def test_the_screens_of_sessions_look_as_they_did(tmp_path: Path, size: tuple[int, int]) -> None:
    found = await taken(write(tmp_path), size)
    for name in NAMES:
        file = FOLDER / f"{name}-{size[0]}.txt"
        assert found[name] == file.read_text(encoding="utf-8"), (
            f"{file.name}: python -m tests.tui.session_snapshots"
        )

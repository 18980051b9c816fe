"""The text of Run and Hooks in their states. `python -m tests.tui.run_snapshots` writes it anew."""

from __future__ import annotations

from pathlib import Path

from tests.tui.run_snapshots import NAMES, taken
from tests.tui.snapshots import FOLDER


async def test_runs_and_hooks_look_as_they_did_in_every_state(tmp_path: Path) -> None:
    found = await taken(tmp_path)
    assert set(found) == set(NAMES)
    wrong = [name for name in NAMES if (FOLDER / f"{name}.txt").read_text(encoding="utf-8") != found[name]]
    assert not wrong, f"{wrong}: look at them after python -m tests.tui.run_snapshots"

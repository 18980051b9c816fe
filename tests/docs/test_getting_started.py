from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.console import Transcript
from tests.docs.playing import play

PAGE = Path(__file__).parents[2] / "docs" / "getting-started.md"


@pytest.mark.process
def test_the_page_runs_as_printed(tmp_path: Path) -> None:
    play(PAGE, tmp_path)


def test_a_transcript_keeps_run_ids_apart_and_ignores_times() -> None:
    transcript = Transcript()
    assert transcript.fits(["run_A  took 3s", "run_B", "run_A"], "run_1x took 1.25s\nrun_2\nrun_1x\n")
    assert not transcript.fits(["run_A"], "run_2\n")
    assert not Transcript().fits(["run_A run_A"], "run_1 run_2\n")
    assert transcript.command("ksl runs show run_B") == "ksl runs show run_2"


def test_dots_in_a_transcript_stand_for_any_text() -> None:
    assert Transcript().fits(["a", "...", "b ... d"], "a\nx\ny\nb c d\n")
    assert Transcript().fits(["a", "...", "b"], "a\nb\n")
    assert not Transcript().fits(["a", "b ... d"], "a\nb c\n")

"""The judge sees what it is there to see: histories and ledgers put together by hand, each with one thing wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from ksl.build.discover import Project

from tests.crash.engine_trial import EngineTrial, Expected
from tests.crash.life import FULFILLED, STUCK, Task
from tests.crash.record import Record
from tests.crash.soundness import judged
from tests.crash.stored import Row, Stored

RUN = "run_1"
WHOLE = [
    Row(RUN, 1, "run_created", None, 10, "null"),
    Row(RUN, 2, "run_started", None, 11, None),
    Row(RUN, 3, "step_completed", "note#0", 12, '"A"'),
    Row(RUN, 4, "step_completed", "note~2#0", 13, '"B"'),
    Row(RUN, 5, "run_completed", None, 14, '"B"'),
]
LEDGER = [f"{RUN} note#0 1 0 {RUN}/note#0", f"{RUN} note~2#0 1 1 {RUN}/note~2#0"]
TOLD = [f"stored {RUN} 3", f"started {RUN}"]


def trial(
    folder: Path,
    *,
    before: list[Row] = WHOLE[:3],
    after: list[Row] = WHOLE,
    told: list[str] = TOLD,
    ledger: list[str] = LEDGER,
    code: int = FULFILLED,
    is_sound: bool = True,
) -> Record:
    """A life that was killed after the first step, and one that ended the run."""
    (folder / "ledger").write_text("\n".join(ledger))
    made = EngineTrial(Task(Project(folder), folder, "chain", None), exits=[-9, code])
    made.found = [
        Stored(before, [(RUN, "chain", "running")], is_sound, 0),
        Stored(after, [(RUN, "chain", "succeeded")], True, 0),
    ]
    made.told = [told, [*told, f"stored {RUN} 5", "ended succeeded 1.0"]]
    return judged(made, Expected("succeeded", "B", True), family="hand", plan="made")


def test_a_sound_trial_has_no_violation(tmp_path: Path) -> None:
    record = trial(tmp_path)
    assert record.violations == []
    assert (record.kills, record.acknowledged, record.operations["effect"]) == (1, 4, 2)


def test_an_acknowledged_commit_that_a_death_took_back_is_lost(tmp_path: Path) -> None:
    assert trial(tmp_path, before=WHOLE[:2]).lost == [f"event 3 of {RUN} after life 0"]


def test_a_history_that_changed_later_is_lost(tmp_path: Path) -> None:
    changed = [*WHOLE[:2], WHOLE[2]._replace(data='"C"'), *WHOLE[3:]]
    assert trial(tmp_path, after=changed).lost == ["the history as it was after life 0"]


def test_an_acknowledged_answer_must_be_in_the_history(tmp_path: Path) -> None:
    assert trial(tmp_path, told=[*TOLD, "answered hook#0 5"]).lost == ["the answer to hook#0"]


def test_an_outcome_recorded_twice_is_found(tmp_path: Path) -> None:
    twice = [*WHOLE[:4], WHOLE[3]._replace(seq=5), WHOLE[4]._replace(seq=6)]
    assert trial(tmp_path, after=twice).duplicates == ["step_completed, then step_completed of note~2#0"]


def test_a_gap_in_a_history_is_found(tmp_path: Path) -> None:
    assert trial(tmp_path, after=[*WHOLE[:4], WHOLE[4]._replace(seq=6)]).problems == ["seq is not contiguous"]


def test_a_step_that_ran_again_though_it_was_recorded_is_found(tmp_path: Path) -> None:
    again = [*LEDGER, f"{RUN} note#0 1 1 {RUN}/note#0"]
    assert trial(tmp_path, ledger=again).problems == ["note#0 ran again after its outcome was stored"]


def test_two_extra_effects_of_one_death_are_too_many_in_a_sequence(tmp_path: Path) -> None:
    lines = [f"{RUN} {step} 1 {life} {RUN}/{step}" for step in ("note#0", "note~2#0") for life in (0, 1)]
    record = trial(tmp_path, before=WHOLE[:2], told=TOLD[1:], ledger=lines)
    assert record.extra_in_sequence == [2]
    assert record.problems == ["2 extra effects of one death, steps in sequence"]


def test_another_end_than_the_undisturbed_one_is_a_divergence(tmp_path: Path) -> None:
    other = [*WHOLE[:4], WHOLE[4]._replace(data='"C"')]
    assert trial(tmp_path, after=other).divergences == ["succeeded 'C' instead of succeeded 'B'"]


@pytest.mark.parametrize("code", [STUCK, 70, -9])
def test_a_run_that_does_not_end_once_nothing_disturbs_it_is_stuck(tmp_path: Path, code: int) -> None:
    assert len(trial(tmp_path, code=code).stuck) == 1


def test_a_file_that_is_not_sound_is_found(tmp_path: Path) -> None:
    assert trial(tmp_path, is_sound=False).violations == ["[hand: made] integrity_check failed"]

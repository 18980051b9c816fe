from __future__ import annotations

from ksl.log.batch import BYTES_MAX, EVENTS_MAX, fits
from ksl.log.store import Change
from ksl.records import Event


def change(events: int, size: int = 0) -> Change:
    return Change("r1", [Event("r1", seq, "step_completed", None, 0, b"x" * size) for seq in range(events)])


def test_a_batch_takes_as_many_changes_as_its_limits_allow() -> None:
    assert fits([]) == 0
    assert fits([change(0)] * 9_000) == 9_000
    assert fits([change(1)] * (EVENTS_MAX + 5)) == EVENTS_MAX
    assert fits([change(1_500), change(500), change(1)]) == 2
    assert fits([change(1, BYTES_MAX // 4)] * 9) == 4


def test_a_change_larger_than_a_batch_goes_alone() -> None:
    assert fits([change(EVENTS_MAX + 1), change(1)]) == 1
    assert fits([change(1, BYTES_MAX + 1), change(1)]) == 1
    assert fits([change(1), change(1, BYTES_MAX + 1)]) == 1

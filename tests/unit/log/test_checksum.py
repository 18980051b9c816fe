from __future__ import annotations

from itertools import combinations
from typing import Any

from ksl.log.checksum import event_crc, run_crc

WHOLE: dict[str, Any] = {
    "run": run_crc("r1"), "seq": 7, "type": "step_completed", "step": "fetch#0", "at_ms": 1_700_000_000_000,
    "data": b"12", "input": b"3", "meta": b"{}",
}  # fmt: skip


def other(**fields: Any) -> dict[str, Any]:
    return WHOLE | fields


def test_the_formula_is_that_of_the_databases_out_there() -> None:
    assert event_crc(**WHOLE) == 1699161464


def test_every_part_counts_and_so_does_the_border_between_two() -> None:
    others = [
        WHOLE,
        other(run=run_crc("r2")),
        other(seq=8),
        other(type="step_failed"),
        other(type="a type of tomorrow"),
        other(step="fetch#1"),
        other(step=None),
        other(at_ms=1_700_000_000_001),
        other(data=b"13"),
        other(data=None),
        other(data=None, input=b"12"),
        other(data=b"1", input=b"23"),
        other(data=b"123", input=None),
        other(input=b"3{}", meta=None),
        other(meta=None),
    ]

    for one, another in combinations(others, 2):
        assert event_crc(**one) != event_crc(**another)

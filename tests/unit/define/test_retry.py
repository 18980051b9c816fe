"""How long to wait between attempts."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksl import Retry


def test_waits_grow_by_the_factor_up_to_the_maximum() -> None:
    policy = Retry(attempts=9, initial="1s", factor=2.0, maximum="10s", jitter=False)
    assert [policy.delay_s(n, Random(0)) for n in range(1, 7)] == [1, 2, 4, 8, 10, 10]
    assert policy.delay_s(100_000, Random(0)) == 10


@given(st.integers(1, 50), st.randoms(use_true_random=False))
def test_jitter_multiplies_by_three_quarters_to_five_quarters(made: int, rng: Random) -> None:
    plain = Retry(jitter=False).delay_s(made, rng)
    assert 0.75 * plain <= Retry().delay_s(made, rng) <= 1.25 * plain


@pytest.mark.parametrize(
    "options",
    [{"attempts": 0}, {"factor": 0.5}, {"initial": "soon"}, {"maximum": -1}, {"initial": float("nan")}],
)
def test_a_policy_that_makes_no_sense_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Retry(**options)

from __future__ import annotations

from math import inf

from ksl.log.histogram import BOUNDS_S, Histogram


def test_each_bound_counts_what_took_no_longer() -> None:
    histogram = Histogram()
    for seconds in (0.0, 0.0001, 0.0002, 0.003, 0.003, 99.0):
        histogram.observe(seconds)

    counts = dict(histogram.cumulative())

    assert tuple(counts) == BOUNDS_S
    assert (counts[0.0001], counts[0.00025], counts[0.0025], counts[0.005], counts[1.0]) == (2, 3, 3, 5, 5)
    assert counts[inf] == 6
    assert histogram.sum_s == 99.0063

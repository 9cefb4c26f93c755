"""Confidence intervals of shares, of their differences, and of means."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

CONFIDENCE = 0.95
MIN_MEAN = 5  # values; of fewer the quantile below is off by more than a thousandth at 95 %, and a spread means little


class Interval(NamedTuple):
    """A confidence interval; with its ends it says where the truth may lie."""

    low: float
    high: float


class Share(NamedTuple):
    """So many of so many."""

    part: int
    whole: int

    @property
    def value(self) -> float:
        """The share; of none, NaN."""
        return self.part / self.whole if self.whole else float("nan")

    def interval(self, confidence: float = CONFIDENCE) -> Interval:
        """Wilson's score interval (Wilson 1927; Newcombe 1998, Statistics in Medicine 17:857, method 3)."""
        if not self.whole:
            return Interval(0.0, 1.0)
        z2, n, p = _quantile(confidence) ** 2, self.whole, self.value
        centre, half = p + z2 / (2 * n), (z2 * (p * (1 - p) / n + z2 / (4 * n * n))) ** 0.5
        return Interval(max(0.0, (centre - half) / (1 + z2 / n)), min(1.0, (centre + half) / (1 + z2 / n)))


def difference(one: Share, other: Share, confidence: float = CONFIDENCE) -> Interval:
    """The interval of one share less another, of other images: Newcombe's hybrid score interval.

    Source: Newcombe 1998, Statistics in Medicine 17:873, method 10.
    """
    a, b, gap = one.interval(confidence), other.interval(confidence), one.value - other.value
    low = gap - ((one.value - a.low) ** 2 + (b.high - other.value) ** 2) ** 0.5
    high = gap + ((a.high - one.value) ** 2 + (other.value - b.low) ** 2) ** 0.5
    return Interval(low, high)


def mean_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval | None:
    """The interval of a mean by Student's t; None of fewer than MIN_MEAN values.

    The quantile of t is expanded in that of the normal distribution: Abramowitz and Stegun 1964, 26.7.5.
    """
    if len(values) < MIN_MEAN:
        return None
    z, n = _quantile(confidence), len(values) - 1
    t = (
        z
        + (z**3 + z) / (4 * n)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * n**3)
        + (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / (92160 * n**4)
    )
    mean, half = float(np.mean(values)), t * float(np.std(values, ddof=1)) / len(values) ** 0.5
    return Interval(mean - half, mean + half)


def _quantile(confidence: float) -> float:
    return NormalDist().inv_cdf((1 + confidence) / 2)

"""Intervals against the values printed in the papers and in tables of Student's t, and against SciPy's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnxplain.engine.audit.intervals import MIN_MEAN, Share, difference, mean_interval
from scipy import stats


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (Share(81, 263), (0.2553, 0.3662)),
        (Share(15, 148), (0.0624, 0.1605)),
        (Share(0, 20), (0.0, 0.1611)),
        (Share(1, 29), (0.0061, 0.1718)),
    ],
)
def test_shares_as_newcombe_prints_them(share: Share, expected: tuple[float, float]) -> None:
    """Newcombe 1998, Statistics in Medicine 17:857, table I, method 3."""
    assert share.interval() == pytest.approx(expected, abs=5e-5)
    mirrored = Share(share.whole - share.part, share.whole).interval()
    assert mirrored == pytest.approx((1 - expected[1], 1 - expected[0]), abs=5e-5)


@given(st.integers(1, 2000), st.floats(0, 1), st.sampled_from([0.8, 0.95, 0.999]))
def test_shares_as_scipy_computes_them(whole: int, share: float, confidence: float) -> None:
    part = round(share * whole)
    expected = stats.binomtest(part, whole).proportion_ci(confidence, method="wilson")
    assert Share(part, whole).interval(confidence) == pytest.approx((expected.low, expected.high), abs=1e-12)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (Share(56, 70), Share(48, 80), (0.0524, 0.3339)),
        (Share(9, 10), Share(3, 10), (0.1705, 0.8090)),
        (Share(5, 56), Share(0, 29), (-0.0381, 0.1926)),
        (Share(10, 10), Share(0, 10), (0.6075, 1.0)),
    ],
)
def test_differences_as_newcombe_prints_them(one: Share, other: Share, expected: tuple[float, float]) -> None:
    """Newcombe 1998, Statistics in Medicine 17:873, table II, method 10."""
    assert difference(one, other) == pytest.approx(expected, abs=5e-5)
    assert difference(other, one) == pytest.approx((-expected[1], -expected[0]), abs=5e-5)


def test_nothing_counted_says_nothing() -> None:
    assert Share(0, 0).interval() == (0, 1)
    assert np.isnan(Share(0, 0).value)


@pytest.mark.parametrize(("count", "t"), [(5, 2.776), (6, 2.571), (11, 2.228), (31, 2.042), (1001, 1.962)])
def test_means_by_the_table_of_t(count: int, t: float) -> None:
    values = np.random.default_rng(count).random(count)
    low, high = mean_interval(values)
    assert (low + high) / 2 == pytest.approx(values.mean())
    assert (high - low) / 2 == pytest.approx(t * values.std(ddof=1) / count**0.5, rel=5e-4)
    wider = mean_interval(values, confidence=0.99)
    assert wider[0] < low < high < wider[1]


def test_few_values_have_no_interval() -> None:
    assert mean_interval([0.1, 0.2, 0.3, 0.4]) is None


@pytest.mark.parametrize(("confidence", "tolerance"), [(0.8, 1e-4), (0.95, 5e-4), (0.99, 3e-3)])
@pytest.mark.parametrize("count", [MIN_MEAN, 6, 9, 30, 1000])
def test_means_as_scipy_computes_them(count: int, confidence: float, tolerance: float) -> None:
    """The expansion is worst where values are fewest and the confidence is high; both ends err by the same."""
    values = np.random.default_rng(count).normal(0.7, 0.2, count)
    error = values.std(ddof=1) / count**0.5
    low, high = stats.t.interval(confidence, count - 1, values.mean(), error)
    found = mean_interval(values, confidence)
    assert found == pytest.approx((low, high), abs=tolerance * (high - low) / 2)
    if count >= 30:
        assert found == pytest.approx((low, high), abs=1e-7)

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from onnxplain.engine.evaluation.measures.rank_correlation import rank_correlation
from onnxplain.graph_rewrites.errors import UsageError
from scipy import stats


def test_without_ties_it_is_the_textbook_formula() -> None:
    """1 - 6 sum d^2 / (n (n^2 - 1))."""
    one, other = np.array([[1.0, 2, 3], [4, 5, 6]]), np.array([[2.0, 4, 1], [3, 7, 9]])
    differences = np.array([2, 4, 1, 3, 5, 6]) - np.arange(1, 7)
    assert rank_correlation(one, other) == pytest.approx(1 - 6 * (differences**2).sum() / (6 * 35), abs=1e-15)


def test_ties_share_their_mean_rank() -> None:
    """Ranks 1.5, 1.5, 3, 4 against 1, 2, 3, 4."""
    ranks, others = np.array([1.5, 1.5, 3, 4]), np.array([1.0, 2, 3, 4])
    expected = np.corrcoef(ranks, others)[0, 1]
    assert rank_correlation(np.array([[0.0, 0], [5, 7]]), np.array([[1.0, 2], [3, 9]])) == pytest.approx(expected)


@given(arrays(np.int64, (3, 4), elements=st.integers(-5, 5)), arrays(np.int64, (3, 4), elements=st.integers(-5, 5)))
def test_it_is_the_correlation_of_ranks_counted_one_by_one(one: np.ndarray, other: np.ndarray) -> None:
    ranks = [[(v < x).sum() + ((v == x).sum() + 1) / 2 for x in v.ravel()] for v in (one, other)]
    found = rank_correlation(one.astype(float), other.astype(float))
    if min(np.ptp(one), np.ptp(other)) == 0:
        assert np.isnan(found)
    else:
        assert found == pytest.approx(np.corrcoef(ranks)[0, 1], abs=1e-12)


@pytest.mark.parametrize("levels", [3, 20, 10**6])
def test_it_is_scipys(levels: int) -> None:
    """On maps of the size of those that are compared, with many ties, some and next to none."""
    rng = np.random.default_rng(levels)
    one = rng.integers(0, levels, (224, 224)) / levels
    other = one + rng.integers(-levels, levels, one.shape) / levels
    expected = stats.spearmanr(one, other, axis=None).statistic
    assert 0.1 < expected < 0.9
    assert rank_correlation(one, other) == pytest.approx(expected, abs=1e-12)


def test_only_the_order_of_values_counts() -> None:
    values = np.random.default_rng(0).normal(size=(7, 5))
    assert rank_correlation(values, np.exp(values)) == pytest.approx(1, abs=1e-15)
    assert rank_correlation(values, -(values**3)) == pytest.approx(-1, abs=1e-15)


def test_maps_of_two_sizes_are_refused() -> None:
    with pytest.raises(UsageError, match="bring both to one size"):
        rank_correlation(np.ones((2, 3)), np.ones((3, 2)))

"""How far two maps agree on which places matter more."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ....graph_rewrites.errors import UsageError
from .pointing import Map


def rank_correlation(one: Map, other: Map) -> float:
    """Spearman's rank correlation of two maps [H, W], in [-1, 1]; NaN where one of them is the same everywhere.

    Equal values share the mean of their ranks.

    Source: Spearman 1904, "The Proof and Measurement of Association between Two Things"; of Grad-CAM and occlusion
    maps, Selvaraju et al. 2017, section 5.3.

    Raises:
        UsageError: the shapes differ.
    """
    if one.shape != other.shape:
        raise UsageError(f"maps of {one.shape} and {other.shape}; bring both to one size")
    first, second = _centred_ranks(one), _centred_ranks(other)
    spread = np.sqrt((first @ first) * (second @ second))
    return float(first @ second / spread) if spread > 0 else float("nan")


def _centred_ranks(values: Map) -> npt.NDArray[np.float64]:
    """The ranks, from 0 and less their mean."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts + 1) / 2
    return np.asarray(ranks[place.ravel()] - (values.size - 1) / 2, np.float64)

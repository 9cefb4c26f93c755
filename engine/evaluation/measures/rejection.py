"""The pointing game of the Grad-CAM paper, which also asks whether a map tells that its class is not there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

TOP = 5  # predictions that are put to the test (Selvaraju et al. 2017, section 4.3)


class Pointed(NamedTuple):
    """One of the top predictions of an image.

    Attributes:
        peak: the map's maximum, not normalised.
        present: whether the class is in the image.
        hit: how far the maximum hits the class's objects, see `pointing`; 0 of a class that is not present.
    """

    peak: float
    present: bool
    hit: float


def rejection_accuracy(pointed: Sequence[Pointed], threshold: float) -> float:
    """The share of predictions judged rightly, where those whose peak is under the threshold are rejected.

    A class that is there is right where its map points at it and is not rejected, one that is not there where it is.

    Source: Selvaraju et al. 2017, "Grad-CAM", section 4.3, the modified pointing game.
    """
    right = [
        (one.hit if one.peak >= threshold else 0.0) if one.present else float(one.peak < threshold) for one in pointed
    ]
    return sum(right) / len(right)


def best_threshold(pointed: Sequence[Pointed]) -> float:
    """The threshold of highest accuracy, among one that rejects nothing, the peaks, and one that rejects everything.

    Of equally good ones the lowest: it rejects least.
    """
    candidates = [float("-inf"), *sorted({one.peak for one in pointed}), float("inf")]
    return max(candidates, key=lambda threshold: rejection_accuracy(pointed, threshold))

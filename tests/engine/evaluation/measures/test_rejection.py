from __future__ import annotations

import math

from onnxplain.engine.evaluation.measures.rejection import Pointed, best_threshold, rejection_accuracy

POINTED = [
    Pointed(peak=5, present=True, hit=1),
    Pointed(peak=4, present=True, hit=0),  # points at something else
    Pointed(peak=3, present=False, hit=0),
    Pointed(peak=2, present=True, hit=0.5),  # two equal maxima, of which one hits
    Pointed(peak=1, present=False, hit=0),
]


def test_present_classes_must_hit_and_absent_ones_be_rejected() -> None:
    assert rejection_accuracy(POINTED, -math.inf) == 1.5 / 5
    assert rejection_accuracy(POINTED, 2) == 2.5 / 5  # rejects the last one
    assert rejection_accuracy(POINTED, 3) == 2 / 5  # and the one of half a hit
    assert rejection_accuracy(POINTED, 4) == 3 / 5
    assert rejection_accuracy(POINTED, math.inf) == 2 / 5


def test_the_best_threshold_is_found_and_of_several_the_lowest() -> None:
    assert best_threshold(POINTED) == 4
    assert best_threshold(POINTED[:2]) == -math.inf
    assert best_threshold(POINTED[2:3]) == math.inf
    assert best_threshold([Pointed(1, False, 0), Pointed(2, True, 0), Pointed(3, True, 1)]) == 2

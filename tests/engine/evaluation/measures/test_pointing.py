from __future__ import annotations

import numpy as np
import pytest
from onnxplain.engine.evaluation.measures.pointing import (
    centre_map,
    energy_inside,
    is_difficult,
    mean_over_classes,
    pointing,
)
from onnxplain.graph_rewrites.errors import UsageError


def spot(y: int, x: int, shape: tuple[int, int] = (8, 10)) -> np.ndarray:
    values = np.zeros(shape)
    values[y, x] = 2.0
    return values


def box(top: int, left: int, bottom: int, right: int, shape: tuple[int, int] = (8, 10)) -> np.ndarray:
    mask = np.zeros(shape, np.bool_)
    mask[top:bottom, left:right] = True
    return mask


@pytest.mark.parametrize(
    ("y", "x", "tolerance", "hit"),
    [
        (2, 3, 0, 1),
        (2, 5, 0, 0),  # the box ends at column 4
        (2, 6, 1.9, 0),
        (2, 6, 2, 1),
        (5, 6, 2.8, 0),  # 2 right of the box and 2 below it: 2.83 pixels
        (5, 6, 2.9, 1),
    ],
)
def test_a_maximum_hits_inside_the_object_or_within_the_tolerance(y: int, x: int, tolerance: float, hit: float) -> None:
    assert pointing(spot(y, x), box(1, 2, 4, 5), tolerance) == hit


def test_equal_maxima_hit_by_their_share() -> None:
    assert pointing(np.ones((8, 10)), box(0, 0, 4, 5)) == 20 / 80
    assert pointing(spot(0, 0) + spot(7, 9), box(0, 0, 4, 5)) == 0.5


def test_energy_counts_positive_values_alone() -> None:
    heatmap = np.array([[3.0, -7.0], [1.0, 0.0]])
    assert energy_inside(heatmap, np.array([[True, True], [False, False]])) == 0.75
    assert energy_inside(-np.ones((2, 2)), np.ones((2, 2), np.bool_)) == 0
    assert energy_inside(np.ones((8, 10)), box(0, 0, 4, 5)) == 0.25


def test_the_centre_baseline_points_at_the_middle() -> None:
    heatmap = centre_map((5, 7))
    assert np.argwhere(heatmap == heatmap.max()).tolist() == [[2, 3]]
    assert heatmap.min() == heatmap[0, 0] == pytest.approx(0)
    # 1 left of the middle, of the sqrt(13) to the corner.
    assert heatmap[2, 2] == pytest.approx(1 - 1 / np.sqrt(13))


@pytest.mark.parametrize("measure", [pointing, energy_inside])
def test_what_cannot_be_measured_is_refused(measure: object) -> None:
    with pytest.raises(UsageError, match=r"a map of \(8, 10\) and a mask of \(4, 4\)"):
        measure(spot(0, 0), np.ones((4, 4), np.bool_))  # type: ignore[operator]
    with pytest.raises(UsageError, match="mask of the object is empty"):
        measure(spot(0, 0), np.zeros((8, 10), np.bool_))  # type: ignore[operator]


def test_small_objects_beside_others_are_difficult() -> None:
    assert is_difficult(box(0, 0, 4, 4), distractors=True)  # 16 of 80 pixels
    assert not is_difficult(box(0, 0, 4, 5), distractors=True)  # a quarter
    assert not is_difficult(box(0, 0, 4, 4), distractors=False)


def test_classes_count_alike_however_often_they_occur() -> None:
    hits = [("cat", 1.0), ("cat", 1.0), ("cat", 0.0), ("dog", 0.5)]
    assert mean_over_classes(hits) == (2 / 3 + 1 / 2) / 2
    assert np.isnan(mean_over_classes([]))

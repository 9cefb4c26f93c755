from __future__ import annotations

import numpy as np
import pytest
from onnxplain.engine.evaluation.measures.boxes import (
    THRESHOLDS,
    localises,
    max_box_accuracy,
    overlap,
    overlaps_by_threshold,
    segment_boxes,
)
from onnxplain.graph_rewrites.errors import UsageError

# A segment of 4 pixels at the left, one of 3 along a diagonal at the right, and one pixel by itself.
HEATMAP = np.array(
    [
        [0.8, 0.2, 0.0, 0.0, 0.0, 0.15],
        [1.0, 0.5, 0.0, 0.0, 0.2, 0.0],
        [0.0, 0.1, 0.0, 0.2, 0.0, 0.0],
        [0.0, 0.0, 0.0, 0.0, 0.2, 0.0],
    ]
)


def test_boxes_go_round_the_segments_above_the_threshold_the_largest_first() -> None:
    assert segment_boxes(HEATMAP) == [(0, 0, 2, 2), (3, 1, 5, 4)]  # 0.15 is not above 0.15 of 1
    assert segment_boxes(HEATMAP, 0.1) == [(0, 0, 2, 2), (3, 0, 6, 4)]  # of equal size, the first from the top
    assert segment_boxes(10 * HEATMAP, 0.5) == [(0, 0, 1, 2)]
    assert segment_boxes(HEATMAP, 0)[0] == (0, 0, 2, 3)
    assert segment_boxes(-HEATMAP - 1) == []
    assert segment_boxes(np.zeros((3, 3))) == []


def test_a_threshold_beyond_the_maximum_is_refused() -> None:
    with pytest.raises(UsageError, match="a threshold of 1 of the maximum"):
        segment_boxes(HEATMAP, 1)


def test_overlap_is_intersection_over_union() -> None:
    assert overlap((0, 0, 2, 2), (0, 0, 2, 2)) == 1
    assert overlap((0, 0, 2, 2), (1, 1, 3, 3)) == 1 / 7
    assert overlap((0, 0, 2, 2), (2, 0, 4, 2)) == 0
    assert overlap((0, 0, 4, 4), (1, 1, 2.5, 3)) == 3 / 16


def test_half_of_any_box_is_enough() -> None:
    assert localises(HEATMAP, [(4, 2, 6, 4), (0, 0, 2, 4)])  # 4 of 8 pixels
    assert not localises(HEATMAP, [(0, 0, 3, 3)])  # 4 of 9
    assert not localises(HEATMAP, [(3, 1, 5, 4)])  # the second segment's
    assert not localises(HEATMAP, [])
    assert not localises(np.zeros((4, 6)), [(0, 0, 6, 4)])


def test_every_segment_counts_at_every_threshold() -> None:
    found = overlaps_by_threshold(HEATMAP, [(3, 1, 5, 4)])
    by_threshold = dict(zip(THRESHOLDS, found, strict=True))
    assert len(found) == 100
    # Below 0.15 the box is one pixel wider and higher, below 0.2 it is that one, and above the segment is gone.
    assert [by_threshold[at] for at in (0, 0.14, 0.15, 0.19, 0.2, 0.99)] == [6 / 12, 6 / 12, 1, 1, 0, 0]
    stretched = overlaps_by_threshold(5 * HEATMAP - 7, [(3, 1, 5, 4)])
    np.testing.assert_array_equal(np.delete(stretched, [10, 15, 20, 50, 80]), np.delete(found, [10, 15, 20, 50, 80]))
    assert overlaps_by_threshold(np.ones((4, 6)), [(0, 0, 6, 4)]).max() == 0


def test_the_best_threshold_is_one_for_all_maps() -> None:
    overlaps = np.array([[0.2, 0.6, 0.1], [0.8, 0.3, 0.1], [0.5, 0.4, 0.1], [0.0, 0.7, 0.0]])
    # At 0.3: 2, 4 and 0 of 4 maps by threshold; at 0.5: 2, 2, 0; at 0.7: 1, 1, 0.
    assert max_box_accuracy(overlaps) == {0.3: 1, 0.5: 0.5, 0.7: 0.25}

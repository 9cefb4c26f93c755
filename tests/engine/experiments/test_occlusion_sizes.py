from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnxplain.engine.compare import Comparison, compare
from onnxplain.engine.evaluation.measures.rank_correlation import rank_correlation
from onnxplain.engine.experiments.occlusion_sizes import described, occlusion_sizes

from ...graph_rewrites.networks import small_cnn

PHOTO = np.random.default_rng(0).integers(0, 256, (18, 24, 3), np.uint8)
PREPROCESS = "raw,scale=1/255"


@pytest.fixture
def model() -> onnx.ModelProto:
    return small_cnn()


def rows_of(comparison: Comparison, row: str) -> list:
    return [one for (name, _), one in comparison.cells.items() if name == row]


def test_each_class_is_compared_with_the_reference_s_map_of_that_class(model: onnx.ModelProto) -> None:
    given = {"target": [0, 2], "preprocess": PREPROCESS}
    found = occlusion_sizes(model, PHOTO, [3, 5, 3], against="gradient", options={"stride": 3}, **given)
    assert found.rows == ["gradient", "3 pixels", "5 pixels"]
    reference = rows_of(found, "gradient")
    for size in (3, 5):
        alone = compare(model, PHOTO, methods=["occlusion"], options={"size": size, "stride": 3}, **given)
        shown = rows_of(found, f"{size} pixels")
        for one, other, same in zip(shown, reference, rows_of(alone, "occlusion"), strict=True):
            np.testing.assert_array_equal(one.heatmap, same.heatmap)
            assert one.target == other.target
            expected = rank_correlation(one.heatmap, other.heatmap)
            assert one.details == {"rank_correlation": expected}
            assert described(one) == f"rank correlation {expected:.3f}"
    assert described(reference[0]).startswith("0 ")


def test_a_flat_map_agrees_with_nothing(model: onnx.ModelProto) -> None:
    found = occlusion_sizes(
        model,
        np.full((18, 24, 3), 90, np.uint8),
        [5],
        against="gradient",
        options={"fill": "mean"},
        preprocess=PREPROCESS,
    )
    (one,) = rows_of(found, "5 pixels")
    assert one.heatmap.max() == one.heatmap.min() == 0  # the mean covers nothing in a picture of one colour
    assert one.details == {}

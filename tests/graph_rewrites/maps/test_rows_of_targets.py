"""Rows of `target` that are fewer or more than the samples: an error of the runtime, whatever is asked for."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnxplain.graph_rewrites.rewrite import rewrite

from ..networks import explain, images, run, small_cnn

OF_TARGETS = ("score", "cam", "heatmap", "gradient", "input_gradient")
OF_SAMPLES = ("activation", "logits")
METHODS = {"input_gradient": "gradient"}  # others are those of Grad-CAM


def explained(*outputs: str) -> onnx.ModelProto:
    return rewrite(small_cnn(), method=METHODS.get(outputs[0], "grad-cam"), outputs=outputs)


@pytest.mark.parametrize("targets", [1, 2])
@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("output", OF_TARGETS)
def test_no_sample_is_dropped_in_silence(output: str, rows: int, targets: int) -> None:
    """Each output alone, as another might be what fails."""
    with pytest.raises(Exception, match="ONNXRuntimeError"):
        explain(explained(output), images(small_cnn()), np.zeros((rows, targets), np.int64))


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("output", OF_SAMPLES)
def test_what_depends_on_no_target_has_all_samples(output: str, rows: int) -> None:
    feeds = images(small_cnn())
    got = explain(explained(output), feeds, np.zeros((rows, 1), np.int64))[output]
    expected = explain(explained(output), feeds, np.zeros((2, 1), np.int64))[output]
    assert len(expected) == 2
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("rows", [1, 3])
def test_nor_where_the_samples_are_repeated_at_the_inputs(rows: int) -> None:
    """A map at the input, beside a score of its own and the model's outputs."""
    model = rewrite(small_cnn(), method="gradient", outputs=("score", "input_gradient", "heatmap"))
    with pytest.raises(Exception, match="ONNXRuntimeError"):
        explain(model, images(small_cnn()), np.zeros((rows, 2), np.int64))


def test_a_row_of_targets_for_each_sample_gives_each_sample_its_own() -> None:
    feeds = images(small_cnn())
    logits = run(small_cnn(), feeds)["logits"]
    got = explain(explained("score"), feeds, np.array([[3, 0], [1, 4]]))["score"]
    np.testing.assert_allclose(got, [[logits[0, 3], logits[0, 0]], [logits[1, 1], logits[1, 4]]], rtol=1e-6)

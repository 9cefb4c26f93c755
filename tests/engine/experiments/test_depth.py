from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnxplain import Explainer, layers
from onnxplain.engine.evaluation.measures.rank_correlation import rank_correlation
from onnxplain.engine.experiments.depth import peak_memory, sweep
from onnxplain.graph_rewrites.errors import UsageError

from ...graph_rewrites.networks import residual_cnn

PHOTO = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
RAW = {"preprocess": "raw,scale=1/255"}


@pytest.fixture
def model() -> onnx.ModelProto:
    return residual_cnn()


def test_each_layer_s_map_is_that_of_the_layer_explained_alone(model: onnx.ModelProto) -> None:
    found = sweep(model, PHOTO, target=3, **RAW)
    assert [one.layer for one in found.explanations] == [layer.name for layer in layers(model)]
    assert found.sizes == ["8 x 8"] * len(found.explanations)
    last = found.explanations[-1].heatmap
    for one, agreement in zip(found.explanations, found.agreement, strict=True):
        (alone,) = Explainer(model, layers=one.layer, **RAW)(PHOTO, 3)
        np.testing.assert_allclose(one.heatmap, alone.heatmap, atol=1e-6)
        np.testing.assert_equal(agreement, rank_correlation(one.heatmap, last))
    assert found.agreement[-1] == pytest.approx(1)
    assert list(found.cost.seconds) == ["rewriting", "loading", "explaining"]
    assert min(found.cost.seconds.values()) > 0


def test_blocks_methods_and_options_are_chosen(model: onnx.ModelProto) -> None:
    found = sweep(model, PHOTO, layers="blocks", options={"relu": False}, target=1, **RAW)
    (one,) = found.explanations
    (alone,) = Explainer(model, layers="block", options={"relu": False}, **RAW)(PHOTO, 1)
    assert one.layer == "block"
    np.testing.assert_allclose(one.heatmap, alone.heatmap, atol=1e-6)
    assert one.heatmap.min() < 0
    assert {one.method for one in sweep(model, PHOTO, method="layer-cam", **RAW).explanations} == {"layer-cam"}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"method": "gradient"}, "explains the input"),
        ({"method": "occlusion"}, "many times"),
        ({"target": [0, 1]}, "explains one class"),
        ({"layers": ["stem", "blokc"]}, "no layer 'blokc'"),
    ],
)
def test_what_cannot_be_swept_is_refused(model: onnx.ModelProto, given: dict, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        sweep(model, PHOTO, **given, **RAW)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells the peak in /proc")
def test_the_peak_of_memory_is_that_of_the_system() -> None:
    (kilobytes,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert peak_memory() == pytest.approx(int(kilobytes) * 1024, rel=0.1)

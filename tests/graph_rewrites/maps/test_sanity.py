"""Sanity checks for saliency maps (Adebayo et al. 2018): a map must depend on the weights of the model it explains.

The embedded model's weights are shuffled in cascade, from the classifier down, each layer's among themselves. A map's
rank correlation with that of the trained model is then that of two maps of one image, no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnxplain.graph_rewrites.rewrite import rewrite

from ..networks import Array, run

TABBY = 281
MIDDLE = "/blocks.9/Add_output_0"  # [112, 14, 14]
LAYERS = (0, 1, 5, 15, 50)  # how many are shuffled; 50 are all
# 196 positions of a smooth map count as some twenty independent ones: by chance they correlate within 0.45.
SMOOTH = 0.6
# 50,176 pixels correlate by chance within 0.01, but gradients are large at the edges of any network's image: about 0.3.
EDGES = 0.45


def shuffled(model: onnx.ModelProto, names: Sequence[str]) -> onnx.ModelProto:
    rng = np.random.default_rng(0)
    result = onnx.ModelProto()
    result.CopyFrom(model)
    weights = {tensor.name: tensor for tensor in result.graph.initializer}
    for name in names:
        values = numpy_helper.to_array(weights[name])
        weights[name].CopyFrom(numpy_helper.from_array(rng.permutation(values.ravel()).reshape(values.shape), name))
    return result


def rank_correlation(a: Array, b: Array) -> float:
    """Spearman's."""
    ranks = [np.argsort(np.argsort(values.ravel(), kind="stable"), kind="stable") for values in (a, b)]
    return float(np.corrcoef(*ranks)[0, 1])


def cascade(path: Path, image: Array, method: str, output: str, layer: str | None = None) -> list[float]:
    """The rank correlations with the trained model's map, one per number of shuffled layers."""
    explained = rewrite(path, method=method, layers=layer, outputs=[output])
    top_down = [node.input[1] for node in onnx.load(path).graph.node if node.op_type in ("Conv", "Gemm")][::-1]
    assert len(top_down) == LAYERS[-1]
    maps = []
    for count in LAYERS:
        feeds = {"image": image, "target": np.array([[TABBY]])}
        values = run(shuffled(explained, top_down[:count]), feeds, check=False)[output]
        maps.append(np.abs(values).max(axis=2) if output == "input_gradient" else values)
    assert min(np.ptp(values) for values in maps) > 0
    return [rank_correlation(maps[0], values) for values in maps]


@pytest.mark.parametrize("method", ["grad-cam", "hires-cam", "layer-cam", "c-mwp"])
def test_maps_at_a_layer_depend_on_the_weights_above(
    method: str, efficientnet: Path, reference: dict[str, Array]
) -> None:
    trained, *others = cascade(efficientnet, reference["image"], method, "cam", MIDDLE)
    assert trained == pytest.approx(1)
    assert max(others) < SMOOTH, others  # a map turned into its opposite has changed too


def test_the_gradient_depends_on_the_weights_of_every_layer(efficientnet: Path, reference: dict[str, Array]) -> None:
    trained, *others = cascade(efficientnet, reference["image"], "gradient", "input_gradient")
    assert trained == pytest.approx(1)
    assert max(np.abs(others)) < EDGES, others


@pytest.mark.parametrize("method", ["guided-backprop", "deconvnet"])
def test_guided_maps_forget_the_upper_layers_as_published(
    method: str, efficientnet: Path, reference: dict[str, Array]
) -> None:
    """The paper's main finding: they are nearly the same for a shuffled classifier, and only the first layers count."""
    _, classifier, *_, everything = cascade(efficientnet, reference["image"], method, "input_gradient")
    assert classifier > 0.9
    assert abs(everything) < EDGES

"""Quantised models: layers, maps and scores, against the float original."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnxplain.engine import embedded
from onnxplain.engine.gradcheck.certificate import certify
from onnxplain.graph_rewrites.model.model import read
from onnxplain.graph_rewrites.rewrite import layers, rewrite
from onnxplain.graph_rewrites.targets.scores.score import find_logits

from .networks import Array, Net, explain, f32, images, residual_cnn, run, small_cnn
from .quantised_models import FORMS, embedded_views, quantised

EGYPTIAN_CAT = 285
SMALL = [*FORMS, "dynamic"]


def small(
    form: str, folder: Path, build: Callable[[], onnx.ModelProto] = small_cnn
) -> tuple[onnx.ModelProto, dict[str, Array]]:
    """A small network in a quantised form, and inputs for it."""
    model = build()
    return quantised(model, form, [images(model, seed=seed) for seed in range(4)], folder), images(model, seed=1)


@pytest.mark.parametrize("form", SMALL)
def test_gradients_of_a_quantised_model_are_certified_and_its_outputs_kept(form: str, tmp_path: Path) -> None:
    model, _ = small(form, tmp_path, residual_cnn)
    certificate = certify(model)
    assert certificate.passed, certificate.findings
    assert "bit for bit" in certificate.findings[0].detail
    assert not any(how == "missing" for _, _, how in certificate.to_input)


@pytest.mark.parametrize("form", SMALL)
def test_every_layer_of_the_float_model_has_its_quantised_one(form: str, tmp_path: Path) -> None:
    model, feeds = small(form, tmp_path)
    floats = layers(small_cnn())
    found = layers(model)
    assert [layer.shape for layer in found] == [layer.shape for layer in floats]
    assert [layer.is_default for layer in found] == [layer.is_default for layer in floats]
    target = [[1], [3]]
    got = explain(rewrite(model), feeds, target)
    expected = explain(rewrite(small_cnn()), feeds, target)
    assert np.corrcoef(got["heatmap"].ravel(), expected["heatmap"].ravel())[0, 1] > 0.95


@pytest.mark.parametrize("form", ["QOperator, a scale a tensor", "QOperator, a scale a channel"])
def test_a_layer_of_integers_is_explained_as_the_reals_it_stands_for(form: str, tmp_path: Path) -> None:
    model, feeds = small(form, tmp_path)
    default = next(layer for layer in layers(model) if layer.is_default)
    node = next(node for node in model.graph.node if default.name in node.output)
    scale, zero = (t for name in node.input[6:8] for t in model.graph.initializer if t.name == name)
    scale, zero = onnx.numpy_helper.to_array(scale), onnx.numpy_helper.to_array(zero)
    model.graph.output.append(onnx.helper.make_tensor_value_info(default.name, onnx.TensorProto.UINT8, None))
    integers = run(model, feeds, check=False)[default.name]
    del model.graph.output[-1]
    got = explain(rewrite(model, outputs=["activation", "gradient", "cam"]), feeds)
    np.testing.assert_allclose(got["activation"], (integers - f32(zero)) * scale, rtol=1e-6)
    alpha = got["gradient"][:, 0].mean(axis=(2, 3), keepdims=True)
    cam = np.maximum((alpha * got["activation"]).sum(axis=1), 0)
    np.testing.assert_allclose(got["cam"][:, 0], cam, rtol=1e-4, atol=1e-5)


def test_a_score_beyond_the_range_of_the_logits_still_has_a_gradient() -> None:
    net = Net()
    a = net.add("Relu", net.conv(net.input("image", [2, 3, 8, 8]), 3, 4), out="a")
    scale, zero = net.const(0.001), net.const(128, np.uint8)
    q = net.add("QuantizeLinear", net.head(a, 4, 5, out="floats"), scale, zero)
    net.output(net.add("DequantizeLinear", q, scale, zero, out="logits"), [2, 5])
    model = net.model()
    feeds = images(model)
    got = explain(rewrite(model), feeds)
    assert run(model, feeds)["logits"].max() == np.float32(0.127)
    assert np.all(got["score"] > 0.2)
    assert np.all(got["heatmap"].max(axis=(2, 3)) == 1)


def test_a_softmax_between_quantisers_is_looked_through() -> None:
    net = Net()
    a = net.add("Relu", net.conv(net.input("image", [2, 3, 8, 8]), 3, 4), out="a")

    def rounded(x: str, scale: float, out: str = "") -> str:
        parameters = net.const(scale), net.const(128, np.uint8)
        return net.add("DequantizeLinear", net.add("QuantizeLinear", x, *parameters), *parameters, out=out)

    logits = rounded(net.head(a, 4, 5, out="floats"), 0.05)
    net.output(rounded(net.add("Softmax", logits, axis=1), 1 / 128, "probabilities"), [2, 5])
    found = find_logits(read(net.model()))
    assert (found.tensor.name, found.squashed_by) == ("floats", "Softmax")


@pytest.fixture(scope="module")
def views() -> list[Array]:
    return embedded_views()


@pytest.fixture(scope="module")
def float_heatmap(views: list[Array]) -> Array:
    return explain(rewrite(embedded.MODEL), {"image": views[0]}, [[EGYPTIAN_CAT]])["heatmap"]


@pytest.mark.parametrize(
    "form", ["QDQ, a scale a channel", "QDQ, a scale a tensor", "QOperator, a scale a tensor", "dynamic"]
)
def test_the_heatmap_of_the_quantised_embedded_model_is_that_of_the_float_one(
    form: str, views: list[Array], float_heatmap: Array, tmp_path: Path
) -> None:
    model = quantised(onnx.load(embedded.MODEL), form, [{"image": view} for view in views], tmp_path)
    got = explain(rewrite(model), {"image": views[0]}, [[EGYPTIAN_CAT]])["heatmap"]
    assert np.corrcoef(got.ravel(), float_heatmap.ravel())[0, 1] > 0.97

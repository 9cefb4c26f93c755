"""Models that ONNX Runtime's optimiser and its float16 converter wrote, against the originals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnxplain.engine import embedded
from onnxplain.engine.gradcheck.certificate import certify
from onnxplain.graph_rewrites.rewrite import layers, rewrite

from .networks import Net, explain, images, residual_cnn, small_cnn
from .transformers import mixer, swin, vit

MODELS = {"small": small_cnn, "residual": residual_cnn, "vit": vit, "swin": swin, "mixer": mixer}
BASIC, EXTENDED = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC, ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
METHODS = ("grad-cam", "gradient", "guided-backprop")


def optimised(model: onnx.ModelProto, level: ort.GraphOptimizationLevel, folder: Path) -> onnx.ModelProto:
    """The model as ONNX Runtime's optimiser writes it."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = level
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return onnx.load(folder / "optimised.onnx")


@pytest.mark.parametrize("level", [BASIC, EXTENDED], ids=["basic", "extended"])
@pytest.mark.parametrize("name", MODELS)
def test_an_optimised_model_is_explained_as_the_original(
    name: str, level: ort.GraphOptimizationLevel, tmp_path: Path
) -> None:
    model = MODELS[name]()
    rewritten = optimised(model, level, tmp_path)
    if level == EXTENDED:
        assert any(node.domain == "com.microsoft" for node in rewritten.graph.node)
    found, expected = layers(rewritten), layers(model)
    assert [(layer.name, layer.is_default) for layer in found] == [(layer.name, layer.is_default) for layer in expected]
    feeds = images(model)
    for method in METHODS if name in ("small", "residual", "vit") else METHODS[:2]:  # the others have no ReLU
        got, want = (explain(rewrite(each, method=method), feeds) for each in (rewritten, model))
        np.testing.assert_allclose(got["heatmap"], want["heatmap"], rtol=1e-4, atol=1e-5, err_msg=method)
    certificate = certify(rewritten)
    assert certificate.passed, certificate.findings


def test_the_embedded_model_optimised(tmp_path: Path) -> None:
    model = onnx.load(embedded.MODEL)
    rewritten = optimised(model, EXTENDED, tmp_path)
    assert [node.op_type for node in rewritten.graph.node].count("FusedConv") == 33
    feeds = images(model, n=1)
    for method in METHODS:
        got, want = (explain(rewrite(each, method=method), feeds) for each in (rewritten, model))
        np.testing.assert_allclose(got["heatmap"], want["heatmap"], rtol=1e-4, atol=1e-5, err_msg=method)


def test_nodes_may_stand_in_any_order() -> None:
    """As the float16 converter leaves them."""
    model = small_cnn()
    shuffled = onnx.ModelProto()
    shuffled.CopyFrom(model)
    del shuffled.graph.node[:]
    shuffled.graph.node.extend(list(model.graph.node)[::-1])
    feeds = images(model)
    got, want = explain(rewrite(shuffled), feeds), explain(rewrite(model), feeds)
    np.testing.assert_array_equal(got["heatmap"], want["heatmap"])


@pytest.mark.parametrize("kind", ["Identity", "Constant", "Cast", "DequantizeLinear"])
def test_weights_behind_other_nodes(kind: str) -> None:
    """Of the convolution, and of what rules read as values: an exponent, and the bounds of a ReLU6."""
    nets = []
    for plain in (True, False):
        net = Net(seed=8)
        x = net.input("image", ["N", 3, 8, 8])

        def held(values: np.ndarray, net: Net = net, plain: bool = plain) -> str:
            if plain:
                return net.const(values)
            if kind == "Constant":
                return net.add("Constant", value=onnx.numpy_helper.from_array(np.asarray(values, np.float32)))
            if kind == "Cast":
                return net.add("Cast", net.const(values, np.float64), to=onnx.TensorProto.FLOAT)
            if kind == "Identity":
                return net.add("Identity", net.const(values))
            q = net.const(np.asarray(values) * 2 + 3, np.int8)
            return net.add("DequantizeLinear", q, net.const(0.5), net.const(3, np.int8))

        weight = np.round(net.rng.normal(size=(4, 3, 3, 3)) * 2) / 2
        x = net.add("Conv", x, held(weight), pads=[1] * 4)
        x = net.add("Clip", x, held(np.array(0.0)), held(np.array(6.0)), out="a")
        x = net.add("Conv", net.add("Pow", x, held(np.array(2.0))), net.random(4, 4, 3, 3), pads=[1] * 4)
        net.output(net.head(net.add("Relu", x, out="b"), 4, 5), ["N", 5])
        nets.append(net.model())
    feeds = images(nets[0])
    for method in METHODS:
        # Without fusions: ONNX Runtime's abort the process where the bounds of a Clip are dequantised.
        want, got = (explain(rewrite(model, method=method), feeds, [[0], [1]], optimised=False) for model in nets)
        np.testing.assert_allclose(got["heatmap"], want["heatmap"], rtol=1e-4, atol=1e-5)

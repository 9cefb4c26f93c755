"""Explained models run in OpenVINO, as they are, and give ONNX Runtime's outputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from onnxplain.engine.embedded import MODEL
from onnxplain.graph_rewrites.maps.registry import METHODS
from onnxplain.graph_rewrites.model.metadata import read_metadata
from onnxplain.graph_rewrites.rewrite import rewrite
from onnxplain.graph_rewrites.vjp import append_vjp

from ..graph_rewrites.networks import Array, Net, run
from .architectures import ARCHITECTURES
from .explained import CASES, REFUSED, WITHOUT_GRADIENTS, assert_same, explained, network, pictures

pytestmark = pytest.mark.deployment
openvino = pytest.importorskip("openvino", reason="OpenVINO is not installed: pip install '.[runtimes]'")

FEEDFORWARD = [name for name in ARCHITECTURES if name not in WITHOUT_GRADIENTS]
# Of the output's largest magnitude: float32, its sums in another order.
TOLERANCE = 1e-4


def openvino_outputs(model: Any, feeds: dict[str, Array], names: list[str] | None = None) -> dict[str, Array]:
    """All outputs by OpenVINO's CPU plugin, in float32, of a protobuf or of a model that it has read."""
    core = openvino.Core()
    if isinstance(model, onnx.ModelProto):
        names, model = [value.name for value in model.graph.output], core.read_model(model.SerializeToString())
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    results = compiled(feeds)
    return {name: np.array(results[index]) for index, name in enumerate(names or [])}


@pytest.fixture(scope="module")
def photo() -> Array:
    """The embedded photo and its mirror image, as the embedded model takes them: float32 [2, 3, 224, 224]."""
    image = cv2.imread(str(MODEL.parent / "chelsea.png"), cv2.IMREAD_COLOR_RGB)
    assert image is not None
    scaled = (cv2.resize(image, (224, 224)).astype(np.float32) - 127.0) / 128.0
    return np.ascontiguousarray(np.stack([scaled, scaled[:, ::-1]]).transpose(0, 3, 1, 2))


@pytest.mark.parametrize(("architecture", "size", "method"), CASES)
def test_every_method_of_an_architecture(architecture: str, size: str, method: str) -> None:
    model, feeds = explained(architecture, size, method)
    assert_same(openvino_outputs(model, feeds), model, feeds, TOLERANCE)


@pytest.mark.parametrize("method", list(METHODS))
def test_every_method_of_the_embedded_model(method: str, photo: Array) -> None:
    model = rewrite(MODEL, method=method)
    feeds = {"image": photo, "target": np.array([[285, -1], [-2, 281]])}
    assert_same(openvino_outputs(model, feeds), model, feeds, TOLERANCE)


def with_gradients(architecture: str, size: str, of_weights: bool) -> tuple[onnx.ModelProto, dict[str, Array]]:
    """A model with the gradients of its image, and perhaps of its weights, and inputs for it."""
    model = network(architecture, size)
    floats = [tensor for tensor in model.graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT]
    weights = [tensor.name for tensor in floats if len(tensor.dims) in (2, 4)]
    output = model.graph.output[0].name
    feeds = pictures(model, architecture, size)
    feeds[f"{output}_cotangent"] = np.random.default_rng(2).normal(size=(len(feeds["image"]), 5)).astype(np.float32)
    return append_vjp(model, output, ["image", *(weights if of_weights else [])]), feeds


@pytest.mark.parametrize("architecture", FEEDFORWARD)
def test_gradients_of_the_image_and_of_the_weights(architecture: str) -> None:
    for size, of_weights in (("fixed", True), ("open", False)):
        model, feeds = with_gradients(architecture, size, of_weights)
        assert_same(openvino_outputs(model, feeds), model, feeds, TOLERANCE)


@pytest.mark.parametrize("architecture", FEEDFORWARD)
def test_gradients_of_the_weights_of_a_convolution_need_fixed_sizes(architecture: str) -> None:
    """They are convolutions with as many channels as there are samples; OpenVINO wants that number in the file."""
    model, feeds = with_gradients(architecture, "open", of_weights=True)
    with pytest.raises(RuntimeError, match=r"evaluate\(\) is not implemented for op: opset1::Convolution"):
        openvino_outputs(model, feeds)


def test_the_models_own_outputs_are_those_of_the_plain_model(photo: Array) -> None:
    plain = openvino_outputs(onnx.load(MODEL), {"image": photo})
    got = openvino_outputs(rewrite(MODEL), {"image": photo, "target": np.array([[-1], [-1]])})
    for name, value in plain.items():
        np.testing.assert_allclose(got[name], value, rtol=0, atol=1e-6 * np.abs(value).max())


def test_a_model_in_openvinos_own_format_gives_the_same_maps_and_keeps_its_record(tmp_path: Path, photo: Array) -> None:
    explained_model, feeds = rewrite(MODEL), {"image": photo, "target": np.array([[285, -1], [-2, 281]])}
    onnx.save(explained_model, tmp_path / "explained.onnx")
    openvino.save_model(
        openvino.convert_model(tmp_path / "explained.onnx"), tmp_path / "ir.xml", compress_to_fp16=False
    )
    loaded = openvino.Core().read_model(tmp_path / "ir.xml")
    names = [port.get_any_name() for port in loaded.outputs]
    assert_same(openvino_outputs(loaded, feeds, names), explained_model, feeds, TOLERANCE)
    record = loaded.get_rt_info(["framework", "onnxplain"]).astype(str)
    assert json.loads(record) == read_metadata(explained_model)


@pytest.mark.parametrize(("architecture", "size", "method"), REFUSED)
def test_gradients_of_recurrent_layers_are_refused(architecture: str, size: str, method: str) -> None:
    """Their Scan nodes read tensors of the graph around them; when OpenVINO takes that, these are CASES too."""
    model, _ = explained(architecture, size, method)
    with pytest.raises(RuntimeError, match=r"Number of Scan node inputs \(\d+\) is less than required"):
        openvino.Core().read_model(model.SerializeToString())


def test_a_square_weight_that_two_nodes_read_gives_wrong_values() -> None:
    """Why `own_weight` is there; when OpenVINO gives the right ones, it can go."""
    net, shape = Net(), [1, 8, 6, 6]
    weight = net.random(8, 8, 3, 3)
    net.output(net.add("Conv", net.input("x", shape), weight, pads=[1] * 4, out="forward"), shape)
    net.output(net.add("ConvTranspose", net.input("g", shape), weight, pads=[1] * 4, out="backward"), shape)
    feeds = {name: np.random.default_rng(0).normal(size=shape).astype(np.float32) for name in ("x", "g")}
    expected, got = run(net.model(), feeds), openvino_outputs(net.model(), feeds)
    np.testing.assert_allclose(got["forward"], expected["forward"], atol=1e-4)
    assert np.abs(got["backward"] - expected["backward"]).max() > 0.1

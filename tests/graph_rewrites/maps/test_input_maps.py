"""Maps at the input against a replica, in every layout and type of image."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from onnxplain.graph_rewrites.model.metadata import read_metadata
from onnxplain.graph_rewrites.rewrite import rewrite

from ..networks import Array, Net, described, explain, f32, images
from .replica import CLASSES, Replica, close, network, upsampled

TARGET = [[0, 3], [4, 1]]
INPUT_METHODS = ("gradient", "input-x-gradient", "guided-backprop", "deconvnet", "guided-grad-cam")
# The tensors of one image and their gradients under a rule set, to the map at the input.
Formula = Callable[[dict[str, Array], Callable[[str], dict[str, Array]]], Array]


def guided_grad_cam(t: dict[str, Array], g: Callable[[str], dict[str, Array]]) -> Array:
    """Guided backpropagation times Grad-CAM, whose gradient is the ordinary one."""
    alpha = g("standard")["relu1"].mean(axis=(1, 2))
    return np.asarray(g("guided")["image"] * upsampled(np.maximum(np.tensordot(alpha, t["relu1"], 1), 0)))


FORMULAS: dict[str, Formula] = {
    "gradient": lambda t, g: g("standard")["image"],
    "input-x-gradient": lambda t, g: t["image"] * g("standard")["image"],
    "guided-backprop": lambda t, g: g("guided")["image"],
    "deconvnet": lambda t, g: g("deconvnet")["image"],
    "guided-grad-cam": guided_grad_cam,
}


def magnitude(attribution: Array) -> Array:
    """The largest magnitude over channels, over its maximum."""
    largest = np.abs(attribution).max(axis=0)
    return np.asarray(largest / (largest.max() or 1))


@pytest.mark.parametrize("name", FORMULAS)
def test_a_map_equals_its_replica(name: str) -> None:
    model = network()
    replica, feeds = Replica(model), images(model)
    got = explain(rewrite(model, method=name, layers="relu1"), feeds, TARGET)
    for n, image in enumerate(feeds["image"]):
        t = replica.forward(image)
        for k, target in enumerate(TARGET[n]):
            expected = FORMULAS[name](t, lambda rules, t=t, target=target: replica.backward(t, target, rules))
            close(got["input_gradient"][n, k], expected)
            close(got["heatmap"][n, k], magnitude(expected))
            assert expected.min() < 0 < expected.max()


def test_the_methods_of_rectified_gradients_differ() -> None:
    model = network()
    maps = [explain(rewrite(model, method=m), images(model), TARGET)["input_gradient"] for m in INPUT_METHODS]
    for i, first in enumerate(maps):
        for second in maps[:i]:
            assert np.abs(first - second).max() > 1e-3


def test_signed_gradients_by_hand() -> None:
    """y = -relu(x) + 2 relu(-x) + 3 relu(x - 1) on x = (-1, 0.5, 2, 2): each ReLU gets the gradient (-1, 2, 3).

    Ordinary: -2 below 0, -1 on (0, 1), -1 + 3 above 1. Guided drops the -1: -2, 0, 3. Deconvnet drops it too, and
    does not look at x: 2 * -1 + 3 = 1 everywhere.
    """
    net = Net()
    x = net.input("image", ["N", 1, 2, 2])
    x = net.add("Conv", x, f32_const(net, [1, -1, 1], (3, 1, 1, 1)), net.const([0.0, 0.0, -1.0]), out="layer")
    x = net.add("Conv", net.add("Relu", x), f32_const(net, [-1, 2, 3], (1, 3, 1, 1)))
    net.output(net.add("ReduceSum", net.add("Flatten", x), net.const([1], np.int64), out="y"), ["N", 1])
    feeds = {"image": f32([[[[-1, 0.5], [2, 2]]]])}
    for method, expected in (
        ("gradient", [[-2, -1], [2, 2]]),
        ("input-x-gradient", [[2, -0.5], [4, 4]]),
        ("guided-backprop", [[-2, 0], [3, 3]]),
        ("deconvnet", [[1, 1], [1, 1]]),
    ):
        got = explain(rewrite(net.model(), method=method), feeds, [[0]])
        np.testing.assert_array_equal(got["input_gradient"][0, 0, 0], expected)
        np.testing.assert_allclose(got["heatmap"][0, 0], np.abs(expected) / np.abs(expected).max(), rtol=1e-6)


def f32_const(net: Net, values: list[float], shape: tuple[int, ...]) -> str:
    return net.const(np.reshape(values, shape))


# --- layouts and types ---


def twin(last: bool, batch: str | int = "N") -> onnx.ModelProto:
    """The same network with channels first, or last and transposes around each convolution."""
    net = Net(seed=6)
    x = net.input("image", [batch, 8, 6, 3] if last else [batch, 3, 8, 6])
    for c_in, c_out, name in ((3, 4, "first"), (4, 6, "layer")):
        x = net.add("Transpose", x, perm=[0, 3, 1, 2]) if last else x
        x = net.conv(x, c_in, c_out)
        x = net.add("Transpose", x, perm=[0, 2, 3, 1]) if last else x
        x = net.add("Relu", x, out=name)
    x = net.add("ReduceMean", x, axes=[1, 2] if last else [2, 3], keepdims=0)
    net.output(net.add("Gemm", x, net.random(CLASSES, 6), transB=1, out="logits"), [batch, CLASSES])
    return net.model()


@pytest.mark.parametrize("batch", ["N", 2])
@pytest.mark.parametrize("method", [*INPUT_METHODS, "full-grad", "grad-cam"])
def test_with_channels_last_the_gradient_is_laid_out_as_the_input_is(method: str, batch: str | int) -> None:
    image = np.random.default_rng(0).normal(size=(2, 3, 8, 6)).astype(np.float32)
    wanted = ("score", "input_gradient", "heatmap")
    target = TARGET if batch == "N" else [[0], [4]]
    expected = explain(rewrite(twin(False, batch), method=method, outputs=wanted), {"image": image}, target)
    explained = rewrite(twin(True, batch), method=method, outputs=wanted)
    assert (read_metadata(explained) or {})["input"] == {"name": "image", "layout": "NHWC"}
    assert described(list(explained.graph.output))["input_gradient"][1][2:] == [8, 6, 3]
    assert described(list(explained.graph.output))["heatmap"][1][2:] == [8, 6]
    got = explain(explained, {"image": np.ascontiguousarray(image.transpose(0, 2, 3, 1))}, target)
    close(got["input_gradient"], expected["input_gradient"].transpose(0, 1, 3, 4, 2))
    close(got["heatmap"], expected["heatmap"])
    close(got["score"], expected["score"])


@pytest.mark.parametrize("last", [False, True], ids=["NCHW", "NHWC"])
@pytest.mark.parametrize("method", [*INPUT_METHODS, "full-grad"])
def test_bytes_are_explained_after_their_cast(method: str, last: bool) -> None:
    """The same float network behind a cast has the same maps, and an `input_gradient` of floats."""
    image = np.random.default_rng(0).integers(0, 9, (2, 3, 8, 6)).astype(np.uint8)
    model = twin(last)
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    for node in model.graph.node:
        node.input[:] = ["floats" if name == "image" else name for name in node.input]
    model.graph.node.insert(0, onnx.helper.make_node("Cast", ["image"], ["floats"], to=TensorProto.FLOAT))
    wanted = ("input_gradient", "heatmap")
    expected = explain(rewrite(twin(False), method=method, outputs=wanted), {"image": image.astype(np.float32)}, TARGET)
    if last:
        image = np.ascontiguousarray(image.transpose(0, 2, 3, 1))
        expected["input_gradient"] = expected["input_gradient"].transpose(0, 1, 3, 4, 2)
    got = explain(rewrite(model, method=method, outputs=wanted), {"image": image}, TARGET)
    assert got["input_gradient"].dtype == np.float32
    for name in wanted:
        close(got[name], expected[name])

"""FullGrad against a replica, and which biases it takes: those that make up the score."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnxplain.graph_rewrites.rewrite import rewrite
from onnxplain.graph_rewrites.vjp import append_vjp

from ..networks import Array, Net, explain, f32, images, run
from .replica import Replica, close, column, network, upsampled

TARGET = [[0, 3], [4, 1]]
# Where the network's three biases are added, and their values, [C, 1, 1].
BIASES: dict[str, Callable[[Replica], Array]] = {
    "conv1": lambda r: column(r.w["b1"]),
    "norm": lambda r: column(r.w["shift"] - r.w["mean"] * r.slope),
    "shifted": lambda r: r.w["b2"],
}


def psi(maps: Array, size: tuple[int, int] = (8, 8)) -> Array:
    """Magnitudes over [C, h, w] brought to [0, 1], summed over channels, at the input's size."""
    magnitude = np.abs(maps)
    raised = magnitude - magnitude.min()
    summed = (raised / (raised.max() or 1)).sum(axis=0)
    return np.asarray(cv2.resize(summed, size[::-1], interpolation=cv2.INTER_LINEAR))


def test_the_map_equals_its_replica() -> None:
    model = network()
    replica, feeds = Replica(model), images(model)
    got = explain(rewrite(model, method="full-grad"), feeds, TARGET)
    for n, image in enumerate(feeds["image"]):
        t = replica.forward(image)
        for k, target in enumerate(TARGET[n]):
            g = replica.backward(t, target)
            parts = [t["image"] * g["image"], *(g[name] * bias(replica) for name, bias in BIASES.items())]
            expected = np.sum([psi(part) for part in parts], axis=0)
            close(got["cam"][n, k], expected)
            close(got["heatmap"][n, k], upsampled(expected))
            close(got["input_gradient"][n, k], g["image"])


def test_the_biases_taken_complete_the_score() -> None:
    """On ReLU networks y = x dy/dx + sum b dy/dz (Srinivas and Fleuret 2019), the linear layer's bias the last b."""
    model = network()
    replica, feeds = Replica(model), images(model)
    names = ["image", *BIASES]
    cotangent = f32(np.eye(5)[[2, 4]])
    grads = run(append_vjp(model, "logits", names), feeds | {"logits_cotangent": cotangent})
    total = (feeds["image"] * grads["image_grad"]).sum(axis=(1, 2, 3)) + replica.w["b3"][[2, 4]]
    for name, bias in BIASES.items():
        total += (grads[f"{name}_grad"] * bias(replica)).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(total, run(model, feeds)["logits"][[0, 1], [2, 4]], rtol=1e-4)


def by_hand(build: Callable[[Net, str], str]) -> tuple[onnx.ModelProto, dict[str, Array]]:
    """An image [[1, 3], [0, 2]], then what `build` makes of it, summed up."""
    net = Net()
    x = build(net, net.input("image", ["N", 1, 2, 2]))
    net.output(net.add("ReduceSum", net.add("Flatten", x), net.const([1], np.int64), out="logits"), ["N", 1])
    return net.model(), {"image": f32([[[[1, 3], [0, 2]]]])}


WEIGHT = [[[[2.0]]], [[[-1.0]]]]
IMAGE_PART = np.array([[1, 3], [0, 2]]) / 3  # |x dy/dx| = |x| (2 - 1), from 0 to 3


def bias_map(net: Net, x: str) -> str:
    """Its two channels: 0 to 3 row by row, and 6 everywhere."""
    return net.add("Add", net.add("Conv", x, net.const(WEIGHT)), net.const([[[[0, 1], [2, 3]], [[6, 6], [6, 6]]]]))


@pytest.mark.parametrize(
    ("build", "bias"),
    [
        # |b dy/dz| = 4 and 1 over the map: brought to [0, 1], 1 and 0.
        (lambda net, x: net.add("Conv", x, net.const(WEIGHT), net.const([4.0, -1.0])), np.ones((2, 2))),
        # (0 to 3, and 6) / 6.
        (bias_map, np.array([[0, 1], [2, 3]]) / 6 + 1),
        (lambda net, x: net.add("Conv", x, net.const(WEIGHT)), np.zeros((2, 2))),
        # What is added to a bias alone, or computed, is none: 2x - x = x, twice.
        (lambda net, x: net.add("Add", net.add("Neg", x), net.add("Mul", x, net.const(2.0))), np.zeros((2, 2))),
    ],
    ids=["convolution", "constant", "none", "computed"],
)
def test_the_parts_by_hand(build: Callable[[Net, str], str], bias: Array) -> None:
    model, feeds = by_hand(build)
    got = explain(rewrite(model, method="full-grad"), feeds, [[0]])
    np.testing.assert_allclose(got["cam"][0, 0], IMAGE_PART + bias, rtol=1e-6)


def test_batch_normalisation_adds_what_is_left_at_zero() -> None:
    """b = shift - mean scale / sqrt(variance + epsilon): 5 - 2 * 3 / 2 = 2, and 1 - 0 = 1: in [0, 1], 1 and 0."""

    def build(net: Net, x: str) -> str:
        x = net.add("Conv", x, net.const(WEIGHT))
        parameters = [net.const(values) for values in ([3.0, 1.0], [5.0, 1.0], [2.0, 0.0], [3.0, 0.0])]
        return net.add("BatchNormalization", x, *parameters, epsilon=1.0)

    model, feeds = by_hand(build)
    # dy/dx = 2 * 3 / 2 - 1 / 1 = 2.
    got = explain(rewrite(model, method="full-grad"), feeds, [[0]])
    np.testing.assert_allclose(got["cam"][0, 0], IMAGE_PART + 1, rtol=1e-5)
    at_zero = run(model, {"image": np.zeros((1, 1, 2, 2), np.float32)})["logits"]
    np.testing.assert_allclose(at_zero, [[4 * (2 + 1)]], rtol=1e-6)


def test_weights_are_read_from_the_file_and_not_copied_into_it() -> None:
    model = network()
    explained = rewrite(model, method="full-grad")
    kept = {t.name: numpy_helper.to_array(t) for t in explained.graph.initializer}
    for tensor in model.graph.initializer:
        np.testing.assert_array_equal(kept.pop(tensor.name), numpy_helper.to_array(tensor))
    assert max(value.size for value in kept.values()) <= 8

"""Means over the pixels that a class is predicted at, in whatever form the maps leave the model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnxplain.engine.explainer import Explainer
from onnxplain.graph_rewrites.errors import OnnxplainError
from onnxplain.graph_rewrites.rewrite import rewrite

from ...messages import assert_one_line
from ...networks import Array, Net, f32, run

FEEDS = {"image": f32(np.random.default_rng(5).normal(size=(2, 3, 16, 24)))}


def model(maps: int, tail: Callable[[Net, str], str], shape: list[Any]) -> onnx.ModelProto:
    """`maps` logits [N, maps, 8, 12] with a tail, the output `seg`."""
    net = Net(seed=6)
    x = net.add("Relu", net.conv(net.input("image", ["N", 3, 16, 24]), 3, 6, strides=[2, 2]), out="layer")
    x = net.add("Conv", x, net.const(net.rng.normal(size=(maps, 6, 1, 1))))
    logits = net.add("InstanceNormalization", x, net.const([2] * maps), net.const([0.3] * maps))  # of either sign
    net.output(net.add("Identity", tail(net, logits), out="seg"), shape)
    return net.model()


def ints(net: Net, *values: Any) -> list[str]:
    return [net.const(value, np.int64) for value in values]


BINARY: dict[str, tuple[Callable[[Net, str], str], list[Any], float]] = {
    "channels last": (lambda net, x: net.add("Transpose", x, perm=[0, 2, 3, 1]), ["N", 8, 12, 1], 0.5),
    "squeezed": (lambda net, x: net.add("Squeeze", x, *ints(net, [1])), ["N", 8, 12], 0.5),
    "resized": (
        lambda net, x: net.add("Resize", x, "", net.const([1, 1, 2, 2]), mode="linear"),
        ["N", 1, 16, 24],
        0.5,
    ),
    "clipped": (lambda net, x: net.add("Clip", x, net.const(0), net.const(1)), ["N", 1, 8, 12], 0.5),
    "in percent": (lambda net, x: net.add("Mul", x, net.const(100)), ["N", 1, 8, 12], 50),
    "background": (lambda net, x: net.add("Sub", net.const(1), x), ["N", 1, 8, 12], 0.5),
    "scaled and shifted": (
        lambda net, x: net.add("Add", net.add("Div", x, net.const(4)), net.const(3)),
        ["N", 1, 8, 12],
        3.125,
    ),
}


def mean_above(values: Array, threshold: float) -> Array:
    flat = values.reshape(2, -1).astype(np.float64)
    chosen = flat > threshold
    assert 0.05 < chosen.mean() < 0.95
    return np.asarray((flat * chosen).sum(axis=1) / chosen.sum(axis=1))


@pytest.mark.parametrize("name", BINARY)
def test_a_mask_behind_a_sigmoid_is_predicted_above_one_half(name: str) -> None:
    tail, shape, threshold = BINARY[name]
    made = model(1, lambda net, x: tail(net, net.add("Sigmoid", x)), shape)
    expected = mean_above(run(made, FEEDS)["seg"], threshold)
    found = Explainer(made, score="predicted(seg)", layers="layer").run(FEEDS, 0)["score"][:, 0]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_a_mask_of_logits_is_predicted_above_zero() -> None:
    made = model(1, lambda net, x: net.add("Transpose", x, perm=[0, 2, 3, 1]), ["N", 8, 12, 1])
    expected = mean_above(run(made, FEEDS)["seg"], 0)
    found = Explainer(made, score="predicted(seg)", layers="layer").run(FEEDS, 0)["score"][:, 0]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def foreground(net: Net, x: str) -> str:
    return net.add("Slice", net.add("Softmax", x, axis=1), *ints(net, [1], [2], [1]))


def test_one_class_of_two_is_predicted_above_one_half() -> None:
    made = model(2, foreground, ["N", 1, 8, 12])
    expected = mean_above(run(made, FEEDS)["seg"], 0.5)
    found = Explainer(made, score="predicted(seg)", layers="layer").run(FEEDS, 0)["score"][:, 0]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_one_class_of_three_needs_the_others() -> None:
    with pytest.raises(OnnxplainError) as error:
        rewrite(model(3, foreground, ["N", 1, 8, 12]), score="predicted(seg)")
    assert_one_line(error, "one class of 3")


def flat(net: Net, x: str) -> str:
    return net.add("Transpose", net.add("Reshape", x, *ints(net, [0, 3, 96])), perm=[0, 2, 1])


def test_classes_behind_rows_and_columns_in_one_axis_are_found() -> None:
    made = model(3, flat, ["N", 96, 3])
    maps = run(made, FEEDS)["seg"].astype(np.float64)
    chosen = maps == maps.max(axis=2, keepdims=True)
    expected = (maps * chosen).sum(axis=1) / np.maximum(chosen.sum(axis=1), 1)
    found = Explainer(made, score="predicted(seg)", layers="layer").run(FEEDS, [0, 1, 2])["score"]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_an_axis_of_classes_that_the_graph_does_not_tell_is_refused() -> None:
    def unknown(net: Net, x: str) -> str:
        return net.add("Compress", x, net.const(np.ones(8), bool), axis=2)

    with pytest.raises(OnnxplainError) as error:
        rewrite(model(3, unknown, ["N", 3, 8, 12]), score="predicted(seg)")
    assert_one_line(error, "does not tell which axis", "[")

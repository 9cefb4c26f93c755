"""Images that touch each other have no scores of their own: refused by the operator that puts them together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnxplain.engine.explainer import Explainer
from onnxplain.graph_rewrites.errors import OnnxplainError
from onnxplain.graph_rewrites.rewrite import rewrite

from ..messages import assert_one_line
from ..networks import Net, explain, f32


def ints(net: Net, *values: Any) -> list[str]:
    return [net.const(value, np.int64) for value in values]


def over_first(op: str, **attributes: Any) -> Callable[[Net, str], str]:
    return lambda net, x: net.add(op, x, **attributes)


def rows_turned(net: Net, x: str) -> str:
    return net.add("Transpose", x, perm=[1, 0])


def recurrent(net: Net, x: str) -> str:
    """An LSTM that takes the images for steps."""
    read, recur = net.const(net.rng.normal(size=(1, 24, 6))), net.const(net.rng.normal(size=(1, 24, 6)))
    y = net.add("LSTM", net.add("Unsqueeze", x, *ints(net, [1])), read, recur, hidden_size=6)
    return net.add("Squeeze", y, *ints(net, [1, 2]))


def first_of_all(net: Net, x: str) -> str:
    return net.add("Sub", x, net.add("Slice", x, *ints(net, [0], [1], [0])))


def next_one(net: Net, x: str) -> str:
    parts = [net.add("Slice", x, *ints(net, [1], [2**62], [0])), net.add("Slice", x, *ints(net, [0], [1], [0]))]
    return net.add("Mul", x, net.add("Concat", *parts, axis=0))


def backwards(net: Net, x: str) -> str:
    return net.add("Add", x, net.add("Slice", x, *ints(net, [-1], [-(2**62)], [0], [-1])))


def likeness(net: Net, x: str) -> str:
    table = net.add("MatMul", x, rows_turned(net, x))
    return net.add("MatMul", table, x)


def distances(net: Net, x: str) -> str:
    one, other = (net.add("Unsqueeze", x, *ints(net, [axis])) for axis in (0, 1))
    return net.add("ReduceSum", net.add("Abs", net.add("Sub", one, other)), *ints(net, [0]), keepdims=0)


def sorted_rows(net: Net, x: str) -> str:
    count = net.add("Slice", net.add("Shape", x), *ints(net, [0], [1]))
    net.add("TopK", x, count, axis=0, out="sorted")
    net.nodes[-1].output.append("order")
    return "sorted"


TOUCHING: dict[str, tuple[Callable[[Net, str], str], str]] = {
    "mean": (lambda net, x: net.add("Sub", x, net.add("ReduceMean", x, axes=[0])), "ReduceMean"),
    "softmax": (over_first("Softmax", axis=0), "Softmax"),
    "norm": (over_first("LpNormalization", axis=0), "LpNormalization"),
    "running sum": (lambda net, x: net.add("CumSum", x, net.const(0, np.int64)), "CumSum"),
    "mean and variance": (
        lambda net, x: net.add(
            "Flatten", net.add("MeanVarianceNormalization", net.add("Unsqueeze", x, *ints(net, [2, 3])))
        ),
        "MeanVarianceNormalization",
    ),
    "layer norm over rows": (
        lambda net, x: rows_turned(
            net, net.add("LayerNormalization", rows_turned(net, x), net.const(np.ones(1)), axis=-1)
        ),
        "LayerNormalization",
    ),
    "recurrent": (recurrent, "LSTM"),
    "the first": (first_of_all, "Slice"),
    "the next": (next_one, "Slice"),
    "backwards": (backwards, "Slice"),
    "likeness": (likeness, "MatMul"),
    "distances": (distances, "ReduceSum"),
    "sorted": (sorted_rows, "TopK"),
}


def model(touch: Callable[[Net, str], str], batch: int | str = "N", final: bool = False) -> onnx.ModelProto:
    net = Net(seed=8)
    x = net.add("Relu", net.conv(net.input("image", [batch, 3, 8, 8]), 3, 6), out="layer")
    x = net.add("ReduceMean", x, axes=[2, 3], keepdims=0)
    if not final:
        x = touch(net, x)
    x = net.add("MatMul", x, net.random(6, 5))
    net.output(net.add("Identity", touch(net, x) if final else x, out="out"), [batch, 5])
    return net.model()


@pytest.mark.parametrize("name", TOUCHING)
@pytest.mark.parametrize("batch", ["N", 3])
def test_images_that_touch_each_other_are_refused(name: str, batch: int | str) -> None:
    touch, operator = TOUCHING[name]
    for method in ("grad-cam", "gradient", "occlusion"):
        with pytest.raises(OnnxplainError) as error:
            Explainer(model(touch, batch), method=method)
        assert_one_line(error, operator)


# Less the variance of a single value, which is 0.
@pytest.mark.parametrize("name", sorted(TOUCHING.keys() - {"mean and variance"}))
def test_one_image_touches_none(name: str) -> None:
    feeds = {"image": f32(np.random.default_rng(2).normal(size=(1, 3, 8, 8)))}
    explained = rewrite(model(TOUCHING[name][0], 1), layers="layer", outputs=["score"])
    expected = explain(explained, feeds, [[0, 1, 2, 3, 4]])["score"]
    np.testing.assert_array_equal(explain(explained, feeds, [[3]])["score"], expected[:, 3:4])


def test_a_softmax_over_images_is_not_looked_through() -> None:
    """Its input has rows of their own, but not the shares that the model gives."""
    with pytest.raises(OnnxplainError) as error:
        rewrite(model(over_first("Softmax", axis=0), final=True))
    assert_one_line(error, "Softmax")


@pytest.mark.parametrize("axis", [1, -1])
def test_the_same_along_classes_or_channels_touches_no_image(axis: int) -> None:
    def several(net: Net, x: str) -> str:
        x = net.add("Add", net.add("Softmax", x, axis=axis), net.add("LpNormalization", x, axis=axis))
        x = net.add("CumSum", net.add("Sub", x, net.add("ReduceMean", x, axes=[axis])), net.const(axis, np.int64))
        net.add("TopK", x, net.const([6], np.int64), axis=axis, out="sorted")
        net.nodes[-1].output.append("order")
        return net.add("Add", "sorted", net.add("Slice", x, *ints(net, [0], [1], [axis])))

    made = model(several)
    feeds = {"image": f32(np.random.default_rng(2).normal(size=(3, 3, 8, 8)))}
    explained = rewrite(made, layers="layer")
    together = explain(explained, feeds, [[1, 3]] * 3)
    for row in range(3):
        alone = explain(explained, {"image": feeds["image"][row : row + 1]}, [[3]])
        np.testing.assert_allclose(together["cam"][row, 1], alone["cam"][0, 0], rtol=1e-4, atol=1e-6)

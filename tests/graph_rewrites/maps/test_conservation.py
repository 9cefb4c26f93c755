"""Relevance is conserved: what excitation backprop puts on a layer sums to 1, and its contrast between classes to 0."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx
import pytest
from onnxplain.graph_rewrites.rewrite import rewrite

from ..networks import Array, Net, explain

CHANNELS, SIDE = 4, 8
Middle = Callable[[Net, str], str]


def conv_of(**attrs: object) -> Middle:
    """A convolution of 4 to 6 channels, of whose weights each output has many positive ones."""

    def build(net: Net, x: str) -> str:
        group = int(str(attrs.get("group", 1)))
        weight, bias = net.random(6, CHANNELS // group, 3, 3), net.const(np.full(6, 0.5))
        return net.add("Conv", x, weight, bias, **attrs)

    return build


def normalised(scales: list[float]) -> Middle:
    """A convolution and a batch normalisation of the given scales, as they come."""

    def build(net: Net, x: str) -> str:
        x = net.add("Conv", x, net.random(4, CHANNELS, 3, 3))
        constants = [net.const(values) for values in (scales, [3.0] * 4, [0.1] * 4, [0.5] * 4)]
        return net.add("BatchNormalization", x, *constants)

    return build


def dense(operator: str) -> Middle:
    def build(net: Net, x: str) -> str:
        x = net.add("Flatten", net.add("MaxPool", x, kernel_shape=[4, 4], strides=[4, 4]))
        if operator == "Gemm":
            x = net.add("Gemm", x, net.random(16, 16), net.random(16), transB=1, alpha=2.0)
        else:
            x = net.add("MatMul", x, net.random(16, 16))
        return net.add("Reshape", net.add("Relu", x), net.const([-1, 4, 2, 2], np.int64))

    return build


def transposed(net: Net, x: str) -> str:
    """Every output sees at least the four channels of one position, two of them by positive weights."""
    weights = np.abs(net.rng.normal(size=(CHANNELS, 5, 3, 3))) * np.array([1, -1, 1, -1])[:, None, None, None]
    return net.add("ConvTranspose", x, net.const(weights), strides=[2, 2])


def integers(net: Net, *values: list[int]) -> list[str]:
    return [net.const(value, np.int64) for value in values]


def tokens(net: Net, x: str) -> str:
    last = net.add("Transpose", x, perm=[0, 2, 3, 1])
    weights = net.const(np.abs(net.rng.normal(size=(CHANNELS, 6))) * np.array([[1], [-1], [1], [-1]]))
    return net.add("Transpose", net.add("MatMul", last, weights), perm=[0, 3, 1, 2])


def moved(net: Net, x: str) -> str:
    x = net.add("Dropout", net.add("SpaceToDepth", x, blocksize=2))
    return net.add("DepthToSpace", x, blocksize=2)


def residual(net: Net, x: str) -> str:
    return net.add("Add", net.conv(net.add("Relu", net.conv(x, CHANNELS, CHANNELS)), CHANNELS, CHANNELS), x)


def squeeze(net: Net, x: str) -> str:
    """Squeeze-and-excitation: the gate in [0, 1] takes nothing."""
    return net.add("Mul", x, net.add("Sigmoid", net.conv(net.add("GlobalAveragePool", x), CHANNELS, CHANNELS, 1)))


def halves(net: Net, x: str) -> str:
    net.nodes.append(onnx.helper.make_node("Split", [x], ["half_a", "half_b"], axis=1))
    return net.add("Concat", net.conv("half_a", 2, 2), "half_b", axis=1)


def two_sided(net: Net, x: str) -> str:
    """Units of either sign, each made by something of its sign."""
    x = net.add("Tanh", net.add("Conv", x, net.random(CHANNELS, CHANNELS, 3, 3), pads=[1] * 4))
    x = net.add("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])
    return net.add("Conv", x, net.random(6, CHANNELS, 3, 3), pads=[1] * 4)


def pool(operator: str, **attrs: object) -> Middle:
    return lambda net, x: net.add(operator, x, **attrs)


OVERLAPPING = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}
# How many channels there are after it, and what comes between.
MIDDLES: dict[str, tuple[int, Middle]] = {
    "Conv": (6, conv_of(pads=[1] * 4)),
    "Conv, strided": (6, conv_of(strides=[2, 2])),
    "Conv, grouped and dilated": (6, conv_of(group=2, dilations=[2, 2], pads=[2] * 4)),
    "ConvTranspose": (5, transposed),
    "Conv, Tanh, AveragePool, Conv": (6, two_sided),
    "Conv, BatchNormalization": (4, normalised([1.0, 0.5, 2.0, 1.0])),
    "Conv, BatchNormalization of negative scale": (4, normalised([-1.0, 0.5, -2.0, 1.0])),
    "Gemm": (4, dense("Gemm")),
    "MatMul": (4, dense("MatMul")),
    "MatMul of channels last": (6, tokens),
    "MaxPool": (4, pool("MaxPool", **OVERLAPPING)),
    "AveragePool": (4, pool("AveragePool", **OVERLAPPING)),
    "AveragePool that counts its padding": (4, pool("AveragePool", **OVERLAPPING, count_include_pad=1)),
    "AveragePool in ceil mode": (4, pool("AveragePool", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)),
    "residual Add": (4, residual),
    "Add of a constant": (4, lambda net, x: net.add("Add", net.random(CHANNELS, 1, 1), x)),
    "Add of a vector per channel": (4, lambda net, x: net.add("Add", x, net.add("GlobalAveragePool", x))),
    "Sum": (4, lambda net, x: net.add("Sum", x, net.conv(x, 4, 4), net.conv(x, 4, 4))),
    "Mean": (4, lambda net, x: net.add("Mean", x, net.conv(x, 4, 4))),
    "Concat": (6, lambda net, x: net.add("Concat", net.conv(x, 4, 2), x, axis=1)),
    "Split, Concat": (4, halves),
    "gate": (4, squeeze),
    "Mul, Div, Sub": (
        4,
        lambda net, x: net.add("Sub", net.add("Div", net.add("Mul", net.const(2.0), x), net.const(3.0)), net.const(-1)),
    ),
    "Clip, LeakyRelu, HardSwish": (
        4,
        lambda net, x: net.add("HardSwish", net.add("LeakyRelu", net.add("Clip", x, net.const(0.0), net.const(6.0)))),
    ),
    "Pad, Conv": (6, lambda net, x: conv_of()(net, net.add("Pad", x, *integers(net, [0, 0, 1, 1, 0, 0, 1, 1])))),
    "SpaceToDepth, Dropout, DepthToSpace": (4, moved),
}


def reduction(operator: str) -> Middle:
    """Over the spatial axes, which became an input at opset 18, of ReduceSum at 13."""

    def build(net: Net, x: str) -> str:
        if operator == "ReduceSum" or net.opset >= 18:
            return net.add(operator, x, *integers(net, [2, 3]), keepdims=0)
        return net.add(operator, x, axes=[2, 3], keepdims=0)

    return build


HEADS: dict[str, Middle] = {
    "GlobalAveragePool": lambda net, x: net.add("Flatten", net.add("GlobalAveragePool", x)),
    "GlobalMaxPool": lambda net, x: net.add("Flatten", net.add("GlobalMaxPool", x)),
    **{operator: reduction(operator) for operator in ("ReduceMean", "ReduceSum", "ReduceMax")},
}


def positive(net: Net, x: str, out: str) -> str:
    """ReLU, and a bias that leaves no unit at zero: so each has something to share out below it."""
    return net.add("Add", net.add("Relu", x), net.const(0.1), out=out)


def network(middle: str, head: str = "GlobalAveragePool", opset: int = 17) -> onnx.ModelProto:
    """`before`, the middle, `after`, and the scores of 2 classes, with weights of either sign from each channel."""
    channels, build = MIDDLES[middle]
    net = Net(opset, seed=2)
    x = positive(net, net.conv(net.input("image", ["N", 3, SIDE, SIDE]), 3, CHANNELS), "before")
    x = positive(net, build(net, x), "after")
    weights = np.abs(net.rng.normal(size=channels)) + 0.1
    weights[1::2] *= -1
    x = net.add("Gemm", HEADS[head](net, x), net.const([weights, -weights]), net.random(2), transB=1, out="logits")
    net.output(x, ["N", 2])
    return net.model()


def totals(model: onnx.ModelProto, method: str, layers: Sequence[str] = ("before", "after")) -> dict[str, Array]:
    """The relevance on each layer, [N, K]."""
    feeds = {"image": np.random.default_rng(5).normal(size=(2, 3, SIDE, SIDE)).astype(np.float32)}
    # Behind a dense layer no place is the input's.
    explained = rewrite(model, method=method, layers=layers, outputs=["gradient"], placement="resize")
    got = explain(explained, feeds, [[0, 1], [1, 0]])
    return {layer: got[f"gradient@{layer}"].sum(axis=(2, 3, 4), dtype=np.float64) for layer in layers}


@pytest.mark.parametrize("middle", MIDDLES)
def test_relevance_sums_to_1_at_every_layer_and_its_contrast_to_0(middle: str) -> None:
    model = network(middle)
    for layer, total in totals(model, "mwp").items():
        np.testing.assert_allclose(total, np.ones((2, 2)), rtol=1e-5, err_msg=layer)
    for layer, total in totals(model, "c-mwp").items():
        np.testing.assert_allclose(total, np.zeros((2, 2)), atol=1e-5, err_msg=layer)


@pytest.mark.parametrize("opset", [17, 21])
@pytest.mark.parametrize("head", HEADS)
def test_relevance_is_conserved_over_global_pooling(head: str, opset: int) -> None:
    for layer, total in totals(network("Conv", head, opset), "mwp").items():
        np.testing.assert_allclose(total, np.ones((2, 2)), rtol=1e-5, err_msg=layer)


def test_a_block_and_its_skip_share_what_there_is() -> None:
    """R of the block's input is what came by the branch and what came by the skip: 1 in all."""
    net = Net(seed=2)
    x = positive(net, net.conv(net.input("image", ["N", 3, SIDE, SIDE]), 3, CHANNELS), "stem")
    branch, skip = net.add("Relu", net.conv(x, CHANNELS, CHANNELS), out="branch"), net.add("Identity", x, out="skip")
    x = net.add("Flatten", net.add("GlobalAveragePool", net.add("Add", branch, skip, out="block")))
    net.output(net.add("Gemm", x, net.const([[1, -2, 3, -4], [-1, 2, -3, 4]]), transB=1, out="logits"), ["N", 2])
    total = totals(net.model(), "mwp", ["stem", "branch", "skip", "block"])
    np.testing.assert_allclose(total["block"], np.ones((2, 2)), rtol=1e-5)
    np.testing.assert_allclose(total["branch"] + total["skip"], np.ones((2, 2)), rtol=1e-5)
    np.testing.assert_allclose(total["stem"], np.ones((2, 2)), rtol=1e-5)
    assert min(total["branch"].min(), total["skip"].min()) > 0.01

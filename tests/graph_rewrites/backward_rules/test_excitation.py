"""Excitation backprop against a replica and by hand, its contrast between classes, and where it is not defined."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnxplain.graph_rewrites.errors import OnnxplainError
from onnxplain.graph_rewrites.rewrite import rewrite

from ..maps.replica import Replica, close, conv, conv_back, network, pool_back, upsampled
from ..messages import assert_one_line
from ..networks import Array, Net, explain, f32, images

TARGET = [[0, 3], [4, 1]]
LAYERS = ("image", "conv1", "relu1", "pool", "conv2", "norm", "relu2")


def relu(x: Array) -> Array:
    return np.maximum(x, 0)


def shares(x: Array) -> Array:
    """Parts of 1 in proportion to x; none where nothing is positive."""
    total = x.sum()
    return np.asarray(x / total if total > 0 else 0 * x)


def relevance(replica: Replica, t: dict[str, Array], target: int, contrast: bool) -> dict[str, Array]:
    """Zhang et al. 2016, layer by layer; contrast: less that of the class's opposite weights."""
    w, pooled = replica.w, t["relu2"].mean(axis=(1, 2))
    at_mean = shares(pooled * relu(w["w3"][target]))
    if contrast:
        at_mean = at_mean - shares(pooled * relu(-w["w3"][target]))
    r = {"relu2": np.array([part * shares(a) for part, a in zip(at_mean, t["relu2"], strict=True)])}
    r["shifted"] = r["norm"] = r["conv2"] = r["relu2"]
    turned = w["w2"] * np.sign(replica.slope)[:, None, None, None]
    r["pool"] = through(r["conv2"], t["pool"], turned)
    r["relu1"] = r["conv1"] = pool_back(r["pool"], t["relu1"])
    r["image"] = through(r["conv1"], t["image"], w["w1"])
    return r


def through(r: Array, x: Array, weights: Array) -> Array:
    """R_j = x_j sum_i w_ji+ R_i / sum_j x_j w_ji+, without biases and for the positive part of x."""
    total = conv(relu(x), relu(weights))
    share = np.divide(r, total, out=np.zeros_like(r), where=total > 0)
    return relu(x) * conv_back(share, relu(weights))


@pytest.mark.parametrize(("method", "options"), [("mwp", {}), ("c-mwp", {}), ("c-mwp", {"relu": True})])
def test_relevance_equals_its_replica(method: str, options: dict[str, Any]) -> None:
    model = network()
    replica, feeds = Replica(model), images(model)
    wanted = ("cam", "gradient", "heatmap")
    explained = rewrite(model, method=method, layers=LAYERS, options=options, outputs=wanted)
    got = explain(explained, feeds, TARGET)
    for n, image in enumerate(feeds["image"]):
        t = replica.forward(image)
        for k, target in enumerate(TARGET[n]):
            expected = relevance(replica, t, target, method == "c-mwp")
            for layer in LAYERS:
                close(got[f"gradient@{layer}"][n, k], expected[layer], layer)
                cam = expected[layer].sum(axis=0)
                cam = relu(cam) if options else cam
                close(got[f"cam@{layer}"][n, k], cam, layer)
                close(got[f"heatmap@{layer}"][n, k], upsampled(cam), layer)
            assert expected["relu1"].min() < 0 or method == "mwp"


def hand_net() -> onnx.ModelProto:
    """The image as `layer`, a convolution of the weights (1, -2) and (3, 1), and the scores (2, 1) and (-1, 3)."""
    net = Net()
    x = net.add("Relu", net.input("image", ["N", 2, 1, 2]), out="layer")
    weights = net.const([[[[1]], [[-2]]], [[[3]], [[1]]]])
    x = net.add("Relu", net.add("Conv", x, weights, net.const([9.0, -1.0])), out="hidden")
    x = net.add("Flatten", net.add("GlobalAveragePool", x))
    net.output(net.add("Gemm", x, net.const([[2, 1], [-1, 3]]), transB=1, out="logits"), ["N", 2])
    return net.model()


def test_the_winners_by_hand() -> None:
    """Layer (2, 4) and (1, 0): the units are (1 2 - 2 1 + 9, 4 + 9) = (9, 13) and (3 2 + 1 - 1, 3 4 - 1) = (6, 11).

    Means 11 and 8.5. y0 = 2 u + v: winners 22 : 8.5 = 44 : 17, so (44, 17) / 61; y1 = -u + 3 v: v alone.
    Pooling shares u's part as 9 : 13, v's as 6 : 11. Then u takes it all from the first channel, at either place;
    v at the first place from 3 2 : 1 1 = 6 : 1, at the second from 12 : 0, the first channel alone.
    So y1 puts 6/17 (6, 1) / 7 at the first place and 11/17 (1, 0) at the second.
    """
    feeds = {"image": f32([[[[2, 4]], [[1, 0]]]])}
    got = explain(rewrite(hand_net(), method="mwp", layers="layer", outputs=["gradient", "cam"]), feeds, [[0, 1]])
    second = np.array([[[36 / 119, 11 / 17]], [[6 / 119, 0]]])
    first = 17 / 61 * second + 44 / 61 * np.array([[[9 / 22, 13 / 22]], [[0, 0]]])
    np.testing.assert_allclose(got["gradient"][0], [first, second], rtol=1e-6)
    np.testing.assert_allclose(got["cam"][0, 1], [[6 / 17, 11 / 17]], rtol=1e-6)


def test_the_contrast_by_hand() -> None:
    """y1 = -u + 3 v wins by v, its dual u - 3 v by u: at `hidden` v's (6, 11) / 17 less u's (9, 13) / 22.

    y0 = 2 u + v has a dual that nothing excites, so the contrast is all of y0's own.
    """
    feeds = {"image": f32([[[[2, 4]], [[1, 0]]]])}
    got = explain(rewrite(hand_net(), method="c-mwp", layers="hidden", outputs=["gradient"]), feeds, [[0, 1]])
    own = [[[9 / 22 * 44 / 61, 13 / 22 * 44 / 61]], [[6 / 17 * 17 / 61, 11 / 17 * 17 / 61]]]
    against = [[[-9 / 22, -13 / 22]], [[6 / 17, 11 / 17]]]
    np.testing.assert_allclose(got["gradient"][0], [own, against], rtol=1e-6)


# --- where it is not defined ---


def with_middle(build: Callable[[Net, str], str]) -> onnx.ModelProto:
    """`layer` [N, 4, 8, 8], what `build` makes of it, and a linear head."""
    net = Net()
    x = net.add("Relu", net.conv(net.input("image", ["N", 3, 8, 8]), 3, 4), out="layer")
    net.output(net.head(build(net, x), 4, 5), ["N", 5])
    return net.model()


def attention(net: Net, x: str) -> str:
    tokens = net.add("Reshape", x, net.const([0, 4, 64], np.int64))
    turned = net.add("Transpose", tokens, perm=[0, 2, 1])
    weights = net.add("Softmax", net.add("MatMul", turned, tokens, name="scores"), name="soft")
    mixed = net.add("MatMul", tokens, weights, name="mixing")
    return net.add("Reshape", mixed, net.const([0, 4, 8, 8], np.int64))


REFUSED: dict[str, tuple[Callable[[Net, str], str], str, str]] = {
    "attention": (attention, "MatMul", "mixing"),
    "softmax": (lambda net, x: net.add("Softmax", x, axis=1, name="soft"), "Softmax", "soft"),
    "product": (lambda net, x: net.add("Mul", x, net.conv(x, 4, 4), name="product"), "Mul", "product"),
    "difference": (lambda net, x: net.add("Sub", x, net.conv(x, 4, 4), name="less"), "Sub", "less"),
    "convolution by computed weights": (
        lambda net, x: net.add("Conv", x, net.add("Sin", net.input("kernel", [4, 4, 1, 1])), name="dynamic"),
        "Conv",
        "dynamic",
    ),
    "layer normalisation": (
        lambda net, x: net.add("LayerNormalization", x, net.const(np.ones(8)), name="norm"),
        "LayerNormalization",
        "norm",
    ),
}


@pytest.mark.parametrize("method", ["mwp", "c-mwp"])
@pytest.mark.parametrize("name", REFUSED)
def test_an_operator_without_winners_is_refused_by_name(name: str, method: str) -> None:
    build, operator, node = REFUSED[name]
    with pytest.raises(OnnxplainError) as error:
        rewrite(with_middle(build), method=method, layers="layer")
    assert_one_line(
        error,
        f"excitation backprop is not defined for operator {operator} (node {node!r}); choose a layer after it, or "
        "another method",
    )
    after = with_middle(
        lambda net, x: net.add("Sigmoid", net.conv(build(net, x), 4, 4))
    )  # the operator lies before the default layer
    got = explain(rewrite(after, method="mwp"), images(after))
    np.testing.assert_allclose(got["cam"].sum(axis=(2, 3)), np.ones((2, 1)), rtol=1e-5)


NO_DUAL = (
    "net: no layer with weights that all of the score passes lies between it and the explained layer, so there is no "
    "dual class to contrast with; choose an earlier layer, or method mwp"
)


def test_without_a_layer_of_weights_there_is_no_contrast() -> None:
    net = Net()
    x = net.add("Relu", net.conv(net.input("image", ["N", 3, 8, 8]), 3, 4), out="layer")
    net.output(net.add("Flatten", net.add("GlobalAveragePool", x), out="logits"), ["N", 4])
    with pytest.raises(OnnxplainError) as error:
        rewrite(net.model(), method="c-mwp")
    assert_one_line(error, NO_DUAL)


def test_of_two_heads_neither_has_the_dual_class() -> None:
    net = Net()
    x = net.add("Relu", net.conv(net.input("image", ["N", 3, 8, 8]), 3, 4), out="layer")
    net.output(net.add("Add", net.head(x, 4, 5, "one"), net.head(x, 4, 5, "two"), out="logits"), ["N", 5])
    with pytest.raises(OnnxplainError) as error:
        rewrite(net.model(), method="c-mwp")
    assert_one_line(error, NO_DUAL)
    got = explain(rewrite(net.model(), method="mwp"), images(net.model()))
    assert got["cam"].max() > 0

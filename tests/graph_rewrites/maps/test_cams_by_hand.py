"""Maps of a layer of two channels of 2 x 2, worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnxplain.graph_rewrites.errors import OnnxplainError
from onnxplain.graph_rewrites.rewrite import rewrite

from ..messages import assert_one_line
from ..networks import Array, Net, explain, f32

A = f32([[[1, 2], [3, -2]], [[2, 0], [-1, 1]]])
G = f32([[[2, -2], [0, 4]], [[-4, 0], [2, -2]]])


def hand_net() -> onnx.ModelProto:
    """The layer is the image; y0 = <G, A> and y1 = -y0, so the gradients are G and -G."""
    net = Net()
    x = net.add("Conv", net.input("image", ["N", 2, 2, 2]), net.const(np.eye(2)[:, :, None, None]), out="layer")
    weights = net.const([G.ravel(), -G.ravel()])
    net.output(net.add("Gemm", net.add("Flatten", x), weights, transB=1, out="logits"), ["N", 2])
    return net.model()


def cams(method: str, **options: Any) -> Array:
    got = explain(rewrite(hand_net(), method=method, options=options), {"image": A[None]}, [[0, 1]])
    np.testing.assert_array_equal(got["score"], [[-22, 22]])  # 2 - 4 + 0 - 8 - 8 + 0 - 2 - 2
    return got["cam"][0]


def test_grad_cam() -> None:
    """alpha = mean G = (1, -1): A^0 - A^1 = [[-1, 2], [4, -3]] for y0, its negative for y1, then ReLU."""
    np.testing.assert_array_equal(cams("grad-cam"), [[[0, 2], [4, 0]], [[1, 0], [0, 3]]])
    np.testing.assert_array_equal(cams("grad-cam", relu=False), [[[-1, 2], [4, -3]], [[1, -2], [-4, 3]]])


def test_counterfactual() -> None:
    """What speaks against y0 speaks for y1 = -y0, and the other way round."""
    np.testing.assert_array_equal(cams("counterfactual"), cams("grad-cam")[::-1])


def test_grad_cam_with_absolute_gradients() -> None:
    """alpha = mean |G| = (2, 2) for both classes: 2 A^0 + 2 A^1 = [[6, 4], [4, -2]]."""
    np.testing.assert_array_equal(cams("grad-cam", gradients="absolute"), [[[6, 4], [4, 0]]] * 2)


def test_grad_cam_with_maximum_pooling() -> None:
    """alpha = max G = (4, 2): 4 A^0 + 2 A^1 = [[8, 8], [10, -6]]; max -G = (2, 4): 2 A^0 + 4 A^1 = [[10, 4], [2, 0]].

    Of absolute gradients both maxima are 4: 4 A^0 + 4 A^1 = [[12, 8], [8, -4]].
    """
    np.testing.assert_array_equal(cams("grad-cam", pooling="max"), [[[8, 8], [10, 0]], [[10, 4], [2, 0]]])
    both = cams("grad-cam", pooling="max", gradients="absolute", relu=False)
    np.testing.assert_array_equal(both, [[[12, 8], [8, -4]]] * 2)


def test_grad_cam_plus_plus() -> None:
    """w_k sums g / (2 + S_k g) over the positive g, with the sums S = (4, 2) of the channels.

    y0: w = (2/10 + 4/18, 2/6) = (19/45, 15/45): 45 w.A = [[19 + 30, 38], [57 - 15, -38 + 15]] = [[49, 38], [42, -23]].
    y1: g of channel 0 is (-2, 2, 0, -4), of channel 1 (4, 0, -2, 2): w = (2/10, 4/10 + 2/6) = (3/15, 11/15), so
    15 w.A = [[3 + 22, 6], [9 - 11, -6 + 11]] = [[25, 6], [-2, 5]].
    """
    expected = [np.array([[49, 38], [42, 0]]) / 45, np.array([[25, 6], [0, 5]]) / 15]
    np.testing.assert_allclose(cams("grad-cam++"), expected, rtol=1e-6)


def test_xgrad_cam() -> None:
    """w = sum(G A) / sum(A) = ((2 - 4 - 8) / 4, (-8 - 2 - 2) / 2) = (-2.5, -6) for y0: its map is negative everywhere.

    y1: 2.5 A^0 + 6 A^1 = [[2.5 + 12, 5], [7.5 - 6, -5 + 6]].
    """
    np.testing.assert_array_equal(cams("xgrad-cam"), [[[0, 0], [0, 0]], [[14.5, 5], [1.5, 1]]])


def test_hires_cam() -> None:
    """G A = [[2, -4], [0, -8]] + [[-8, 0], [-2, -2]] = [[-6, -4], [-2, -10]] for y0, whose sum is the score."""
    np.testing.assert_array_equal(cams("hires-cam"), [[[0, 0], [0, 0]], [[6, 4], [2, 10]]])
    np.testing.assert_array_equal(cams("hires-cam", relu=False), [[[-6, -4], [-2, -10]], [[6, 4], [2, 10]]])


def test_layer_cam() -> None:
    """ReLU(G) A = [[2, 0], [0, -8]] + [[0, 0], [-2, 0]]; ReLU(-G) A = [[0, 4], [0, 0]] + [[8, 0], [0, 2]]."""
    np.testing.assert_array_equal(cams("layer-cam"), [[[2, 0], [0, 0]], [[8, 4], [0, 2]]])


# --- what CAM needs of a model ---


def refusal(model: onnx.ModelProto, layer: str = "layer") -> pytest.ExceptionInfo[OnnxplainError]:
    with pytest.raises(OnnxplainError) as error:
        rewrite(model, method="cam", layers=layer)
    assert_one_line(error, "CAM needs global average pooling and one linear layer", "use grad-cam")
    return error


def test_cam_is_refused_without_pooling() -> None:
    assert_one_line(refusal(hand_net()), "no global average pooling lies between layer 'layer' and the score")


def pooled(*then: str, pool: str = "GlobalAveragePool", conv: int = 0) -> onnx.ModelProto:
    net = Net()
    x = net.add("Relu", net.conv(net.input("image", ["N", 3, 8, 8]), 3, 4), out="layer")
    if conv:
        x = net.conv(x, 4, 4, size=conv)
    if pool == "AveragePool":
        x = net.add(pool, x, kernel_shape=[2, 2], strides=[2, 2], name="window")
        x = net.add("ReduceMean", x, axes=[2, 3], keepdims=0)
    else:
        x = net.add("Flatten", net.add(pool, x))
    for operator in then:
        x = net.add(operator, x, *([net.random(4, 4)] if operator == "Gemm" else []), name=f"hidden_{operator}")
    net.output(net.add("Gemm", x, net.random(4, 4), out="logits"), ["N", 4])
    return net.model()


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (pooled("Gemm", "Relu"), "Relu (node 'hidden_Relu') lies between layer 'layer' and the score"),
        (pooled("Gemm"), "2 linear layers lie between layer 'layer' and the score, not one"),
        (pooled(conv=1), "2 linear layers lie between"),
        (pooled(pool="GlobalMaxPool"), "GlobalMaxPool (node "),
        (pooled(pool="AveragePool"), "the pooling 'window' behind layer 'layer' is not global"),
    ],
)
def test_cam_is_refused_where_the_head_is_of_another_kind(model: onnx.ModelProto, reason: str) -> None:
    assert_one_line(refusal(model), reason)


def test_cam_is_refused_at_an_earlier_layer() -> None:
    net = Net()
    x = net.add("Relu", net.conv(net.input("image", ["N", 3, 8, 8]), 3, 4), out="layer")
    x = net.add("Relu", net.conv(x, 4, 4), out="last", name="last_relu")
    net.output(net.head(x, 4, 5), ["N", 5])
    assert_one_line(refusal(net.model()), "Relu (node 'last_relu') lies between layer 'layer' and the score")
    assert explain(rewrite(net.model(), method="cam"), {"image": np.ones((1, 3, 8, 8), np.float32)})["cam"].any()


@pytest.mark.parametrize("size", [1, 3])
def test_cam_takes_a_1_x_1_convolution_for_the_linear_layer_and_no_larger_one(size: int) -> None:
    """By linearity the average of w.A is w times the average of A: w_k^c is read off the convolution's weights."""
    net = Net()
    x = net.add("Relu", net.conv(net.input("image", ["N", 3, 8, 8]), 3, 4), out="layer")
    weights = net.random(5, 4, size, size, name="linear")
    x = net.add("Conv", x, weights, pads=[size // 2] * 4, name="classes")
    net.output(net.add("Flatten", net.add("ReduceMean", x, axes=[2, 3]), out="logits"), ["N", 5])
    model = net.model()
    if size > 1:
        assert_one_line(refusal(model), "the convolution 'classes' behind layer 'layer' is not 1 x 1")
        return
    feeds = {"image": np.random.default_rng(0).normal(size=(1, 3, 8, 8)).astype(np.float32)}
    got = explain(rewrite(model, method="cam", layers="layer", outputs=["cam", "activation"]), feeds, [[4]])
    linear = onnx.numpy_helper.to_array(next(t for t in model.graph.initializer if t.name == "linear"))
    expected = np.tensordot(linear[4, :, 0, 0], got["activation"][0], 1)
    np.testing.assert_allclose(got["cam"][0, 0], expected, rtol=1e-4, atol=1e-5)

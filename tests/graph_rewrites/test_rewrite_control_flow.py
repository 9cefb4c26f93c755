"""Explaining networks whose heads hold an LSTM, a Loop or an If: K classes in one run, and every kind of map."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxplain.graph_rewrites.model.model import read
from onnxplain.graph_rewrites.model.writing import write
from onnxplain.graph_rewrites.rewrite import layers, rewrite
from onnxplain.graph_rewrites.vjp import append_vjp

from .networks import Array, Net, explain, images, run

HIDDEN = 6
TARGET = np.array([[0, 2, -1], [1, 1, 3], [-1, -2, 0]])


def value(name: str, shape: Sequence[int | str], dtype: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, dtype, shape)


def lstm_head(net: Net, x: str) -> str:
    """The columns of the maps as a sequence; its last state."""
    rows = net.add("Transpose", net.add("ReduceMean", x, axes=[2], keepdims=0), perm=[2, 0, 1])
    weights = [net.random(1, 4 * HIDDEN, HIDDEN), net.random(1, 4 * HIDDEN, HIDDEN), net.random(1, 8 * HIDDEN)]
    y = net.add("LSTM", rows, *weights, hidden_size=HIDDEN)
    return net.add("Squeeze", net.add("Gather", y, net.const(-1, np.int64), axis=0), net.const([0], np.int64))


def loop_head(net: Net, x: str) -> str:
    """h -> tanh(h*W + column i of the maps), for each column; the body captures the maps themselves."""
    weight = net.random(HIDDEN, HIDDEN, name="loop_weight")
    nodes = [
        helper.make_node("ReduceMean", [x], ["columns"], axes=[2], keepdims=0),
        helper.make_node("Gather", ["columns", "i"], ["column"], axis=2),
        helper.make_node("MatMul", ["h", weight], ["product"]),
        helper.make_node("Add", ["product", "column"], ["total"]),
        helper.make_node("Tanh", ["total"], ["next"]),
        helper.make_node("Identity", ["go"], ["go_on"]),
    ]
    inputs = [value("i", [], TensorProto.INT64), value("go", [], TensorProto.BOOL), value("h", ["N", HIDDEN])]
    outputs = [value("go_on", [], TensorProto.BOOL), value("next", ["N", HIDDEN])]
    start = net.add("Flatten", net.add("GlobalAveragePool", x))
    return net.add("Loop", net.const(8, np.int64), "", start, body=helper.make_graph(nodes, "body", inputs, outputs))


def if_head(net: Net, x: str) -> str:
    """Two branches that capture the maps, each with a weight of its own under the same name."""
    flag = net.const(True, np.bool_)
    branches = []
    for scale in (1.0, 2.0):
        nodes = [
            helper.make_node("GlobalAveragePool", [x], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["flat"]),
            helper.make_node("MatMul", ["flat", "weight"], ["branch"]),
        ]
        weight = numpy_helper.from_array(scale * net.rng.normal(size=(HIDDEN, HIDDEN)).astype(np.float32), "weight")
        branches.append(helper.make_graph(nodes, "branch", [], [value("branch", ["N", HIDDEN])], [weight]))
    return net.add("If", flag, then_branch=branches[0], else_branch=branches[1])


HEADS = {"LSTM": lstm_head, "Loop": loop_head, "If": if_head}


def network(head: str, batch: int | str = "N") -> onnx.ModelProto:
    net = Net(17, seed=4)
    x = net.add("Relu", net.conv(net.input("image", [batch, 3, 8, 8]), 3, 4), out="first")
    x = net.add("Relu", net.conv(x, 4, HIDDEN), out="last")
    net.add("Gemm", HEADS[head](net, x), net.random(4, HIDDEN), net.random(4), transB=1, out="logits")
    net.output("logits", [batch, 4])
    return net.model()


@pytest.mark.parametrize("method", ["grad-cam", "gradient", "guided-backprop"])
@pytest.mark.parametrize("head", HEADS)
def test_k_classes_in_one_run_equal_k_runs(head: str, method: str) -> None:
    outputs = ["score", "cam", "heatmap", "gradient"] if method == "grad-cam" else None
    model = network(head)
    feeds = images(model, 3)
    together = explain(rewrite(model, method=method, outputs=outputs), feeds, TARGET)
    np.testing.assert_array_equal(together["logits"], run(model, feeds)["logits"])
    alone = rewrite(network(head, 1), method=method, outputs=outputs)
    key = "gradient" if method == "grad-cam" else "input_gradient"
    for i, j in np.ndindex(*TARGET.shape):
        single = explain(alone, {"image": feeds["image"][i : i + 1]}, [[TARGET[i, j]]])
        scale = np.abs(single[key]).max()
        assert scale > 0
        np.testing.assert_allclose(together[key][i, j] / scale, single[key][0, 0] / scale, atol=1e-5)
        np.testing.assert_allclose(together["heatmap"][i, j], single["heatmap"][0, 0], atol=1e-5)


@pytest.mark.parametrize("head", HEADS)
def test_the_last_convolution_is_the_default_layer(head: str) -> None:
    assert [(layer.name, layer.is_default) for layer in layers(network(head))] == [("first", False), ("last", True)]


@pytest.mark.parametrize("head", HEADS)
def test_reading_and_writing_changes_no_output(head: str) -> None:
    model = network(head)
    feeds = images(model, 3)
    np.testing.assert_array_equal(run(write(read(model)), feeds)["logits"], run(model, feeds)["logits"])


def test_weights_of_branches_stand_in_the_main_graph_once() -> None:
    model = network("If")
    # In the file the attributes stand in alphabetical order: the first weight is that of the branch not taken.
    explained = append_vjp(model, "logits", ["image", "weight_1", "weight_2"])
    sizes = [np.prod(tensor.dims) for tensor in explained.graph.initializer]
    assert sizes.count(HIDDEN * HIDDEN) == 2
    for node in explained.graph.node:
        for attribute in node.attribute:
            assert len(attribute.g.initializer) == 0
    feeds = images(model, 3)
    cotangent = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    got = run(explained, {**feeds, "logits_cotangent": cotangent})
    features = run(with_output(model, "last", ["N", HIDDEN, 8, 8]), feeds)["last"].mean(axis=(2, 3))
    head = numpy_helper.to_array(next(t for t in model.graph.initializer if list(t.dims) == [4, HIDDEN]))
    expected: Array = features.T @ (cotangent @ head)
    np.testing.assert_allclose(got["weight_2_grad"], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(got["weight_1_grad"], np.zeros_like(expected))


def with_output(model: onnx.ModelProto, name: str, shape: Sequence[int | str]) -> onnx.ModelProto:
    result = onnx.ModelProto()
    result.CopyFrom(model)
    result.graph.output.append(value(name, shape))
    return result

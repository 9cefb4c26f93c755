"""Weights that exporters put into subgraphs move to the main graph, and nothing else changes."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxplain.graph_rewrites.build.emitter import Emitter
from onnxplain.graph_rewrites.model.model import read
from onnxplain.graph_rewrites.model.writing import write
from onnxplain.graph_rewrites.vjp import append_vjp

from ..networks import Net, run

X = np.arange(6, dtype=np.float32).reshape(2, 3) - 2


def weight(values: float, name: str = "w") -> onnx.TensorProto:
    return numpy_helper.from_array(np.full(3, values, np.float32), name)


def value(name: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 3])


def branch(nodes: list[onnx.NodeProto], output: str, weights: list[onnx.TensorProto]) -> onnx.GraphProto:
    return helper.make_graph(nodes, output, [], [value(output)], weights)


def chosen(then: onnx.GraphProto, otherwise: onnx.GraphProto) -> onnx.ModelProto:
    net = Net()
    x, flag = net.input("x", [2, 3]), net.input("flag", [], TensorProto.BOOL)
    net.output(net.add("Mul", x, net.add("If", flag, then_branch=then, else_branch=otherwise), out="y"), [2, 3])
    return net.model()


def one_weight(scale: float, output: str) -> onnx.GraphProto:
    return branch([helper.make_node("Mul", ["x", "w"], [output])], output, [weight(scale)])


def nested() -> onnx.GraphProto:
    """An If in an If; both levels have a weight `w`, and the inner one hides the outer."""
    inner = helper.make_node("If", ["flag"], ["c"], then_branch=one_weight(5, "p"), else_branch=one_weight(7, "q"))
    nodes = [inner, helper.make_node("Add", ["c", "w"], ["n"])]
    return branch(nodes, "n", [weight(11)])


def only_weights(output: str) -> onnx.GraphProto:
    """A branch that puts out a weight as it is."""
    full = numpy_helper.from_array(np.full((2, 3), 3, np.float32), output)
    return branch([], output, [full])


@pytest.mark.parametrize(
    ("then", "factor"),
    [(one_weight(2, "a"), 2 * X), (nested(), 5 * X + 11), (only_weights("o"), 3 * np.ones_like(X))],
    ids=["one", "nested", "put out"],
)
def test_weights_of_subgraphs_move_to_the_main_graph(then: onnx.GraphProto, factor: np.ndarray) -> None:
    model = chosen(then, one_weight(13, "b"))
    written = write(read(model))
    onnx.checker.check_model(written, full_check=True)
    assert not any(attribute.g.initializer for node in written.graph.node for attribute in node.attribute)
    for flag, expected in ((True, X * factor), (False, 13 * X * X)):
        feeds = {"x": X, "flag": np.array(flag)}
        np.testing.assert_array_equal(run(written, feeds)["y"], expected)
        got = run(append_vjp(model, "y", "x"), {**feeds, "y_cotangent": np.ones_like(X)})["x_grad"]
        slopes = [run(written, {"x": X + step, "flag": np.array(flag)})["y"] for step in (0.5, -0.5)]
        np.testing.assert_allclose(got, slopes[0] - slopes[1], rtol=1e-5, atol=1e-5)  # y is quadratic in x


def test_a_model_is_not_changed_in_place() -> None:
    model = chosen(nested(), one_weight(13, "b"))
    before = model.SerializeToString()
    append_vjp(model, "y", "x")
    assert model.SerializeToString() == before


def test_what_is_emitted_in_a_subgraph_captures_and_is_pruned() -> None:
    net = Net()
    x, flag = net.input("x", [2, 3]), net.input("flag", [], TensorProto.BOOL)
    net.output(net.add("Identity", x, out="y"), [2, 3])
    net.output(net.add("Identity", flag, out="flag_again"), [], TensorProto.BOOL)
    op = Emitter(read(net.model()))
    tensors = op.model.tensors
    with op.subgraph("yes") as yes:
        op.Exp(tensors["y"])  # which nothing needs
        doubled = op.Mul(tensors["y"], 2.0)
        yes.outputs = [doubled, tensors["y"], doubled]
    with op.subgraph("no") as no:
        no.outputs = [tensors["y"]] * 3
    results = op.If(tensors["flag"], then_branch=yes, else_branch=no, outputs=3)
    assert [node.op for node in yes.nodes] == ["Mul", "Identity", "Identity"]
    assert [tensor.shape for tensor in results] == [[2, 3]] * 3
    op.model.graph.outputs.extend(results)
    model = write(op.model)
    names = [node.name for node in model.graph.node[-1].attribute[0].g.node]
    assert len(set(names)) == len(names)
    for given, expected in ((True, [2 * X, X, 2 * X]), (False, [X, X, X])):
        got = run(model, {"x": X, "flag": np.array(given)})
        for tensor, wanted in zip(results, expected, strict=True):
            np.testing.assert_array_equal(got[tensor.name], wanted)

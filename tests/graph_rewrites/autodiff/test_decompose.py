from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from onnx.reference import ReferenceEvaluator
from onnxplain.graph_rewrites.autodiff.decompose import function_body, has_function_body
from onnxplain.graph_rewrites.autodiff.reverse import GRADIENTS
from onnxplain.graph_rewrites.build.emitter import Emitter
from onnxplain.graph_rewrites.model.model import read
from onnxplain.graph_rewrites.vjp import append_vjp

from ..networks import Array, Net, run

X = np.array([[-3.0, -0.5, 0.25, 2.0]])
G = np.array([[1.0, -2.0, 3.0, -4.0]])


def one_node(op: str, opset: int, dtype: int = TensorProto.FLOAT, **attrs: Any) -> onnx.ModelProto:
    net = Net(opset)
    net.output(net.add(op, net.input("x", ["N", 4], dtype), out="y", name="the_node", **attrs), ["N", 4], dtype)
    return net.model()


def sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


def erf(x: Array) -> Array:
    return np.asarray(np.vectorize(math.erf)(x))


DERIVATIVES = {
    ("Softsign", 18): 1 / (1 + np.abs(X)) ** 2,
    ("Mish", 18): np.tanh(np.log1p(np.exp(X))) + X * (1 - np.tanh(np.log1p(np.exp(X))) ** 2) * sigmoid(X),
    ("HardSwish", 17): np.where(X < -3, 0, np.where(X > 3, 1, X / 3 + 0.5)),
    ("Gelu", 20): 0.5 * (1 + erf(X / math.sqrt(2))) + X * np.exp(-(X**2) / 2) / math.sqrt(2 * math.pi),
}


@pytest.mark.parametrize(("op", "opset"), DERIVATIVES)
def test_a_function_body_gives_the_right_gradient_and_the_node_stays(
    monkeypatch: pytest.MonkeyPatch, op: str, opset: int
) -> None:
    monkeypatch.delitem(GRADIENTS, op, raising=False)
    model = one_node(op, opset)
    explained = append_vjp(model, "y", "x")
    assert explained.graph.node[0] == model.graph.node[0]
    assert [node.name for node in explained.graph.node if node.op_type == op] == ["the_node"]
    feeds = {"x": X.astype(np.float32)}
    got = run(explained, {**feeds, "y_cotangent": G.astype(np.float32)})
    np.testing.assert_array_equal(got["y"], run(model, feeds)["y"])
    inside = np.abs(X) != 3 if op == "HardSwish" else np.ones_like(X, bool)  # not at the kinks
    np.testing.assert_allclose(got["x_grad"][inside], (G * DERIVATIVES[op, opset])[inside], rtol=1e-5, atol=1e-6)


def test_a_body_that_depends_on_attributes_uses_the_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    """LogSoftmax over axis 0: its body is made for the node's own axis."""
    monkeypatch.delitem(GRADIENTS, "LogSoftmax")
    x = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    g = np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32)
    got = run(append_vjp(one_node("LogSoftmax", 17, axis=0), "y", "x"), {"x": x, "y_cotangent": g})
    softmax = np.exp(x) / np.exp(x).sum(axis=0)
    np.testing.assert_allclose(got["x_grad"], g - softmax * g.sum(axis=0), rtol=1e-5, atol=1e-6)


def test_the_outputs_of_the_body_repeat_those_of_the_node() -> None:
    op = Emitter(read(one_node("Softsign", 18)))
    body = function_body(op, op.model.graph.nodes[0])
    assert body is not None
    assert body.outputs[0] is not None
    assert [node.op for node in op.model.graph.nodes[1:]] == [node.op for node in body.nodes]
    assert body.outputs[0].shape == ["N", 4]
    assert body.outputs[0].name.startswith("onnxplain/")


def test_an_operator_without_a_body_has_none() -> None:
    op = Emitter(read(one_node("Exp", 17)))
    assert function_body(op, op.model.graph.nodes[0]) is None
    assert not has_function_body(op.model.graph.nodes[0], 17)


def test_a_body_of_narrow_floats_is_differentiated_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """In float16 the gradient would underflow on its way; and it is not silently zero."""
    monkeypatch.delitem(GRADIENTS, "Softsign")
    net = Net(18)
    x = net.input("x", [1, 4], TensorProto.FLOAT16)
    wide = net.add("Cast", net.add("Softsign", x), to=TensorProto.FLOAT)
    net.output(net.add("Mul", wide, net.const(1e-6), out="y"), [1, 4])
    model = append_vjp(net.model(), "y", "x")
    got = run(model, {"x": X.astype(np.float16), "y_cotangent": np.full((1, 4), 1e3, np.float32)})
    np.testing.assert_allclose(got["x_grad"], 1e-3 / (1 + np.abs(X)) ** 2, rtol=2e-3)


def test_a_body_used_twice_in_a_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(GRADIENTS, "Softsign")
    net = Net(18)
    net.output(net.add("Softsign", net.add("Softsign", net.input("x", [1, 4])), out="y"), [1, 4])
    got = run(append_vjp(net.model(), "y", "x"), {"x": X.astype(np.float32), "y_cotangent": G.astype(np.float32)})
    inner = X / (1 + np.abs(X))
    expected = G / (1 + np.abs(inner)) ** 2 / (1 + np.abs(X)) ** 2
    np.testing.assert_allclose(got["x_grad"], expected, rtol=1e-5)


def test_a_body_on_float64_stays_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(GRADIENTS, "Softsign")
    explained = append_vjp(one_node("Softsign", 18, TensorProto.DOUBLE), "y", "x")
    (grad,) = [value for value in explained.graph.output if value.name == "x_grad"]
    assert grad.type.tensor_type.elem_type == TensorProto.DOUBLE
    np.testing.assert_allclose(
        np.asarray(*ReferenceEvaluator(explained).run(["x_grad"], {"x": X, "y_cotangent": G})),
        G / (1 + np.abs(X)) ** 2,
        rtol=1e-14,
    )

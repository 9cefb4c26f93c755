"""Tensors whose number of axes nobody can tell before run time: what leaves a Loop in a Loop without declaring it."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import parser
from onnxplain.engine.gradcheck.float64.session import Float64Session
from onnxplain.graph_rewrites.errors import OnnxplainError
from onnxplain.graph_rewrites.model.model import read
from onnxplain.graph_rewrites.vjp import append_vjp

LOOP = """three = Constant<value_ints = [3]>() none = Constant<value_ints = [0]>() one = Constant<value_ints = [1]>()
          once = Constant<value = int64 {{1}}>()
          l = Loop<body = step (int64 i, bool go, {kind} s) => (bool on, {kind} t) {{
              on = Identity(go)
              t = Loop<body = inner (int64 j, bool more, {kind} u) => (bool again, {kind} v)
                       {{ again = Identity(more) v = Tanh(u) }}>(once, , s) }}>(n, , x)"""
WORKS = {
    "nothing": "y = Identity(l)",
    "Relu": "y = Relu(l)",
    "Mul": "y = Mul(l, x)",
    "Transpose": "y = Transpose(l)",
    "Concat": "y = Concat<axis = 1>(l, l)",
    "Reshape": "y = Reshape(l, three2)",
    "Slice": "y = Slice(l, none, one)",
    "Slice of an axis": "y = Slice(l, none, one, one0)",
    "Einsum": 'y = Einsum<equation = "ij,jk->ik">(l, w)',
    "Einsum of one": 'y = Einsum<equation = "ij->ji">(l)',
    "Einsum diagonal": 'y = Einsum<equation = "ij,ij->i">(l, l)',
    "Gemm": "y = Gemm(l, w)",
    "Softmax": "y = Softmax(l)",
    "ReduceSum": "y = ReduceSum(l)",
    "Cast": "h = Cast<to = 11>(l) y = CastLike(h, x)",
    "If": "b = Greater(half, zero) "
    "y = If<then_branch = t () => (u) {u = Sin(l)}, else_branch = e () => (v) {v = Cos(l)}>(b)",
}
REFUSED = {
    "MatMul": "y = MatMul(l, w)",
    "LayerNormalization": "y = LayerNormalization(l, ones)",
    "Einsum of more": 'y = Einsum<equation = "...j,jk->...k">(l, w)',
    "Tile": "y = Tile(l, three2)",
    "ReduceMean": "y = ReduceMean(l)",
}


def model(body: str, kind: str) -> onnx.ModelProto:
    made = parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 17]> g ({kind}[2, 3] x, int64 n) => ({kind} y)
        <{kind} half = {{0.5}}, {kind} zero = {{0}}, {kind}[3] ones = {{1, 1, 1}}, int64[2] three2 = {{3, 2}},
         int64[1] one0 = {{0}}, {kind}[3, 3] w = {{1, 0, 2, 0, 1, 1, 1, 1, 0}}> {{ {LOOP.format(kind=kind)} {body} }}"""
    )
    made.graph.output[0].type.tensor_type.ClearField("shape")
    bodies = [a.g for node in made.graph.node for a in node.attribute if a.name == "body"]
    for graph in [*bodies, *(a.g for body in bodies for node in body.node for a in node.attribute if a.name == "body")]:
        for value in (*graph.input, *graph.output):
            if value.name in "stuv":
                value.type.tensor_type.ClearField("shape")
    assert read(made).tensors["l"].shape is None
    return made


@pytest.mark.parametrize("wrt", ["x", "l"])
@pytest.mark.parametrize("name", WORKS)
def test_the_gradient_is_the_central_difference(name: str, wrt: str) -> None:
    double = model(WORKS[name], "double")
    x, n = np.random.default_rng(0).normal(size=(2, 3)), np.array(2)

    def forward(x: np.ndarray) -> np.ndarray:
        return np.asarray(Float64Session(double).run(["y"], {"x": x, "n": n})[0])

    cotangent = np.random.default_rng(1).normal(size=forward(x).shape)
    feeds = {"x": x, "n": n, "y_cotangent": cotangent}
    vjp = append_vjp(double, "y", wrt)
    (grad,) = Float64Session(vjp).run([f"{wrt}_grad"], feeds)
    session = ort.InferenceSession(
        append_vjp(model(WORKS[name], "float"), "y", wrt).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    single = {key: value if key == "n" else value.astype(np.float32) for key, value in feeds.items()}
    np.testing.assert_allclose(session.run([f"{wrt}_grad"], single)[0], grad, rtol=1e-4, atol=1e-5)
    if wrt == "l":
        return
    direction = np.random.default_rng(2).normal(size=x.shape)
    slope = np.sum((forward(x + 1e-6 * direction) - forward(x - 1e-6 * direction)) / 2e-6 * cotangent)
    np.testing.assert_allclose(np.sum(grad * direction), slope, rtol=1e-6)


@pytest.mark.parametrize("name", REFUSED)
def test_what_needs_the_rank_says_so(name: str) -> None:
    with pytest.raises(OnnxplainError, match="the rank of tensor 'l' is unknown; give the model's inputs shapes"):
        append_vjp(model(REFUSED[name], "float"), "y", "x")

"""Sequences and optionals on a float path: their readers are followed back to the tensors in them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import parser
from onnxplain.engine.gradcheck.float64.session import Float64Session
from onnxplain.graph_rewrites.errors import UsageError
from onnxplain.graph_rewrites.vjp import append_vjp

rng = np.random.default_rng(0)
X, Z = rng.normal(size=(2, 6)), rng.normal(size=(2, 6))
STEP = 1e-6

# y in terms of x and z; i, j and n are 1, -1 and 2; sizes is [1, 3, 2].
MODELS = {
    "split in equal pieces": "s = SplitToSequence<axis = 1>(x, n) y = SequenceAt(s, i)",
    "split, the last piece is shorter": "s = SplitToSequence<axis = 1>(x, four) y = SequenceAt(s, j)",
    "split by sizes": "s = SplitToSequence<axis = -1>(x, sizes) a = SequenceAt(s, i) b = Mul(a, a) y = Exp(b)",
    "split into rows": "s = SplitToSequence(x) a = SequenceAt(s, i) y = Mul(a, a)",
    "split into rows without their axis": (
        "s = SplitToSequence<keepdims = 0>(x) a = SequenceAt(s, i) b = SequenceAt(s, zero) y = Mul(a, b)"
    ),
    "one piece": "s = SplitToSequence<axis = 0>(x, n) a = SequenceAt(s, zero) y = Mul(a, a)",
    "split and concatenated": (
        "s = SplitToSequence<axis = 1>(x, sizes) a = ConcatFromSequence<axis = 1>(s) y = Mul(a, a)"
    ),
    "stacked": (
        "e = Exp(x) s = SequenceConstruct(x, z, e) a = ConcatFromSequence<axis = 1, new_axis = 1>(s) y = Mul(a, a)"
    ),
    "stacked at the end": (
        "s = SequenceConstruct(x, z) a = ConcatFromSequence<axis = -1, new_axis = 1>(s) y = Mul(a, a)"
    ),
    "concatenated": "s = SequenceConstruct(x, z, x) a = ConcatFromSequence<axis = 0>(s) y = Mul(a, a)",
    "inserted": (
        "s = SequenceEmpty<dtype = 11>() t = SequenceInsert(s, x) u = SequenceInsert(t, z, zero) e = Exp(x) "
        "v = SequenceInsert(u, e) a = SequenceAt(v, zero) b = SequenceAt(v, i) c = SequenceAt(v, j) "
        "d = Mul(a, b) y = Mul(c, d)"
    ),
    "inserted before the end": (
        "s = SequenceConstruct(x, z) e = Exp(x) t = SequenceInsert(s, e, j) a = SequenceAt(t, i) y = Mul(a, z)"
    ),
    "erased": (
        "e = Exp(x) s = SequenceConstruct(x, z, e) t = SequenceErase(s) u = SequenceErase(t, zero) "
        "a = SequenceAt(u, zero) y = Mul(a, x)"
    ),
    "passed on": "s = SequenceConstruct(x, z) t = Identity(s) a = SequenceAt(t, zero) y = Mul(a, a)",
    "mapped": (
        "s = SequenceConstruct(x, z) t = SequenceConstruct(z, z) "
        "u, v = SequenceMap(s, t, x) <body = b (FLOAT[2,6] p, FLOAT[2,6] q, FLOAT[2,6] r) "
        "=> (FLOAT[2,6] k, FLOAT[2,6] l) { k = Mul(p, q) l = Add(k, r) }> "
        "a = ConcatFromSequence<axis = 0>(v) b = SequenceAt(u, zero) c = SequenceAt(u, i) d = Mul(b, c) "
        "e = ConcatFromSequence<axis = 0>(u) f = Mul(e, a) g = Concat<axis = 0>(d, d) y = Add(f, g)"
    ),
    "a tensor as an optional": "a = OptionalGetElement(x) y = Mul(a, a)",
    "an optional tensor": "o = Optional(x) a = OptionalGetElement(o) y = Mul(a, a)",
    "an optional sequence": (
        "s = SequenceConstruct(x, z) o = Optional(s) t = OptionalGetElement(o) a = SequenceAt(t, i) y = Mul(a, x)"
    ),
    "a path around the sequence": "s = SequenceConstruct(x, z) a = SequenceAt(s, zero) y = Mul(a, x)",
}

CONSTANTS = (
    "int64 zero = {0}, int64 i = {1}, int64 j = {-1}, int64 n = {2}, int64 four = {4}, int64[3] sizes = {1, 3, 2}"
)


def model(body: str, dtype: str, inputs: str = "") -> onnx.ModelProto:
    parsed = parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : 18]> g ({dtype}[2,6] x, {dtype}[2,6] z {inputs}) => ({dtype} y) '
        f"<{CONSTANTS}> {{ {body.replace('FLOAT', dtype)} }}"
    )
    parsed.graph.output[0].type.tensor_type.ClearField("shape")
    return parsed


def wanted(body: str) -> Sequence[str]:
    return [name for name in ("x", "z") if f"{name})" in body or f"{name}," in body]


@pytest.mark.parametrize("name", MODELS)
def test_gradients_pass_through_sequences(name: str) -> None:
    wrt = wanted(MODELS[name])
    vjp = append_vjp(model(MODELS[name], "double"), "y", wrt)
    session, feeds = Float64Session(vjp), {"x": X, "z": Z}
    (y,) = Float64Session(model(MODELS[name], "double")).run(["y"], feeds)
    cotangent = rng.normal(size=y.shape)
    grads = session.run([f"{w}_grad" for w in wrt], {**feeds, "y_cotangent": cotangent})
    for w, grad in zip(wrt, grads, strict=True):
        direction = rng.normal(size=X.shape)
        moved = [{**feeds, w: feeds[w] + sign * STEP * direction, "y_cotangent": cotangent} for sign in (1, -1)]
        high, low = (session.run(["y"], m)[0] for m in moved)
        np.testing.assert_allclose(
            np.sum(grad * direction), np.sum((high - low) / (2 * STEP) * cotangent), rtol=1e-7, atol=1e-8
        )
    single = append_vjp(model(MODELS[name].replace("dtype = 11", "dtype = 1"), "float"), "y", wrt)
    runtime = ort.InferenceSession(single.SerializeToString(), providers=["CPUExecutionProvider"])
    fed = {k: v.astype(np.float32) for k, v in {**feeds, "y_cotangent": cotangent}.items()}
    for grad, actual in zip(grads, runtime.run([f"{w}_grad" for w in wrt], fed), strict=True):
        np.testing.assert_allclose(actual, grad, rtol=1e-4, atol=1e-5)


def test_pieces_may_have_sizes_that_run_time_decides() -> None:
    body = (
        "s = SplitToSequence<axis = 1>(x, lengths) a = SequenceAt(s, i) b = SequenceAt(s, j) y = Concat<axis = 1>(b, a)"
    )
    vjp = append_vjp(model(body, "double", ", int64[3] lengths"), "y", "x")
    cotangent = rng.normal(size=(2, 5))
    feeds = {"x": X, "z": Z, "lengths": np.array([1, 3, 2]), "y_cotangent": cotangent}
    (grad,) = Float64Session(vjp).run(["x_grad"], feeds)
    np.testing.assert_array_equal(grad, np.concatenate([np.zeros((2, 1)), cotangent[:, 2:], cotangent[:, :2]], axis=1))


@pytest.mark.parametrize(("output", "wrt"), [("y", "s"), ("s", "x")])
def test_a_sequence_has_no_gradient_itself(output: str, wrt: str) -> None:
    with pytest.raises(UsageError, match="'s' holds tensors and is none"):
        append_vjp(model(MODELS["concatenated"], "float"), output, wrt)

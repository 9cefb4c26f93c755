"""An infinite gradient, of the root of 0 and the like, that meets a slope of 0: the product counts as 0 and is no NaN.

What is expected is computed by hand: the Jacobian of the mask by central differences in float64, the pole's derivative
by its formula, and their product without the terms in which the Jacobian is 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import numpy_helper, parser
from onnxplain.engine.gradcheck.float64.session import Float64Session
from onnxplain.graph_rewrites.rewrite import rewrite
from onnxplain.graph_rewrites.vjp import append_vjp

STEP = 1e-5
# From x [1, 6] to r, never negative, and 0 at some elements of x whatever its neighbours are. No x is at a kink.
X = np.array([[-1.5, 0.7, 2.1, -0.3, -2.2, 4.4]])
MASKS = {
    "Relu": "r = Relu(x)",
    "Clip": "r = Clip(x, zero)",
    "Clip to 6": "r = Clip(x, zero, three)",
    "Clip of Clip": "c = Clip(x, minus, three) r = Add(c, one)",
    "Max": "r = Max(x, zero)",
    "Max of three": "m = Neg(x) n = Mul(m, zero) r = Max(x, zero, n)",
    "Min": "m = Neg(x) n = Min(m, zero) r = Neg(n)",
    "LeakyRelu": "r = LeakyRelu<alpha = 0.0>(x)",
    "PRelu": "r = PRelu(x, zeros)",
    "ThresholdedRelu": "r = ThresholdedRelu<alpha = 1.0>(x)",
    "Shrink": "a = Relu(x) r = Shrink<lambd = 1.0>(a)",
    "HardSigmoid": "r = HardSigmoid<alpha = 0.3, beta = 0.2>(x)",
    "HardSwish": "h = HardSwish(x) a = Relu(h) r = Mul(a, three)",
    "Elu": "e = Elu(far) r = Add(e, one)",
    "Celu": "e = Celu(far) r = Add(e, one)",
    "Tanh": "t = Tanh(far) r = Add(t, one)",
    "Erf": "e = Erf(far) r = Add(e, one)",
    "Where": "g = Greater(x, zero) r = Where(g, x, zero)",
    "Mul": "r = Mul(x, switches)",
    "Mul by a mask": "g = Greater(x, zero) f = CastLike(g, x) r = Mul(x, f)",
    "Dropout": "a = Relu(x) r = Dropout(a)",
    "Abs": "a = Relu(x) r = Abs(a)",
    "Pow": "a = Relu(x) r = Pow(a, two)",
    "Pow 3": "a = Relu(x) r = Pow(a, three)",
    "square": "a = Relu(x) r = Mul(a, a)",
    "BatchNormalization": "a = Relu(x) r = BatchNormalization<epsilon = 0.0>(a, switches1, zeros1, zeros1, ones1)",
    "MaxPool": "v = Reshape(x, image) m = MaxPool<kernel_shape = [2], strides = [1]>(v) r = Relu(m)",
    "MaxPool of Relu": "v = Reshape(x, image) a = Relu(v) r = MaxPool<kernel_shape = [2], strides = [2]>(a)",
    "AveragePool": "v = Reshape(x, image) a = Relu(v) r = AveragePool<kernel_shape = [2], strides = [2]>(a)",
    "LpPool": "v = Reshape(x, image) a = Relu(v) r = LpPool<kernel_shape = [2], strides = [2]>(a)",
    "LpPool 3": "v = Reshape(x, image) a = Relu(v) r = LpPool<kernel_shape = [2], strides = [1], p = 3>(a)",
    "GlobalMaxPool": "v = Reshape(x, three_groups) a = Relu(v) r = GlobalMaxPool(a)",
    "GlobalAveragePool": "v = Reshape(x, three_groups) a = Relu(v) r = GlobalAveragePool(a)",
    "GlobalLpPool": "v = Reshape(x, three_groups) a = Relu(v) r = GlobalLpPool(a)",
    "ReduceMax": "a = Relu(x) v = Reshape(a, three_groups) r = ReduceMax<axes = [2]>(v)",
    "ReduceMin": "a = Relu(x) v = Reshape(a, three_groups) r = ReduceMin<axes = [2]>(v)",
    "ReduceL1": "a = Relu(x) v = Reshape(a, three_groups) r = ReduceL1<axes = [2]>(v)",
    "ReduceL2": "a = Relu(x) v = Reshape(a, three_groups) r = ReduceL2<axes = [2]>(v)",
    "ReduceSumSquare": "a = Relu(x) v = Reshape(a, three_groups) r = ReduceSumSquare<axes = [2]>(v)",
    "ReduceProd": "a = Relu(x) v = Reshape(a, three_groups) r = ReduceProd<axes = [2]>(v)",
    "CumSum": "a = Relu(x) r = CumSum(a, axis)",
    "MatMul": "a = Relu(x) r = MatMul(a, weights)",
    "Gemm": "a = Relu(x) r = Gemm(a, weights)",
    "Einsum": 'a = Relu(x) r = Einsum<equation = "ni,ij->nj">(a, weights)',
    "Conv": "v = Reshape(x, image) a = Relu(v) r = Conv(a, filter)",
    "ConvTranspose": "v = Reshape(x, image) a = Relu(v) r = ConvTranspose(a, filter)",
    "Resize": 'v = Reshape(x, image) a = Relu(v) r = Resize<mode = "linear">(a, empty, scales)',
    "Pad": 'a = Relu(x) r = Pad<mode = "reflect">(a, pads)',
    "Gather": "a = Relu(x) r = Gather<axis = 1>(a, places)",
    "If": "b = Less(zero, one) "
    "r = If<then_branch = t () => (u) {u = Relu(x)}, else_branch = e () => (v) {v = Abs(x)}>(b)",
}
SLOPES: dict[str, tuple[str, Any]] = {
    "Sqrt": ("p = Sqrt(r)", lambda r: 0.5 / np.sqrt(r)),
    "Pow": ("p = Pow(r, half)", lambda r: 0.5 / np.sqrt(r)),
    "Log": ("p = Log(r)", lambda r: 1 / r),
    "Reciprocal": ("p = Reciprocal(r)", lambda r: -1 / r**2),
    "Div": ("p = Div(two, r)", lambda r: -2 / r**2),
    "Acosh": ("q = Add(r, one) p = Acosh(q)", lambda r: 1 / np.sqrt(r * (r + 2))),
    "Sqrt, moved": (
        "q = Transpose(r) s = Add(q, q) m2 = Neg(s) m3 = Neg(m2) p = Sqrt(m3)",
        lambda r: 1 / np.sqrt(2 * r),
    ),
}


def model(body: str, output: str, dtype: str = "double", opset: int = 17) -> onnx.ModelProto:
    """A body on x [1, 6]; constants of the body's dtype by name."""
    made = parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : {opset}]> g ({dtype}[1, 6] x) => ({dtype} {output})
        <int64[3] image = {{1, 1, 6}}, int64[3] three_groups = {{1, 3, 2}}, int64 axis = {{1}}, int64[1] axis1 = {{1}},
         int64[4] pads = {{0, 1, 0, 1}}, int64[4] places = {{0, 1, 1, 5}}, float[3] scales = {{1, 1, 1.5}},
         {dtype}[0] empty = {{}}> {{ {body} }}"""
    )
    made.graph.output[0].type.tensor_type.ClearField("shape")
    weights = np.array([[1.0, 0, 2], [0, 3, 0], [0, 0.5, 1], [2, 0, 1], [0, 1, 0], [1, 0, 0]])
    constants = {"zero": 0, "one": 1, "minus": -1, "two": 2, "three": 3, "half": 0.5, "zeros": np.zeros(6)}
    constants |= {"switches": [0, 1, 1, 0, 0, 1], "switches1": [0, 1, 1, 0, 1, 0], "zeros1": np.zeros(6)}
    constants |= {"ones1": np.ones(6), "weights": weights, "filter": np.array([[[1.0, 0, 2]]])}
    kind = np.float64 if dtype == "double" else np.float32
    made.graph.initializer.extend(numpy_helper.from_array(np.asarray(v, kind), n) for n, v in constants.items())
    return made


def forward(body: str, output: str, x: np.ndarray) -> np.ndarray:
    return np.asarray(Float64Session(model(body, output)).run([output], {"x": x})[0], np.float64).ravel()


def jacobian(body: str, x: np.ndarray) -> np.ndarray:
    """Of r by x, [r, x], with differences that only rounding makes taken as none."""
    steps = np.eye(x.size).reshape(-1, *x.shape) * STEP
    columns = [(forward(body, "r", x + step) - forward(body, "r", x - step)) / (2 * STEP) for step in steps]
    matrix = np.stack(columns, axis=1)
    return np.where(np.abs(matrix) < 1e-9, 0, matrix)


def vjps(body: str, x: np.ndarray) -> list[np.ndarray]:
    """The gradient of the sum of p, in float64 and by ONNX Runtime in float32."""
    cotangent = np.ones(np.asarray(Float64Session(model(body, "p")).run(["p"], {"x": x})[0]).shape)
    grads = Float64Session(append_vjp(model(body, "p"), "p", "x")).run(["x_grad"], {"x": x, "p_cotangent": cotangent})
    single = append_vjp(model(body, "p", "float"), "p", "x").SerializeToString()
    session = ort.InferenceSession(single, providers=["CPUExecutionProvider"])
    feeds = {"x": x.astype(np.float32), "p_cotangent": cotangent.astype(np.float32)}
    return [*grads, *session.run(["x_grad"], feeds)]


def expected(mask: str, x: np.ndarray, slope: Any) -> np.ndarray:
    matrix, slopes = jacobian(mask, x), slope(forward(mask, "r", x))
    return np.where(matrix == 0, 0, slopes[:, None] * np.where(matrix == 0, 1, matrix)).sum(0).reshape(x.shape)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("mask", "pole"),
    [*((mask, "Sqrt") for mask in MASKS), *((mask, pole) for mask in list(MASKS)[::8] for pole in SLOPES)],
)
def test_an_infinite_gradient_meets_a_slope_of_zero(mask: str, pole: str) -> None:
    body, x = MASKS[mask], X
    if "far" in body:
        body, x = f"far = Mul(x, three) {body}", np.where(X < -1, -1e3, X)
    node, slope = SLOPES[pole]
    slopes = expected(body, x, slope)
    for grad in vjps(f"{body} {node}", x):
        np.testing.assert_allclose(grad, slopes, rtol=2e-4, atol=1e-6)


LOOP = """y = Loop<body = step (int64 i, bool go, {dtype}[1, 6] s) => (bool on, {dtype}[1, 6] t)
         {{ on = Identity(go) a = Relu(s) b = Sqrt(a) t = Add(b, x) }}>(steps, yes, x) p = Sqrt(y)"""


@pytest.mark.filterwarnings("ignore")
def test_a_pole_in_one_step_of_a_loop_reaches_the_masks_of_others() -> None:
    """y = sqrt(relu(sqrt(relu(x)) + x)) + x at x > 0, and x + 0 elsewhere: with p = sqrt(y) by hand, where y > 0."""
    for dtype, kind in (("double", np.float64), ("float", np.float32)):
        made = parser.parse_model(
            f"""<ir_version: 8, opset_import: ["" : 17]> g ({dtype}[1, 6] x) => ({dtype}[1, 6] z)
            <int64 steps = {{2}}, bool yes = {{1}}> {{ {LOOP.format(dtype=dtype)} z = Relu(y) }}"""
        )
        x = np.array([[-1.0, 1, 4, -2, 9, 0.25]])
        vjp, feeds = append_vjp(made, "z", "x"), {"x": x.astype(kind), "z_cotangent": np.ones((1, 6), kind)}
        if dtype == "double":
            (grad,) = Float64Session(vjp).run(["x_grad"], feeds)
        else:
            session = ort.InferenceSession(vjp.SerializeToString(), providers=["CPUExecutionProvider"])
            (grad,) = session.run(["x_grad"], feeds)
        root = np.sqrt(np.abs(x))
        inner = 0.5 / root + 1
        by_hand = np.where(x > 0, 0.5 / np.sqrt(root + np.abs(x)) * inner + 1, 0)
        np.testing.assert_allclose(grad, by_hand, rtol=1e-5)


def test_an_infinite_gradient_that_nothing_masks_stays_infinite() -> None:
    for grad in vjps("r = Identity(x) p = Sqrt(r)", np.array([[0.0, 1, 4, 9, 0, 0.25]])):
        np.testing.assert_allclose(grad, [[np.inf, 0.5, 0.25, 1 / 6, np.inf, 1]])


def test_where_an_infinite_and_a_finite_gradient_meet_the_sum_is_infinite() -> None:
    """p_j = sqrt(sum_i w_ij relu(x_i)); x_1 lies at 0 for j = 1 alone."""
    body = "r = MatMul(x, weights) p = Sqrt(r)"
    x = np.array([[1.0, 0, 0, 0, 0, 0]])  # r = [1, 0, 2]; the column of j = 1 has weights 3, 0.5 and 1
    for grad in vjps(body, x):
        np.testing.assert_allclose(grad, [[0.5 + 2 / np.sqrt(8), np.inf, np.inf, 1 + 0.5 / np.sqrt(2), np.inf, 0.5]])


@pytest.mark.parametrize(
    "tail",
    [
        "p = Exp(r)",
        "p = Div(r, three)",
        "p = Pow(r, three)",
        "q = Mul(r, r) m = ReduceMean(q) v = Add(m, one) s = Sqrt(v) p = Div(r, s)",
        "q = Pow(r, two) m = ReduceMean(q) v = Add(m, one) s = Pow(v, half) i = Reciprocal(s) p = Mul(r, i)",
        "e = Exp(r) s = ReduceSum(e) p = Div(e, s)",
        "s = ReduceL2(r) p = Div(r, s)",
        "s = ReduceL2(r) m = Max(s, half) p = Div(r, m)",
        "m = Clip(r, half) l = Log(m) p = Neg(l)",
        "n = Neg(r) e = Exp(n) d = Add(e, one) p = Reciprocal(d)",
        "s = Softmax(r) p = Log(s)",
    ],
)
def test_ordinary_networks_are_masked_by_multiplication(tail: str) -> None:
    """Normalisations with an epsilon, softmax by hand and the like have no pole that they reach."""
    nodes = append_vjp(model(f"r = Relu(x) {tail}", "p", "float"), "p", "x").graph.node
    assert not [node.op_type for node in nodes if node.op_type in ("IsInf", "Where") and "/r" in node.name]
    assert [node for node in nodes if node.op_type == "Cast" and "gradient" in node.name]
    assert not [node for node in nodes if node.op_type == "IsInf"]


@pytest.mark.parametrize(
    "tail", ["p = Sqrt(r)", "d = Add(r, minus) p = Div(three, d)", "p = Pow(r, half)", "p = Log(r)"]
)
def test_behind_a_pole_masks_select(tail: str) -> None:
    nodes = append_vjp(model(f"r = Relu(x) {tail}", "p", "float"), "p", "x").graph.node
    assert [node.op_type for node in nodes if node.name.endswith("/Where")]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("opset", [17, 20, 23])
def test_the_gradient_of_several_classes_is_finite(opset: int) -> None:
    """Root pooling of a ReLU, two classes at once, in an explained model."""
    made = parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : {opset}]> g (float[N, 2, 3, 3] x) => (float[N, 3] y)
        <int64[2] axes = {{2, 3}}, float[2, 3] w = {{1, 0, 2, 0, 1, 1}}>
        {{ r = Relu(x) s = Sqrt(r) m = ReduceSum<keepdims = 0>(s, axes) y = MatMul(m, w) }}"""
    )
    x = np.random.default_rng(3).normal(size=(2, 2, 3, 3)).astype(np.float32)
    explained = rewrite(made, method="gradient")
    session = ort.InferenceSession(explained.SerializeToString(), providers=["CPUExecutionProvider"])
    (grad,) = session.run(["input_gradient"], {"x": x, "target": np.array([[0, 2], [1, 2]])})
    weights = np.array([[[1, 0], [2, 1]], [[0, 1], [2, 1]]])[..., None, None]
    slopes = np.where(x > 0, 0.5 / np.sqrt(np.abs(x)), 0)[:, None] * weights
    np.testing.assert_allclose(grad, slopes, rtol=1e-5)

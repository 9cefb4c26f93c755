"""What the rules choose at kinks, ties, zeros and poles, and that extreme inputs give no NaN in float32."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from onnx import numpy_helper, parser
from onnxplain.engine.gradcheck.float64.session import Float64Session
from onnxplain.graph_rewrites.vjp import append_vjp

from .harness import Case, forward, gradients, runtime_gradients

INF = np.inf


def vector(*values: float) -> np.ndarray:
    return np.array(values, np.float64)


def scalar(value: float) -> np.ndarray:
    return np.array(value, np.float64)


def kink(op: str, inputs: Sequence[Any], *expected: Any, **options: Any) -> Any:
    """A case, and the gradient of each differentiated input for a cotangent of ones."""
    case = Case(op, inputs, **options)
    return pytest.param(case, expected, id=case.name + "".join(str(x.tolist()) for x in inputs if x is not None))


ELEMENTWISE = [
    kink("Max", [vector(1, 2, 3), vector(2, 2, 2)], [0, 0.5, 1], [1, 0.5, 0]),
    kink("Min", [vector(1, 2, 3), vector(2, 2, 2)], [1, 0.5, 0], [0, 0.5, 1]),
    kink("Max", [vector(1), vector(1), vector(0), vector(1)], [1 / 3], [1 / 3], [0], [1 / 3]),
    kink("Max", [vector(-INF, INF), vector(-INF, 0)], [0.5, 1], [0.5, 0]),
    kink("Clip", [vector(-2, -1, 0, 1, 2), scalar(-1), scalar(1)], [0, 1, 1, 1, 0], 1, 1),
    kink("Clip", [vector(-1, 0, 1, 6, 7), scalar(0), scalar(6)], [0, 0, 1, 0, 0], constant=[1, 2], wrt=[0]),
    kink("Clip", [vector(-1, 0, 1), scalar(0)], [0, 0, 1], constant=[1], wrt=[0]),
    kink("Clip", [vector(-2, -1, 0), scalar(0), scalar(-1)], [0, 0, 0], constant=[1, 2], wrt=[0]),
    kink("Sqrt", [vector(0, 4)], [INF, 0.25]),
    kink("Abs", [vector(-1, 0, 1)], [-1, 0, 1]),
    kink("Reciprocal", [vector(0)], [-INF]),
    kink("Log", [vector(0)], [INF]),
    kink("Pow", [vector(0, 2, -2), vector(0, 0, 0)], [0, 0, 0], wrt=[0]),
    kink("Pow", [vector(0, 0, 0), vector(1, 2, 3)], [1, 0, 0], [0, 0, 0]),
    kink("Pow", [vector(0, 0, 4), vector(0, 0.5, 0.5)], [0, INF, 0.25], [0, 0, 2 * np.log(4)]),
    kink("Pow", [vector(0, 3), scalar(0)], [0, 0], constant=[1], wrt=[0]),
    kink("Pow", [vector(0, -3), scalar(2)], [0, -6], constant=[1], wrt=[0]),
    kink("Where", [np.array([True, False]), vector(1, 2), vector(3, 4)], [1, 0], [0, 1]),
    *[kink(op, [vector(-1.5, 0, 2)], [0, 0, 0]) for op in ("Floor", "Ceil", "Round", "Sign")],
]

ACTIVATIONS = [
    kink("Relu", [vector(-1, 0, 1)], [0, 0, 1]),
    kink("LeakyRelu", [vector(-1, 0, 1)], [0.25, 0.25, 1], attrs={"alpha": 0.25}),
    kink("PRelu", [vector(-1, 0, 1), vector(0.5)], [0.5, 0.5, 1], [-1]),
    kink("Elu", [vector(0, 1)], [0.5, 1], attrs={"alpha": 0.5}),
    kink("Selu", [vector(0, 1)], [1.0507009873554805 * 1.6732632423543772, 1.0507009873554805]),
    kink("Celu", [vector(0, 1)], [1, 1], attrs={"alpha": 2.0}),
    kink("HardSigmoid", [vector(-2, 0, 2)], [0, 0.25, 0], attrs={"alpha": 0.25, "beta": 0.5}),
    kink("HardSwish", [vector(-4, -3, 0, 3, 4)], [0, 0, 0.5, 1, 1]),
    kink("ThresholdedRelu", [vector(0.5, 1, 2)], [0, 0, 1]),
    kink("Shrink", [vector(-1, -0.5, 0, 0.5, 1)], [1, 0, 0, 0, 1]),
    kink("Softsign", [vector(0)], [1]),
]

REDUCTIONS = [
    kink("ReduceMax", [vector(1, 3, 3)], [0, 0.5, 0.5]),
    kink("ReduceMin", [vector(1, 1, 3, 1)], [1 / 3, 1 / 3, 0, 1 / 3]),
    kink("ReduceProd", [vector(2, 3, 4)], [12, 8, 6]),
    kink("ReduceProd", [vector(2, 0, 4)], [0, 8, 0]),
    kink("ReduceProd", [vector(0, 0, 4)], [0, 0, 0]),
    kink("CumProd", [vector(2, 0, 3, 0), np.array(0)], [1, 2 + 6, 0, 0], constant=[1], opset=26),
    kink("CumProd", [vector(0, 3), np.array(0)], [1 + 3, 0], constant=[1], opset=26),
    kink("ReduceL1", [vector(-2, 0, 2)], [-1, 0, 1]),
    kink("ReduceL2", [vector(0, 0)], [0, 0]),
    kink("ReduceL2", [vector(3, -4)], [0.6, -0.8]),
    kink("LpNormalization", [np.zeros((1, 3))], np.zeros((1, 3))),
    kink("LpNormalization", [np.zeros((1, 3))], np.zeros((1, 3)), attrs={"p": 1}),
    kink("MeanVarianceNormalization", [np.ones((1, 1, 2))], np.zeros((1, 1, 2)), attrs={"axes": [2]}),
]

SELECTION = [
    # The runtimes return the first of the elements that tie.
    kink("TopK", [vector(1, 2, 2), np.array([1])], [0, 1, 0], outputs=2, constant=[1]),
    kink("Unique", [vector(3, 1, 3, 1)], [1, 1, 0, 0]),
]

PLACES = np.array([0, 0, 1])
SCATTER = [
    kink("ScatterElements", [vector(1, 2, 3), PLACES, vector(1, 1, 2)], *expected, opset=18, attrs={"reduction": name})
    for name, expected in [
        ("max", ([1 / 3, 0.5, 1], [1 / 3, 1 / 3, 0.5])),
        ("min", ([1 / 3, 0.5, 1], [1 / 3, 1 / 3, 0.5])),
    ]
] + [
    kink("ScatterElements", [x, PLACES, u], *expected, opset=18, attrs={"reduction": "mul"})
    for x, u, expected in [
        (vector(2, 0, 5), vector(3, 0, 7), ([0, 7, 1], [0, 6, 0])),
        (vector(0, 2, 5), vector(3, 4, 0), ([12, 0, 1], [0, 0, 2])),
        (vector(0, 0, 5), vector(3, 0, 0), ([0, 0, 1], [0, 0, 0])),
    ]
]

FAR = vector(-1000, -100, 100, 1000)
EXTREMES = [
    kink("Elu", [FAR], [0, 0, 1, 1]),
    kink("Elu", [FAR], [0, 0, 1, 1], attrs={"alpha": 0.5}),
    kink("Selu", [FAR], [0, 0, 1.0507009873554805, 1.0507009873554805]),
    kink("Celu", [FAR], [0, 0, 1, 1], attrs={"alpha": 0.5}),
    kink("Sigmoid", [FAR], [0, 0, 0, 0]),
    kink("Tanh", [FAR], [0, 0, 0, 0]),
    kink("Softplus", [FAR], [0, 0, 1, 1]),
    kink("Mish", [vector(-1000, -100, 100, 700)], [0, 0, 1, 1], opset=18),
    kink("Swish", [FAR], [0, 0, 1, 1], opset=24),
    kink("HardSwish", [FAR], [0, 0, 1, 1]),
    kink("Gelu", [FAR], [0, 0, 1, 1], opset=20),
    kink("Gelu", [FAR], [0, 0, 1, 1], opset=20, attrs={"approximate": "tanh"}),
    kink("Erf", [FAR], [0, 0, 0, 0]),
    kink("Atan", [vector(-1e30, 1e30)], [0, 0]),
    kink("Softmax", [FAR], [0, 0, 0, 0]),
    kink("LogSoftmax", [FAR], [1, 1, 1, -3]),
    kink("ReduceLogSumExp", [FAR], [0, 0, 0, 1]),
]


@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:overflow", "ignore:invalid value")
@pytest.mark.parametrize(
    ("case", "expected"), [*ELEMENTWISE, *ACTIVATIONS, *REDUCTIONS, *SELECTION, *SCATTER, *EXTREMES]
)
def test_the_gradient_is_the_documented_one(case: Case, expected: tuple[Any, ...]) -> None:
    cotangent = np.ones(forward(case).shape)
    for results in (gradients(case, cotangent), runtime_gradients(case, cotangent)):
        for index, values in zip(case.differentiated, expected, strict=True):
            np.testing.assert_allclose(results[index], values, rtol=1e-6, atol=1e-7)


def test_an_infinite_gradient_stays_out_of_the_branch_that_was_not_selected() -> None:
    case = Case("Where", [np.array([True, False]), vector(1, 2), vector(3, 4)])
    for results in (gradients(case, vector(INF, INF)), runtime_gradients(case, vector(INF, INF))):
        np.testing.assert_array_equal(results[1], [INF, 0])
        np.testing.assert_array_equal(results[2], [0, INF])


# x at a pole or beyond it, where the branch that has it is not chosen: the whole is 3x there, or 0.
NOT_CHOSEN: dict[str, tuple[list[str], list[float]]] = {
    "Sqrt": (["f = Sqrt(x)"], [-1, 0]),
    "Log": (["f = Log(x)"], [-1, 0]),
    "Reciprocal": (["f = Reciprocal(x)"], [0]),
    "Asin": (["f = Asin(x)"], [-1, 1, 2]),
    "Acos": (["f = Acos(x)"], [-1, 1, 2]),
    "Acosh": (["f = Acosh(x)"], [1, 0]),
    "Atanh": (["f = Atanh(x)"], [-1, 1, 2]),
    "Div": (["f = Div(three, x)"], [0]),
    "Div of 0": (["f = Div(x, x)"], [0]),
    "Softmax": (["f = Softmax<axis = 0>(x)"], [-INF, -INF]),
    "LogSoftmax": (["f = LogSoftmax<axis = 0>(x)"], [-INF, -INF]),
    "Pow": (["f = Pow(x, half)"], [-1, 0]),
    "Pow of a base": (["f = Pow(x, x)"], [-1]),
    "ReduceLogSum": (["i = Unsqueeze(x, one)", "f = ReduceLogSum<keepdims = 0>(i, one)"], [-1, 0]),
}


@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:overflow", "ignore:invalid value")
@pytest.mark.parametrize("name", NOT_CHOSEN)
def test_a_pole_in_a_branch_that_was_not_chosen_leaves_no_nan(name: str) -> None:
    nodes, values = NOT_CHOSEN[name]
    feeds = {"x": vector(*values), "y_cotangent": np.ones(len(values))}
    for grad in vjp_of(f"{' '.join(nodes)} a = Mul(x, three) y = Where(never, f, a)", len(values), feeds):
        np.testing.assert_array_equal(grad, np.full(len(values), 3.0))


@pytest.mark.parametrize(
    ("before", "is_guarded"),
    [
        ("s = MatMul(x, x)", False),
        ("m = MatMul(x, x) s = Div(m, three)", False),
        ("m = MatMul(x, x) d = Add(m, three) s = Mul(d, three)", False),
        ("s = Add(x, three)", True),  # x may be masked already
        ("m = MatMul(x, x) i = Log(never_float) s = Add(m, i)", True),
        ("m = MatMul(x, x) s = Add(m, infinite)", True),
        ("m = MatMul(x, x) s = Where(never, m, infinite)", True),
    ],
)
@pytest.mark.parametrize("function", ["Softmax", "LogSoftmax"])
def test_a_softmax_is_guarded_where_its_input_may_be_masked(before: str, is_guarded: bool, function: str) -> None:
    """A guard costs as much as the rest of the gradient, and products of attention scores need none."""
    text = f"""<ir_version: 8, opset_import: ["" : 17]>
    g (float[2, 2] x) => (float[2, 2] y)
    <float three = {{3}}, bool never = {{0}}, float never_float = {{0}}, float[2] infinite = {{0, 0}}>
    {{ {before} y = {function}(s) }}"""
    model = parser.parse_model(text)
    weight = next(one for one in model.graph.initializer if one.name == "infinite")
    weight.CopyFrom(numpy_helper.from_array(np.array([0, -INF], np.float32), "infinite"))
    operators = {node.op_type for node in append_vjp(model, "y", ["x"]).graph.node}
    assert ("IsNaN" in operators) == is_guarded


@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:overflow", "ignore:invalid value")
@pytest.mark.parametrize("floor", ["Max(n, half)", "Clip(n, half)"])
@pytest.mark.parametrize("norm", ["q = Mul(x, x) s = ReduceSum<keepdims = 1>(q) n = Sqrt(s)", "n = ReduceL2(x)"])
def test_a_zero_vector_can_be_normalised(norm: str, floor: str) -> None:
    """Near 0, y = x / Max(|x|, 1/2) is 2x."""
    feeds = {"x": np.zeros(3), "y_cotangent": vector(1, -2, 3)}
    for grad in vjp_of(f"{norm} m = {floor} y = Div(x, m)", 3, feeds):
        np.testing.assert_array_equal(grad, [2, -4, 6])


def vjp_of(body: str, size: int, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    """The gradient of y with respect to x, in float64 and in float32 by ONNX Runtime."""
    grads = []
    for dtype, kind in (("double", np.float64), ("float", np.float32)):
        model = parser.parse_model(
            f'<ir_version: 8, opset_import: ["" : 18]> g ({dtype}[{size}] x) => ({dtype}[{size}] y) '
            f"<{dtype} three = {{3}}, {dtype} half = {{0.5}}, int64[1] one = {{1}}, bool never = {{0}}> {{ {body} }}"
        )
        vjp, fed = append_vjp(model, "y", "x"), {key: value.astype(kind) for key, value in feeds.items()}
        if kind is np.float64:
            grads += Float64Session(vjp).run(["x_grad"], fed)
        else:
            session = ort.InferenceSession(vjp.SerializeToString(), providers=["CPUExecutionProvider"])
            grads += session.run(["x_grad"], fed)
    return grads


@pytest.mark.parametrize("ratio", [np.array(0.25), None], ids=["ratio", "default ratio"])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("outputs", [1, 2], ids=["without its mask", "with its mask"])
@pytest.mark.parametrize("kind", [np.float32, np.float16])
def test_dropout_in_training_scales_what_it_keeps(
    training: bool, ratio: np.ndarray | None, outputs: int, kind: type
) -> None:
    """The gradient of y = x * mask / (1 - ratio) is y where x = 1."""
    case = Case("Dropout", [np.ones((4, 5)), ratio, np.array(training)], {"seed": 3}, outputs=outputs, wrt=[0])
    model = append_vjp(case.model(kind), "y0", ["x0"])
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    feeds = {**case.feeds(kind), "y0_cotangent": np.ones((4, 5), kind)}
    y, grad = session.run(["y0", "x0_grad"], feeds)
    np.testing.assert_allclose(grad, y, rtol=10 * float(np.finfo(kind).eps))
    assert training == bool((y == 0).any())


@pytest.mark.parametrize(
    ("op", "inputs", "attrs", "opset"),
    [
        ("LayerNormalization", [(2, 8), (8,), (8,)], {}, 17),
        ("InstanceNormalization", [(2, 3, 8), (3,), (3,)], {}, 17),
        ("GroupNormalization", [(2, 4, 8), (4,), (4,)], {"num_groups": 2}, 21),
        ("MeanVarianceNormalization", [(2, 3, 8)], {"axes": [2]}, 17),
    ],
)
def test_a_large_mean_costs_few_digits(
    op: str, inputs: list[tuple[int, ...]], attrs: dict[str, Any], opset: int
) -> None:
    """Mean 1000, deviation 1: E[x^2] - E[x]^2 would keep one digit in float32."""
    rng = np.random.default_rng(0)
    x = (rng.normal(size=inputs[0]) + 1000).astype(np.float32).astype(np.float64)
    case = Case(op, [x, *(rng.normal(size=shape) for shape in inputs[1:])], attrs, opset=opset)
    cotangent = rng.normal(size=inputs[0])
    expected, actual = gradients(case, cotangent)[0], runtime_gradients(case, cotangent)[0]
    np.testing.assert_allclose(actual, expected, atol=2e-3 * np.abs(expected).max())

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnxplain.graph_rewrites.autodiff.reverse import Gradient, Node
from onnxplain.graph_rewrites.backward_rules.registry import RULES, backward_rule
from onnxplain.graph_rewrites.build.emitter import Emitter
from onnxplain.graph_rewrites.errors import OnnxplainError, UsageError
from onnxplain.graph_rewrites.graph.tensors import Tensor
from onnxplain.graph_rewrites.rewrite import rewrite
from onnxplain.graph_rewrites.vjp import append_vjp

from ..networks import Array, Net, explain, images, run, small_cnn

Expected = dict[str, list[float]]
Writing = Callable[[Net, str], str]

# Every sign of input against every sign of cotangent; 7 lies beyond the cap of a ReLU6.
X = np.array([[-2.0, -2.0, 3.0, 3.0, 7.0, 7.0]], np.float32)
G = np.array([[-1.0, 2.0, -3.0, 4.0, -5.0, 6.0]], np.float32)

RELU: Expected = {"standard": [0, 0, -3, 4, -5, 6], "guided": [0, 0, 0, 4, 0, 6], "deconvnet": [0, 2, 0, 4, 0, 6]}
RELU6: Expected = {"standard": [0, 0, -3, 4, 0, 0], "guided": [0, 0, 0, 4, 0, 0], "deconvnet": [0, 2, 0, 4, 0, 6]}
LEAKY: Expected = {
    "standard": [-0.25, 0.5, -3, 4, -5, 6],
    "guided": [0, 0.5, 0, 4, 0, 6],
    "deconvnet": [0, 2, 0, 4, 0, 6],
}


def _where(comparison: str, swapped: bool = False, zero_first: bool = False) -> Writing:
    def write(net: Net, x: str) -> str:
        zero = net.const(0.0)
        condition = net.add(comparison, *((zero, x) if swapped else (x, zero)))
        return net.add("Where", condition, *((zero, x) if zero_first else (x, zero)))

    return write


WRITINGS: dict[str, tuple[Writing, Expected]] = {
    "Relu": (lambda net, x: net.add("Relu", x), RELU),
    "Max(x, 0)": (lambda net, x: net.add("Max", x, net.const(0.0)), RELU),
    "Max(0, x)": (lambda net, x: net.add("Max", net.const([0.0]), x), RELU),
    "Max(x, Constant 0)": (
        lambda net, x: net.add("Max", x, net.add("Constant", value_float=0.0)),
        RELU,
    ),
    "Clip(x, 0)": (lambda net, x: net.add("Clip", x, net.const(0.0)), RELU),
    "Where(x > 0, x, 0)": (_where("Greater"), RELU),
    "Where(x >= 0, x, 0)": (_where("GreaterOrEqual"), RELU),
    "Where(0 < x, x, 0)": (_where("Less", swapped=True), RELU),
    "Where(x <= 0, 0, x)": (_where("LessOrEqual", zero_first=True), RELU),
    "Where(x < 0, 0, x)": (_where("Less", zero_first=True), RELU),
    "Where(0 > x, 0, x)": (_where("Greater", swapped=True, zero_first=True), RELU),
    "Clip(x, 0, 6)": (lambda net, x: net.add("Clip", x, net.const(0.0), net.const(6.0)), RELU6),
    "Min(Max(x, 0), 6)": (
        lambda net, x: net.add("Min", net.add("Max", x, net.const(0.0)), net.const(6.0)),
        RELU6,
    ),
    "Min(6, Relu(x))": (lambda net, x: net.add("Min", net.const(6.0), net.add("Relu", x)), RELU6),
    "LeakyRelu": (lambda net, x: net.add("LeakyRelu", x, alpha=0.25), LEAKY),
    "PRelu": (lambda net, x: net.add("PRelu", x, net.const([0.25])), LEAKY),
}


def unit(writing: Writing) -> onnx.ModelProto:
    net = Net()
    y = net.add("Identity", writing(net, net.input("x", [1, 6])), out="y")
    net.output(y, [1, 6])
    return net.model()


def gradient(model: onnx.ModelProto, rules: str, x: Array = X, g: Array = G) -> Array:
    return run(append_vjp(model, "y", "x", rules), {"x": x, "y_cotangent": g})["x_grad"]


@pytest.mark.parametrize("rules", ["standard", "guided", "deconvnet"])
@pytest.mark.parametrize("name", WRITINGS)
def test_a_rectifier_is_treated_alike_however_it_is_written(name: str, rules: str) -> None:
    writing, expected = WRITINGS[name]
    np.testing.assert_array_equal(gradient(unit(writing), rules), [expected[rules]])


NOT_RECTIFIERS: dict[str, tuple[Writing, list[float]]] = {
    "Clip(x, -1, 1)": (lambda net, x: net.add("Clip", x, net.const(-1.0), net.const(1.0)), [0] * 6),
    "Clip(x, , 4)": (lambda net, x: net.add("Clip", x, "", net.const(4.0)), [-1, 2, -3, 4, 0, 0]),
    "Max(x, -x)": (lambda net, x: net.add("Max", x, net.add("Neg", x)), [1, -2, -3, 4, -5, 6]),
    "Max(x, 1)": (lambda net, x: net.add("Max", x, net.const(1.0)), [0, 0, -3, 4, -5, 6]),
    "Min(x, 4)": (lambda net, x: net.add("Min", x, net.const(4.0)), [-1, 2, -3, 4, 0, 0]),
    "Where(x > 0, 0, x)": (_where("Greater", zero_first=True), [-1, 2, 0, 0, 0, 0]),
    "Where(x < 0, x, 0)": (_where("Less"), [-1, 2, 0, 0, 0, 0]),
}


@pytest.mark.parametrize("rules", ["guided", "deconvnet"])
@pytest.mark.parametrize("name", NOT_RECTIFIERS)
def test_what_is_no_rectifier_keeps_its_plain_gradient(name: str, rules: str) -> None:
    writing, expected = NOT_RECTIFIERS[name]
    np.testing.assert_array_equal(gradient(unit(writing), "standard"), [expected])
    with pytest.raises(OnnxplainError, match="no ReLU lies between 'x' and 'y'"):
        append_vjp(unit(writing), "y", "x", rules)

    def after_a_relu(net: Net, x: str) -> str:
        """A ReLU far above zero, so that the rule set has something to take and x enters unchanged."""
        raised = net.add("Relu", net.add("Add", writing(net, x), net.const(100.0)))
        return raised

    np.testing.assert_array_equal(gradient(unit(after_a_relu), rules, g=np.abs(G)), np.abs(expected) * _sign(name))


def _sign(name: str) -> Array:
    """The slope's sign: only Max(x, -x) = |x| has a negative one."""
    return np.sign(X) if name == "Max(x, -x)" else np.ones_like(X)


@pytest.mark.parametrize("rules", ["guided", "deconvnet"])
def test_rules_without_a_relu_on_the_path_are_an_error_also_for_maps(rules: str) -> None:
    with pytest.raises(OnnxplainError, match="no ReLU") as error:
        rewrite(small_cnn(), rules=rules)  # from the last ReLU on, there is no further one
    assert "rules='standard'" in str(error.value)
    assert "\n" not in str(error.value)
    explained = rewrite(small_cnn(), rules=rules, layers="relu1")
    assert explain(explained, images(small_cnn()))["cam"].shape == (2, 1, 8, 8)


def test_a_guided_map_differs_from_the_plain_one() -> None:
    model = small_cnn()
    maps = [
        explain(rewrite(model, layers="relu1", rules=r, outputs=["gradient"]), images(model))["gradient"]
        for r in ("standard", "guided", "deconvnet")
    ]
    for i, j in ((0, 1), (0, 2), (1, 2)):
        assert np.abs(maps[i] - maps[j]).max() > 1e-3


# The smaller of ReLU(x) and a bound that is computed, too: x wins at the first four values, the bound at the last two.
BOUND = np.array([[1.0, 1.0, 5.0, 5.0, 5.0, 5.0]], np.float32)
BOUNDED: Expected = {
    "standard": [0, 0, -3, 4, 0, 0],
    "guided": [0, 0, 0, 4, 0, 0],
    "deconvnet": [0, 2, 0, 4, 0, 0],  # what reaches the ReLU is [-1, 2, -3, 4, 0, 0]
}


@pytest.mark.parametrize("rules", BOUNDED)
@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("relu", ["Relu", "Max"])
def test_the_minimum_of_a_relu_and_what_is_no_constant_is_a_plain_one(relu: str, swapped: bool, rules: str) -> None:
    net = Net()
    x, bound = net.input("x", [1, 6]), net.input("bound", [1, 6])
    cut = net.add("Relu", x) if relu == "Relu" else net.add("Max", x, net.const(0.0))
    net.output(net.add("Min", *((bound, cut) if swapped else (cut, bound)), out="y"), [1, 6])
    explained = append_vjp(net.model(), "y", ["x", "bound"], rules)
    results = run(explained, {"x": X, "bound": BOUND, "y_cotangent": G})
    np.testing.assert_array_equal(results["x_grad"], [BOUNDED[rules]])
    np.testing.assert_array_equal(results["bound_grad"], [[0, 0, 0, 0, -5, 6]])


def test_stacked_relus_are_each_guided() -> None:
    """y = relu(-relu(x)) + 2 relu(x): the outer ReLU is dead, so the inner one sees 2 g, and then only g > 0."""
    net = Net()
    x = net.input("x", [1, 6])
    inner = net.add("Relu", x)
    outer = net.add("Relu", net.add("Neg", inner))
    net.output(net.add("Add", outer, net.add("Mul", inner, net.const(2.0)), out="y"), [1, 6])
    np.testing.assert_array_equal(gradient(net.model(), "guided"), [[0, 0, 0, 8, 0, 12]])
    # deconvnet: the outer ReLU passes relu(g) whatever its input, so the inner one gets 2g - relu(g).
    np.testing.assert_array_equal(gradient(net.model(), "deconvnet"), [[0, 2, 0, 4, 0, 6]])


def test_a_rule_set_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RULES, "halved", {})

    @backward_rule("halved", "Relu")
    def halved(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
        return [op.Mul(grad, 0.5)]

    np.testing.assert_array_equal(gradient(unit(WRITINGS["Relu"][0]), "halved"), G * 0.5)
    with pytest.raises(ValueError, match="halved"):
        backward_rule("halved", "Relu")(halved)


def test_an_unknown_rule_set_names_the_closest() -> None:
    with pytest.raises(UsageError, match="unknown backward rules 'guidet'; did you mean 'guided'"):
        rewrite(small_cnn(), rules="guidet")
    with pytest.raises(UsageError, match="unknown backward rules"):
        append_vjp(small_cnn(), "logits", "image", "nothing at all")

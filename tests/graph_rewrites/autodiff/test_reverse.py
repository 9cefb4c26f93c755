from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, parser
from onnxplain.graph_rewrites.autodiff.decompose import DECOMPOSITIONS
from onnxplain.graph_rewrites.autodiff.reverse import GRADIENTS, Gradient, Node, gradient_of
from onnxplain.graph_rewrites.build.emitter import Emitter
from onnxplain.graph_rewrites.errors import OnnxplainError, UsageError
from onnxplain.graph_rewrites.graph.tensors import Tensor
from onnxplain.graph_rewrites.rewrite import rewrite
from onnxplain.graph_rewrites.vjp import append_vjp

from ..networks import Array, Net, images, names_of, run, small_cnn

X = np.array([[1.0, -2.0, 3.0]], np.float32)
G = np.array([[5.0, 7.0, -11.0]], np.float32)


def text(
    body: str, initializers: str = "", inputs: str = "float[1,3] x", outputs: str = "float[1,3] y"
) -> onnx.ModelProto:
    """A model in ONNX's text form."""
    weights = f"<{initializers}>" if initializers else ""
    model = parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : 17]> net ({inputs}) => ({outputs}) {weights} {{ {body} }}'
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def vjp(
    model: onnx.ModelProto, wrt: str | Sequence[str] = "x", output: str = "y", x: Array = X, g: Array = G
) -> dict[str, Array]:
    return run(append_vjp(model, output, wrt), {"x": x, f"{output}_cotangent": g})


def test_a_tensor_used_by_two_nodes_gets_the_sum_of_both_gradients() -> None:
    got = vjp(text("a = Neg(x) b = Exp(x) y = Add(a, b)"))
    np.testing.assert_allclose(got["x_grad"], G * (np.exp(X) - 1), rtol=1e-6)


def test_a_tensor_used_twice_by_one_node_gets_both_gradients() -> None:
    np.testing.assert_array_equal(vjp(text("y = Mul(x, x)"))["x_grad"], 2 * X * G)
    np.testing.assert_array_equal(vjp(text("y = Sub(x, x)"))["x_grad"], 0 * X)
    np.testing.assert_array_equal(vjp(text("y = Sum(x, x, x)"))["x_grad"], 3 * G)


def test_a_fan_out_of_three_with_broadcasting() -> None:
    """Y = x + s x + mean(x): dx = g + s g + mean of sum g; ds = sum g x."""
    model = text("m = ReduceMean(x) p = Mul(s, x) q = Add(x, p) y = Add(q, m)", "float[1] s = {2.0}")
    got = vjp(model, ["x", "s"])
    np.testing.assert_allclose(got["x_grad"], G * 3 + G.sum() / 3, rtol=1e-6)
    np.testing.assert_allclose(got["s_grad"], [(G * X).sum()], rtol=1e-6)
    assert got["s_grad"].shape == (1,)


def test_gradients_of_inputs_intermediates_and_initializers() -> None:
    """Y = exp(w x): with a = w x, da = g y, dx = w da, dw = sum over nothing but the broadcast axis."""
    model = text("a = Mul(x, w) y = Exp(a)", "float[3] w = {0.5, 1.0, -0.25}")
    got = vjp(model, ["a", "w", "x", "y"])
    w = np.array([0.5, 1.0, -0.25])
    da = G * np.exp(w * X)
    np.testing.assert_allclose(got["a_grad"], da, rtol=1e-6)
    np.testing.assert_allclose(got["x_grad"], da * w, rtol=1e-6)
    np.testing.assert_allclose(got["w_grad"], (da * X)[0], rtol=1e-6)
    np.testing.assert_array_equal(got["y_grad"], G)


def test_a_weight_that_was_lifted_out_of_the_graph_has_a_gradient() -> None:
    net = Net()
    net.output(net.add("MatMul", net.input("x", [2, 40]), net.random(40, 30, name="w"), out="y"), [2, 30])
    rng = np.random.default_rng(0)
    x, g = rng.normal(size=(2, 40)).astype(np.float32), rng.normal(size=(2, 30)).astype(np.float32)
    got = run(append_vjp(net.model(), "y", ["w"]), {"x": x, "y_cotangent": g})
    np.testing.assert_allclose(got["w_grad"], x.T @ g, rtol=1e-5, atol=1e-5)


def test_several_gradients_at_once_equal_single_ones() -> None:
    model = small_cnn()
    wrt = ["image", "relu1", "pool1", "relu2", "w0", "w1"]
    feeds = images(model) | {"logits_cotangent": np.random.default_rng(3).normal(size=(2, 5)).astype(np.float32)}
    together = run(append_vjp(model, "logits", wrt), feeds)
    for name in wrt:
        alone = run(append_vjp(model, "logits", name), feeds)
        np.testing.assert_allclose(together[f"{name}_grad"], alone[f"{name}_grad"], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(together["logits"], run(model, images(model))["logits"], rtol=1e-6)


def test_a_tensor_named_twice_has_one_gradient() -> None:
    model = append_vjp(small_cnn(), "logits", ["image", "relu1", "image"])
    assert names_of(model.graph.output) == ["logits", "image_grad", "relu1_grad"]


def test_the_contract_of_names_types_and_shapes() -> None:
    model = append_vjp(small_cnn(), "logits", ["image", "relu2", "w0"])
    assert names_of(model.graph.input) == ["image", "logits_cotangent"]
    assert names_of(model.graph.output) == ["logits", "image_grad", "relu2_grad", "w0_grad"]
    shapes = {
        v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim]
        for v in (*model.graph.input, *model.graph.output)
    }
    assert shapes["logits_cotangent"] == ["N", 5]
    assert shapes["image_grad"] == ["N", 3, 8, 8]
    assert shapes["relu2_grad"] == ["N", 6, 4, 4]
    assert shapes["w0_grad"] == [4, 3, 3, 3]


@pytest.mark.parametrize("dtype", [TensorProto.DOUBLE, TensorProto.FLOAT16])
def test_gradients_have_the_dtype_of_their_tensor(dtype: int) -> None:
    model = append_vjp(
        text(f"a = Cast<to={dtype}>(x) b = Mul(a, a) y = Cast<to=1>(b)"),
        "y",
        ["a", "x"],
    )
    types = {v.name: v.type.tensor_type.elem_type for v in model.graph.output}
    assert (types["a_grad"], types["x_grad"]) == (dtype, TensorProto.FLOAT)
    np.testing.assert_allclose(run(model, {"x": X, "y_cotangent": G})["x_grad"], 2 * X * G)


def test_an_intermediate_output_can_be_differentiated() -> None:
    got = vjp(text("a = Mul(x, x) y = Exp(a)"), output="a")
    np.testing.assert_array_equal(got["x_grad"], 2 * X * G)


def test_an_unused_output_of_a_node_adds_nothing() -> None:
    model = text("a, b = Split<axis=1>(x, sizes) y = Neg(b)", "int64[2] sizes = {1, 2}", outputs="float[1,2] y")
    got = vjp(model, g=np.array([[3.0, 4.0]], np.float32))
    np.testing.assert_array_equal(got["x_grad"], [[0, -3, -4]])


def test_a_path_cut_by_a_step_function_gives_zeros() -> None:
    got = vjp(text("a = Floor(x) y = Neg(a)"))
    np.testing.assert_array_equal(got["x_grad"], np.zeros_like(X))
    got = vjp(text("a = Floor(x) b = Mul(x, a) y = Neg(b)"))
    np.testing.assert_array_equal(got["x_grad"], -G * np.floor(X))


def test_the_second_derivative_of_a_cube() -> None:
    """Y = 2 x^3: the first derivative with cotangent g is 6 g x^2, its own with cotangent h 12 g h x."""
    once = append_vjp(text("a = Mul(x, x) b = Mul(a, x) y = Mul(b, c)", "float[1] c = {2.0}"), "y", "x")
    twice = append_vjp(once, "x_grad", ["x", "y_cotangent"])
    assert names_of(twice.graph.output) == ["y", "x_grad", "onnxplain_x_grad", "y_cotangent_grad"]
    h = np.array([[0.5, 2.0, -1.0]], np.float32)
    got = run(twice, {"x": X, "y_cotangent": G, "x_grad_cotangent": h})
    np.testing.assert_allclose(got["x_grad"], 6 * G * X**2, rtol=1e-6)
    np.testing.assert_allclose(got["onnxplain_x_grad"], 12 * G * h * X, rtol=1e-6)
    np.testing.assert_allclose(got["y_cotangent_grad"], 6 * h * X**2, rtol=1e-6)


def test_no_path_is_an_error() -> None:
    model = text("y = Neg(x) z = Exp(x)", outputs="float[1,3] y, float[1,3] z")
    with pytest.raises(OnnxplainError, match="'y' does not depend on 'z'; choose a tensor on its path"):
        append_vjp(model, "y", "z")


def test_a_path_through_integers_is_no_path() -> None:
    model = text("a = Cast<to=7>(x) b = Cast<to=1>(a) y = Neg(b)")
    with pytest.raises(OnnxplainError, match="'y' does not depend on 'x'"):
        append_vjp(model, "y", "x")


def test_an_unknown_tensor_names_the_closest() -> None:
    with pytest.raises(UsageError, match="no tensor 'relu3'; did you mean 'relu2' or 'relu1'"):
        append_vjp(small_cnn(), "logits", "relu3")
    with pytest.raises(UsageError, match="no tensor 'logit'; did you mean 'logits'"):
        append_vjp(small_cnn(), "logit", "image")


def test_a_tensor_without_floats_is_refused() -> None:
    model = text("y = Neg(x) s = Shape(x)", outputs="float[1,3] y, int64[2] s")
    for output, wrt in (("s", "x"), ("y", "s")):
        with pytest.raises(UsageError, match="tensor 's' holds no floats, so it has no gradient; choose another"):
            append_vjp(model, output, wrt)


def test_an_operator_without_a_rule_names_operator_node_and_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(GRADIENTS, "Exp")
    model = text("a = Exp(x) y = Neg(a)")
    model.graph.node[0].name = "the_exp"
    with pytest.raises(OnnxplainError) as error:
        append_vjp(model, "y", "x")
    message = str(error.value)
    assert "operator Exp (node 'the_exp') has no gradient rule" in message
    assert "onnxplain.gradient_of" in message
    assert "\n" not in message
    append_vjp(model, "y", "a")  # which stops before it


@pytest.mark.parametrize("captured", ["a", "x"])
@pytest.mark.parametrize("flag", [True, False])
def test_a_branch_that_captures_the_path_adds_its_gradient(captured: str, flag: bool) -> None:
    """Y = relu(x) + (exp(c) or c), c = x or relu(x), captured by an If."""
    out = helper.make_tensor_value_info("b", TensorProto.FLOAT, [1, 3])
    branches = [
        helper.make_graph([helper.make_node(op, [captured], ["b"])], op, [], [out]) for op in ("Exp", "Identity")
    ]
    net = Net()
    x = net.input("x", [1, 3])
    a = net.add("Relu", x, out="a")
    condition = net.input("flag", [], TensorProto.BOOL)
    chosen = net.add("If", condition, then_branch=branches[0], else_branch=branches[1], name="choice")
    net.output(net.add("Add", a, chosen, out="y"), [1, 3])
    got = run(append_vjp(net.model(), "y", "x"), {"x": X, "y_cotangent": G, "flag": np.array(flag)})
    positive = np.where(X > 0, 1, 0)
    value = X if captured == "x" else np.maximum(X, 0)
    slope = (np.exp(value) if flag else 1) * (1 if captured == "x" else positive)
    np.testing.assert_allclose(got["x_grad"], G * (positive + slope), rtol=1e-6)


def test_a_capture_two_levels_deep_is_seen() -> None:
    out = helper.make_tensor_value_info("b", TensorProto.FLOAT, [1, 3])
    inner = helper.make_graph([helper.make_node("Exp", ["x"], ["b"])], "inner", [], [out])
    outer = helper.make_graph(
        [helper.make_node("If", ["flag"], ["c"], then_branch=inner, else_branch=inner)],
        "outer",
        [],
        [helper.make_tensor_value_info("c", TensorProto.FLOAT, [1, 3])],
    )
    net = Net()
    x = net.input("x", [1, 3])
    flag = net.input("flag", [], TensorProto.BOOL)
    chosen = net.add("If", flag, then_branch=outer, else_branch=outer)
    net.output(net.add("Add", x, chosen, out="y"), [1, 3])
    got = run(append_vjp(net.model(), "y", "x"), {"x": X, "y_cotangent": G, "flag": np.array(True)})
    np.testing.assert_allclose(got["x_grad"], G * (1 + np.exp(X)), rtol=1e-6)


def test_an_if_off_the_path_is_no_obstacle() -> None:
    model = text(
        "c = If (flag) <then_branch = t () => (float[1] tb) { tb = Constant<value = float[1] {2.0}>() }, "
        "else_branch = e () => (float[1] eb) { eb = Constant<value = float[1] {3.0}>() }> y = Mul(x, c)",
        inputs="float[1,3] x, bool flag",
    )
    got = run(append_vjp(model, "y", "x"), {"x": X, "y_cotangent": G, "flag": np.array(False)})
    np.testing.assert_array_equal(got["x_grad"], 3 * G)


def test_a_second_rule_for_an_operator_is_refused() -> None:
    with pytest.raises(ValueError, match="Relu has a gradient rule already"):

        @gradient_of("Relu")
        def relu(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
            return [grad]


def test_a_rule_of_ones_own_for_an_operator_of_another_domain(monkeypatch: pytest.MonkeyPatch) -> None:
    """QuickGelu, x sigmoid(alpha x), which ONNX Runtime has and the specification has not."""
    net = Net()
    x = net.input("x", [1, 3])
    net.output(net.add("QuickGelu", x, domain="com.microsoft", alpha=2.0, out="a", name="quick"), [1, 3])
    net.output(net.add("Mul", "a", net.const(3.0), out="y"), [1, 3])
    model = net.model(domains=["com.microsoft"])
    monkeypatch.delitem(DECOMPOSITIONS, "com.microsoft::QuickGelu")
    with pytest.raises(
        OnnxplainError, match=r"operator com.microsoft::QuickGelu \(node 'quick'\) has no gradient rule"
    ):
        append_vjp(model, "y", "x")

    @gradient_of("com.microsoft::QuickGelu")
    def quick_gelu(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
        (value,) = node.inputs
        gate = op.Sigmoid(op.Mul(value, node.attrs["alpha"]))
        slope = op.Add(gate, op.Mul(op.Mul(node.outputs[0], op.Sub(1.0, gate)), node.attrs["alpha"]))
        return [op.Mul(grad, slope)]

    try:
        got = run(append_vjp(model, "y", "x"), {"x": X, "y_cotangent": G}, check=False)
    finally:
        GRADIENTS.pop("com.microsoft::QuickGelu")
    gate = 1 / (1 + np.exp(-2.0 * X))
    np.testing.assert_allclose(got["x_grad"], 3 * G * (gate + 2 * X * gate * (1 - gate)), rtol=1e-5)


def test_the_table_is_the_same_after_a_rewrite() -> None:
    before = dict(GRADIENTS)
    rewrite(small_cnn(), rules="guided", layers="relu1")
    assert before == GRADIENTS


@pytest.mark.parametrize("flipped", [0, 1])
@pytest.mark.parametrize("columns", [1, 2])
def test_the_gradient_of_picked_columns_of_a_product(flipped: int, columns: int) -> None:
    rng = np.random.default_rng(0)
    weight, index = rng.normal(size=(5, 4)).astype(np.float32), rng.integers(-5, 5, size=(3, columns))
    shape = "5, 4" if flipped else "4, 5"
    text = f"""<ir_version: 8, opset_import: ["": 17]>
    g (float[3, 4] x, float[{shape}] w, int64[3, {columns}] i) => (float[3, {columns}] y)
    {{ z = Gemm <transB = {flipped}, alpha = 0.5> (x, w)  y = GatherElements <axis = 1> (z, i) }}"""
    cotangent = rng.normal(size=(3, columns)).astype(np.float32)
    feeds = {
        "x": np.ones((3, 4), np.float32),
        "w": weight if flipped else weight.T,
        "i": index,
        "y_cotangent": cotangent,
    }
    model = append_vjp(onnx.parser.parse_model(text), "y", "x")
    assert ("Gather" in [node.op_type for node in model.graph.node]) == (columns == 1)
    expected = 0.5 * np.einsum("rk,rkc->rc", cotangent, weight[index])
    np.testing.assert_allclose(run(model, feeds)["x_grad"], expected, rtol=1e-5)

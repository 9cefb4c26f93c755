from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnxplain.graph_rewrites.autodiff.reverse import GRADIENTS
from onnxplain.graph_rewrites.verification import as_float64, coverage, verification_model

from .networks import Array, Net, f32, images, run, small_cnn


def evaluate(model: onnx.ModelProto, feeds: dict[str, Array]) -> dict[str, Array]:
    """The model in float64, by onnx's reference evaluator, on feeds of any width."""
    onnx.checker.check_model(model, full_check=True)
    wide = {name: value.astype(np.float64) if value.dtype.kind == "f" else value for name, value in feeds.items()}
    names = [output.name for output in model.graph.output]
    return dict(zip(names, ReferenceEvaluator(model).run(names, wide), strict=True))


def resized(scales: str) -> onnx.ModelProto:
    """A Resize, whose scales the specification holds to float32, from an initializer, a Constant, or a computation."""
    net = Net()
    x = net.input("x", [1, 1, 4, 4])
    if scales == "initializer":
        factor = net.const([1, 1, 2, 2])
    elif scales == "Constant of a tensor":
        factor = net.add("Constant", value=numpy_helper.from_array(f32([1, 1, 2, 2])))
    elif scales == "Constant of floats":
        factor = net.add("Constant", value_floats=[1.0, 1.0, 2.0, 2.0])
    elif scales == "input":
        factor = net.input("scales", [4])
    else:
        whole = net.add("Cast", net.const([2, 2], np.int64), to=TensorProto.FLOAT)
        factor = net.add("Concat", net.const([1, 1]), whole, axis=0)
    x = net.add("Mul", net.add("Resize", x, "", factor, mode="linear"), net.const(2.0))
    net.output(net.add("Neg", x, out="y"), [1, 1, 8, 8])
    return net.model()


@pytest.mark.parametrize("scales", ["initializer", "Constant of a tensor", "Constant of floats", "computed", "input"])
def test_scales_of_a_resize_stay_float32(scales: str) -> None:
    model = resized(scales)
    feeds = {"x": np.random.default_rng(0).normal(size=(1, 1, 4, 4)).astype(np.float32)}
    if scales == "input":
        feeds["scales"] = f32([1, 1, 2, 2])
    wide = as_float64(model)
    got = evaluate(wide, feeds)["y"]
    assert got.dtype == np.float64
    np.testing.assert_allclose(got, run(model, feeds)["y"], rtol=1e-5, atol=1e-6)


def typed() -> onnx.ModelProto:
    """Float types named in attributes, in constants, in a subgraph, and left to a default."""
    net = Net()
    x = net.input("x", [2, 3])
    flag = net.input("flag", [], TensorProto.BOOL)
    half = net.add("Cast", x, to=TensorProto.FLOAT16)
    whole = net.add("Cast", net.add("Cast", half, to=TensorProto.FLOAT), to=TensorProto.INT64)
    x = net.add("Add", x, net.add("Cast", whole, to=TensorProto.FLOAT))
    shape = net.add("Shape", x)
    x = net.add("Add", x, net.add("ConstantOfShape", shape))
    one = numpy_helper.from_array(f32([1.5]))
    x = net.add("Add", x, net.add("ConstantOfShape", shape, value=one))
    x = net.add("Mul", x, net.add("Constant", value_float=0.5))
    x = net.add("Mul", x, net.add("Constant", value_floats=[1.0, 2.0, 3.0]))
    x = net.add("Mul", x, net.add("Constant", value=numpy_helper.from_array(f32([0.1, 0.2, 0.3]))))
    x = net.add("Add", x, net.add("EyeLike", x, dtype=TensorProto.FLOAT))
    x = net.add("Add", x, net.add("CastLike", whole, x))
    out = helper.make_tensor_value_info("b", TensorProto.FLOAT, [2, 3])
    branches = [
        helper.make_graph(
            [helper.make_node("Mul", [x, "factor"], ["b"])],
            name,
            [],
            [out],
            [numpy_helper.from_array(f32(value), "factor")],
        )
        for name, value in (("then", 0.7), ("else", 0.9))
    ]
    x = net.add("If", flag, then_branch=branches[0], else_branch=branches[1])
    net.output(net.add("Identity", x, out="y"), [2, 3])
    return net.model()


def test_every_way_to_name_a_float_type_becomes_float64() -> None:
    model = typed()
    before = model.SerializeToString(deterministic=True)
    feeds = {"x": np.random.default_rng(1).normal(size=(2, 3)).astype(np.float32) * 3, "flag": np.array(True)}
    got = evaluate(as_float64(model), feeds)["y"]
    assert got.dtype == np.float64
    np.testing.assert_allclose(got, run(model, feeds)["y"], rtol=1e-5)
    assert model.SerializeToString(deterministic=True) == before


def test_integers_stay_as_they_are() -> None:
    model = as_float64(typed())
    casts = [node.attribute[0].i for node in model.graph.node if node.op_type == "Cast"]
    assert casts.count(TensorProto.INT64) == 1
    assert TensorProto.FLOAT not in casts
    assert TensorProto.FLOAT16 not in casts


def test_coverage_tells_rules_function_bodies_and_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    net = Net(18)
    x = net.input("image", ["N", 3, 8, 8])
    a = net.add("Relu", net.conv(x, 3, 4), out="a")
    b = net.add("Mish", net.add("Relu", a), out="b")
    c = net.add("QuickGelu", b, domain="com.microsoft", out="c")
    net.add("Exp", x, out="off the path")
    net.output(net.head(c, 4, 5), ["N", 5])
    model = net.model(domains=["com.microsoft"])
    monkeypatch.delitem(GRADIENTS, "Mish", raising=False)
    listed = {key: (count, how) for key, count, how in coverage(model, "image", "b")}
    assert listed == {"Conv": (1, "rule"), "Relu": (2, "rule"), "Mish": (1, "function body")}
    assert sorted(coverage(model, "a", "b")) == [("Mish", 1, "function body"), ("Relu", 1, "rule")]


def test_coverage_names_a_subgraph_that_captures_the_path() -> None:
    out = helper.make_tensor_value_info("b", TensorProto.FLOAT, [1, 3])
    branch = helper.make_graph([helper.make_node("Exp", ["x"], ["b"])], "branch", [], [out])
    net = Net()
    net.input("x", [1, 3])
    flag = net.input("flag", [], TensorProto.BOOL)
    net.output(net.add("Neg", net.add("If", flag, then_branch=branch, else_branch=branch), out="y"), [1, 3])
    assert {key: how for key, _, how in coverage(net.model(), "x", "y")} == {"If": "rule", "Neg": "rule"}


def test_coverage_names_an_operator_of_another_domain_as_missing() -> None:
    net = Net()
    x = net.add("Swish2", net.input("x", [1, 3]), domain="acme", out="a")
    net.output(net.add("Neg", x, out="y"), [1, 3])
    model = net.model(domains=["acme"])
    model.graph.value_info.append(helper.make_tensor_value_info("a", TensorProto.FLOAT, [1, 3]))
    assert ("acme::Swish2", 1, "missing") in coverage(model, "x", "y")


def test_the_verification_model_has_the_right_gradients() -> None:
    model = small_cnn()
    verification, names = verification_model(model, "relu2", "logits", "image")
    rng = np.random.default_rng(0)
    feeds = {name: value.astype(np.float64) for name, value in images(model).items()}
    cotangent = rng.normal(size=(2, 5))
    still = {names["offset"]: np.zeros((2, 6, 4, 4)), names["cotangent"]: cotangent}

    def value(moved: dict[str, Array]) -> Array:
        return evaluate(verification, {**feeds, **still, **moved})[names["value"]]

    base = evaluate(verification, {**feeds, **still})
    np.testing.assert_allclose(base[names["value"]], run(model, images(model))["logits"], rtol=1e-4, atol=1e-5)
    for name, grad, at in (
        (names["offset"], "layer_gradient", still[names["offset"]]),
        ("image", "input_gradient", feeds["image"]),
    ):
        direction = rng.normal(size=at.shape)
        step = 1e-6
        slope = (value({name: at + step * direction}) - value({name: at - step * direction})) / (2 * step)
        np.testing.assert_allclose((base[names[grad]] * direction).sum(), (slope * cotangent).sum(), rtol=1e-6)


def test_the_verification_model_takes_clashing_names() -> None:
    net = Net()
    x = net.input("offset", ["N", 3, 8, 8])
    net.output(net.head(net.add("Relu", net.conv(x, 3, 4), out="value"), 4, 5, out="cotangent"), ["N", 5])
    verification, names = verification_model(net.model(), "value", "cotangent", "offset")
    assert names["offset"] == "onnxplain_offset"
    onnx.checker.check_model(verification, full_check=True)


def test_a_layer_that_is_the_score_itself_or_a_graph_output_can_be_verified() -> None:
    net = Net()
    x = net.input("image", ["N", 3, 8, 8])
    layer = net.add("Relu", net.conv(x, 3, 4), out="layer")
    net.output(net.head(layer, 4, 5), ["N", 5])
    net.output(layer, ["N", 4, 8, 8])
    verification, names = verification_model(net.model(), "layer", "logits", None)
    outputs = {v.name for v in verification.graph.output}
    assert outputs == set(names.values()) - {names["offset"], names["cotangent"], "layer"}
    assert outputs.isdisjoint({"layer", "logits"})  # in place of the model's outputs
    onnx.checker.check_model(verification, full_check=True)


def test_what_only_a_subgraph_needs_stays_in_the_verification_model() -> None:
    net = Net()
    x = net.input("image", ["N", 3, 8, 8])
    flag = net.input("flag", [], TensorProto.BOOL)
    captured = net.add("Exp", x, out="captured")
    out = helper.make_tensor_value_info("b", TensorProto.FLOAT, ["N", 3, 8, 8])
    branch = helper.make_graph([helper.make_node("Neg", [captured], ["b"])], "branch", [], [out])
    x = net.add("If", flag, then_branch=branch, else_branch=branch)
    net.output(net.head(net.add("Relu", net.conv(x, 3, 4), out="layer"), 4, 5), ["N", 5])
    verification, _ = verification_model(net.model(), "layer", "logits", None)
    assert [node.op_type for node in verification.graph.node][:2] == ["Exp", "If"]
    onnx.checker.check_model(verification, full_check=True)

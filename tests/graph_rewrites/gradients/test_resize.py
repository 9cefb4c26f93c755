"""Resize: aspect-ratio policies, Upsample of older models, and that axes which keep their size cost nothing."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxplain.engine.float64 import Float64Session
from onnxplain.graph_rewrites.errors import OnnxplainError
from onnxplain.graph_rewrites.vjp import append_vjp

from .cases_shape import ints
from .harness import Case, assert_gradient, gradients, runtime_gradients, signed_cotangent

X = np.random.default_rng(0).normal(size=(1, 2, 5, 4))


def policy(name: str, height: int, width: int) -> Case:
    attributes = {"mode": "linear", "axes": [2, 3], "keep_aspect_ratio_policy": name}
    return Case("Resize", [X, None, None, ints(height, width)], attributes, constant=[3], opset=18)


@pytest.mark.parametrize(
    "case", [policy("not_larger", 10, 12), policy("not_smaller", 5, 8)], ids=lambda case: case.name
)
def test_a_policy_with_whole_sizes_is_differentiated(case: Case) -> None:
    cotangent = signed_cotangent(case)
    expected = gradients(case, cotangent)
    assert_gradient(case, expected, cotangent)
    np.testing.assert_allclose(runtime_gradients(case, cotangent)[0], expected[0], atol=1e-5)


def test_a_policy_whose_sizes_round_is_refused() -> None:
    with pytest.raises(OnnxplainError, match="keep_aspect_ratio_policy='stretch'"):
        gradients(policy("not_larger", 7, 7), np.zeros(()))


def upsample(opset: int, mode: str) -> onnx.ModelProto:
    """Doubles the height and triples the width; `scales` is an attribute in opsets 7 and 8, an input in 9."""
    scales = np.array([1, 1, 2, 3], np.float32)
    constants = [numpy_helper.from_array(scales, "scales")] if opset == 9 else []
    attributes = {"mode": mode} if opset == 9 else {"mode": mode, "scales": scales.tolist()}
    node = helper.make_node("Upsample", ["x", "scales"][: 1 + len(constants)], ["y"], **attributes)
    x = helper.make_tensor_value_info("x", TensorProto.DOUBLE, [1, 2, 2, 3])
    y = helper.make_tensor_value_info("y", TensorProto.DOUBLE, [1, 2, 4, 9])
    graph = helper.make_graph([node], "upsample", [x], [y], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


@pytest.mark.parametrize("opset", [7, 8, 9])
def test_the_gradient_of_a_nearest_upsample_sums_each_block(opset: int) -> None:
    cotangent = np.random.default_rng(1).normal(size=(1, 2, 4, 9))
    session = Float64Session(append_vjp(upsample(opset, "nearest"), "y", "x"))
    (grad,) = session.run(["x_grad"], {"x": np.zeros((1, 2, 2, 3)), "y_cotangent": cotangent})
    np.testing.assert_allclose(grad, cotangent.reshape(1, 2, 2, 2, 3, 3).sum(axis=(3, 5)), atol=1e-12)


@pytest.mark.parametrize("opset", [7, 8, 9])
def test_a_linear_upsample_is_differentiated(opset: int) -> None:
    rng = np.random.default_rng(2)
    x, direction, cotangent = (
        rng.normal(size=(1, 2, 2, 3)),
        rng.normal(size=(1, 2, 2, 3)),
        rng.normal(size=(1, 2, 4, 9)),
    )
    session = Float64Session(append_vjp(upsample(opset, "linear"), "y", "x"))
    high, low = (session.run(["y"], {"x": x + step, "y_cotangent": cotangent})[0] for step in (direction, -direction))
    (grad,) = session.run(["x_grad"], {"x": x, "y_cotangent": cotangent})
    np.testing.assert_allclose(np.sum(grad * direction), np.sum((high - low) / 2 * cotangent), rtol=1e-10)


def test_axes_that_keep_their_size_cost_nothing() -> None:
    scales = numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "scales")
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", "channels", "height", "width"])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph([helper.make_node("Resize", ["x", "", "scales"], ["y"])], "resize", [x], [y], [scales])
    model = append_vjp(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), "y", "x")
    assert sum(node.op_type == "MatMul" for node in model.graph.node) == 2

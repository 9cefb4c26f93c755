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
from .harness import Case, gradients

X = np.random.default_rng(0).normal(size=(1, 2, 5, 4))


def test_a_crop_that_keeps_the_aspect_ratio_is_refused() -> None:
    attributes = {"keep_aspect_ratio_policy": "not_larger", "coordinate_transformation_mode": "tf_crop_and_resize"}
    roi = np.array([0, 0, 0, 0, 1, 1, 1, 1], np.float32)
    case = Case("Resize", [X, roi, None, ints(1, 2, 7, 7)], attributes, constant=[1, 3], opset=18)
    with pytest.raises(OnnxplainError, match="keep_aspect_ratio_policy='stretch'"):
        gradients(case, np.zeros(()))


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

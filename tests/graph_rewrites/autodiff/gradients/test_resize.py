"""Resize: aspect-ratio policies, Upsample of older models, and that axes which keep their size cost nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxplain.engine.gradcheck.float64.session import Float64Session
from onnxplain.graph_rewrites.errors import OnnxplainError
from onnxplain.graph_rewrites.vjp import append_vjp

from .cases_resize import MODES
from .cases_shape import ints
from .harness import Case, forward, gradients, runtime_gradients, signed_cotangent

X = np.random.default_rng(0).normal(size=(1, 2, 5, 4))


def test_a_crop_that_keeps_the_aspect_ratio_is_refused() -> None:
    attributes = {"keep_aspect_ratio_policy": "not_larger", "coordinate_transformation_mode": "tf_crop_and_resize"}
    roi = np.array([0, 0, 0, 0, 1, 1, 1, 1], np.float32)
    case = Case("Resize", [X, roi, None, ints(1, 2, 7, 7)], attributes, constant=[1, 3], opset=18)
    with pytest.raises(OnnxplainError, match="keep_aspect_ratio_policy='stretch'"):
        gradients(case, np.zeros(()))


@pytest.mark.parametrize("mode", [*MODES, "half_pixel_symmetric"])
@pytest.mark.parametrize("height", [1.625, 0.625, 0.4375])
@pytest.mark.parametrize("axes", [[2, 3], [3, 2], None])
def test_scales_have_gradients(mode: str, height: float, axes: list[int] | None) -> None:
    """Scales are float32 by specification: the steps of the difference are powers of two, that none be rounded."""
    step, scales = 2.0**-12, np.array([height, 1.5625])
    scales = np.array([1 + 2 * step, 1 + 2 * step, *scales] if axes is None else scales[[axis - 2 for axis in axes]])
    attributes = {"mode": "linear", "coordinate_transformation_mode": mode} | ({} if axes is None else {"axes": axes})
    case = Case("Resize", [X, None, scales.astype(np.float32)], attributes, wrt=[2], opset=19)
    cotangent = signed_cotangent(case)
    grad = gradients(case, cotangent, symbolic=True)[2]
    assert grad.dtype == np.float32
    for index in range(len(scales)):
        moved = [np.where(np.arange(len(scales)) == index, scales + sign * step, scales) for sign in (1, -1)]
        high, low = (forward(replace(case, inputs=[X, None, value.astype(np.float32)])) for value in moved)
        slope = np.sum((high - low) * cotangent) / (2 * step)
        np.testing.assert_allclose(grad[index], slope, rtol=1e-4, atol=1e-4)
    if axes is not None:  # ONNX Runtime 1.32 takes scales of 1 for the first two axes only
        np.testing.assert_allclose(runtime_gradients(case, cotangent)[2], grad, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "attributes", [{"mode": "cubic"}, {"mode": "linear", "antialias": 1}], ids=["cubic", "antialias"]
)
def test_scales_of_other_modes_are_refused(attributes: dict[str, object]) -> None:
    case = Case("Resize", [X, None, np.array([1, 1, 0.6, 0.6], np.float32)], attributes, wrt=[2], opset=18)
    with pytest.raises(
        OnnxplainError, match="only in mode linear, without antialiasing; differentiate its first input"
    ):
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

"""Resize: aspect-ratio policies, Upsample of older models, and that axes which keep their size cost nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import onnxruntime as ort
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


KEPT = [
    ((1, 1, 2, 3), (1, 1, 1.25, 1.7)),
    ((1, 1, 3, 2), (1, 1, 1.7, 1.25)),
    ((1, 1, 4, 4), (1, 1, 1.1, 0.5)),
    ((1, 1, 2, 3), (1, 1, 1.25, 1.2)),  # the whole shape is kept, and ONNX Runtime copies x
    ((1, 2, 3), (1, 1, 1.2)),
    ((1, 2, 3, 3, 3), (1, 1, 1.2, 1.3, 2)),
]


@pytest.mark.parametrize("coordinates", ["half_pixel", "asymmetric", "align_corners", "tf_crop_and_resize"])
@pytest.mark.parametrize("mode", ["linear", "cubic", "nearest"])
@pytest.mark.parametrize("symbolic", [False, True], ids=["static", "symbolic"])
@pytest.mark.parametrize("given", ["scales", "scales at run time", "sizes"])
@pytest.mark.parametrize(("shape", "scales"), KEPT)
def test_an_axis_may_keep_its_length_under_a_scale(
    shape: tuple[int, ...], scales: tuple[float, ...], given: str, symbolic: bool, mode: str, coordinates: str
) -> None:
    """The transposed Jacobian is what ONNX Runtime makes of each unit, since the operator is linear."""
    if mode == "cubic" and len(shape) != 4:
        pytest.skip("ONNX Runtime has cubic interpolation of two axes only")
    if coordinates == "tf_crop_and_resize" and len(shape) == 5 and mode == "linear":
        pytest.skip("ONNX Runtime 1.32 has no such crop of three axes")
    region = np.array([0.0] * len(shape) + [1.0] * len(shape), np.float32)
    if coordinates == "tf_crop_and_resize":
        region[[len(shape) - 1, -1]] = 0.1, 0.8
    sizes = np.floor(np.array(shape) * np.array(scales, np.float32)).astype(np.int64)
    target = (np.array(scales, np.float32), None) if given != "sizes" else (None, sizes)
    constant = [1, 3] if given == "sizes" else [1] if given == "scales at run time" else [1, 2]
    attributes = {"mode": mode, "coordinate_transformation_mode": coordinates}
    rank = len(shape) if given == "scales at run time" else None
    case = Case("Resize", [X, region, *target], attributes, wrt=[0], constant=constant, opset=19, output_rank=rank)
    case = replace(case, inputs=[np.random.default_rng(0).normal(size=shape), *case.inputs[1:]])
    plain = ort.InferenceSession(case.model(np.float32).SerializeToString(), providers=["CPUExecutionProvider"])
    feeds = case.feeds(np.float32)
    cotangent = np.random.default_rng(1).normal(size=plain.run(None, feeds)[0].shape).astype(np.float32)
    units = np.eye(int(np.prod(shape)), dtype=np.float32).reshape(-1, *shape)
    slopes = [np.sum(plain.run(None, {**feeds, "x0": unit})[0] * cotangent) for unit in units]
    vjp = append_vjp(case.model(np.float32, symbolic), "y0", "x0").SerializeToString()
    session = ort.InferenceSession(vjp, providers=["CPUExecutionProvider"])
    (grad,) = session.run(["x0_grad"], {**feeds, "y0_cotangent": cotangent})
    np.testing.assert_allclose(grad, np.reshape(slopes, shape), atol=1e-5)

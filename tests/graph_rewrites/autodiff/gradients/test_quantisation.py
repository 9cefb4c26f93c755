"""Straight-through gradients of quantisers, against their formula in numpy."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxplain.engine.gradcheck.float64.session import Float64Session
from onnxplain.graph_rewrites.autodiff.lower import lower
from onnxplain.graph_rewrites.errors import OnnxplainError
from onnxplain.graph_rewrites.model.model import read
from onnxplain.graph_rewrites.model.writing import write
from onnxplain.graph_rewrites.verification import as_float64
from onnxplain.graph_rewrites.vjp import append_vjp

from ...networks import Array, Net, f32, run

rng = np.random.default_rng(0)


def pair(
    shape: tuple[int, ...], scale: Array, zero: Array, opset: int = 21, dtype: int = TensorProto.FLOAT, **attrs: Any
) -> onnx.ModelProto:
    """Quantise and dequantise."""
    net = Net(opset)
    x = net.input("x", list(shape), dtype)
    net.initializers += [numpy_helper.from_array(scale, "scale"), numpy_helper.from_array(zero, "zero")]
    q = net.add("QuantizeLinear", x, "scale", "zero", **attrs)
    net.output(net.add("DequantizeLinear", q, "scale", "zero", out="y", **attrs), list(shape), dtype)
    return net.model(ir_version=10)


def inside(x: Array, scale: Array, zero: Array) -> Array:
    """Where PyTorch's fake_quantize passes a gradient: 1 where x rounds to a value of the type."""
    limits: Any = ml_dtypes.iinfo(zero.dtype)  # type: ignore[no-untyped-call]
    steps = np.rint(x / scale) + zero.astype(np.float64)
    return np.asarray((steps >= limits.min) & (steps <= limits.max))


def gradient(model: onnx.ModelProto, x: Array, g: Array, names: str | list[str] = "x") -> dict[str, Array]:
    before = run(model, {"x": x}, optimised=False)  # fusions would round another way where the gradient prevents them
    after = run(append_vjp(model, "y", names), {"x": x, "y_cotangent": g}, optimised=False)
    np.testing.assert_array_equal(before["y"], after["y"])
    return after


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16, ml_dtypes.uint4, ml_dtypes.int4])
@pytest.mark.parametrize("opset", [21, 23])
def test_one_scale_a_tensor(dtype: type, opset: int) -> None:
    limits: Any = ml_dtypes.iinfo(dtype)  # type: ignore[no-untyped-call]
    zero: Array = np.array(limits.min + (limits.max - limits.min) // 3, np.int64).astype(dtype)
    scale = np.array(3 / (limits.max - limits.min), np.float32)
    x = rng.normal(size=(40, 7)).astype(np.float32) * 1.5
    g = rng.normal(size=x.shape).astype(np.float32)
    mask = inside(x, scale, zero)
    assert 0.2 < mask.mean() < 0.9
    got = gradient(pair(x.shape, scale, zero, opset), x, g)["x_grad"]
    np.testing.assert_allclose(got, g * mask, rtol=1e-6)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_one_scale_a_channel(axis: int) -> None:
    x = rng.normal(size=(3, 3, 3)).astype(np.float32)
    scale, zero = f32([0.001, 0.005, 0.02]), np.array([0, -20, 50], np.int8)
    shape = [-1 if i == axis % 3 else 1 for i in range(3)]
    mask = inside(x, scale.reshape(shape), zero.reshape(shape))
    assert 0 < mask.mean() < 1
    g = rng.normal(size=x.shape).astype(np.float32)
    got = gradient(pair(x.shape, scale, zero, 17, axis=axis), x, g)["x_grad"]
    np.testing.assert_allclose(got, g * mask, rtol=1e-6)


def test_one_scale_a_block() -> None:
    x = rng.normal(size=(4, 10)).astype(np.float32)
    scale = rng.uniform(0.05, 0.2, size=(4, 3)).astype(np.float32)  # blocks of 4, the last one cut
    zero = np.zeros((4, 3), ml_dtypes.int4)
    whole = np.repeat(scale, 4, axis=1)[:, :10]
    mask = inside(x, whole, np.zeros_like(whole).astype(ml_dtypes.int4))
    assert 0 < mask.mean() < 1
    g = rng.normal(size=x.shape).astype(np.float32)
    model = pair(x.shape, scale, zero, 21, axis=1, block_size=4)
    np.testing.assert_allclose(gradient(model, x, g)["x_grad"], g * mask, rtol=1e-6)
    with pytest.raises(OnnxplainError, match="blocks"):
        append_vjp(model, "y", "scale")


def test_float8() -> None:
    x = f32([[-9.0, -4.4, 0.3, 4.4, 4.6]])
    scale, zero = np.array(0.01, np.float32), np.array(0, ml_dtypes.float8_e4m3fn)  # up to 448 * 0.01
    g = f32([[1.0, 2.0, 3.0, 4.0, 5.0]])
    got = gradient(pair(x.shape, scale, zero, 21), x, g)["x_grad"]
    np.testing.assert_allclose(got, [[0, 2, 3, 4, 0]], rtol=1e-6)


def test_what_lies_half_a_step_past_the_end_is_inside() -> None:
    x = f32([[-0.6, -0.4, 255.4, 255.6]])
    model = pair(x.shape, np.array(1.0, np.float32), np.array(0, np.uint8), 17)
    np.testing.assert_array_equal(gradient(model, x, np.ones_like(x))["x_grad"], [[0, 1, 1, 0]])


def test_the_gradient_of_the_scale_is_that_of_learned_step_sizes() -> None:
    """Esser et al. 2020, equation 3: the rounding error inside, the end of the range outside."""
    x = rng.normal(size=(50,)).astype(np.float32) * 3
    scale, zero = np.array(0.02, np.float32), np.array(0, np.int8)
    g = rng.normal(size=x.shape).astype(np.float32)
    steps = x / scale
    expected = np.where(inside(x, scale, zero), np.rint(steps) - steps, np.clip(np.rint(steps), -128, 127))
    got = gradient(pair(x.shape, scale, zero, 17), x, g, ["x", "scale"])["scale_grad"]
    np.testing.assert_allclose(got, np.sum(g * expected), rtol=1e-4)


@pytest.mark.parametrize("axis", [0, 1])
def test_the_gradient_of_scales_a_channel(axis: int) -> None:
    q = rng.integers(-100, 100, size=(3, 4)).astype(np.int8)
    count = q.shape[axis]
    scale, zero = rng.uniform(0.1, 1, size=count).astype(np.float32), np.arange(count).astype(np.int8)
    net = Net(17)
    net.input("x", [2, 3])
    net.initializers += [numpy_helper.from_array(v, n) for v, n in ((q, "q"), (scale, "scale"), (zero, "zero"))]
    weight = net.add("DequantizeLinear", "q", "scale", "zero", axis=axis)
    net.output(net.add("MatMul", "x", weight, out="y"), [2, 4])
    x, g = (rng.normal(size=shape).astype(np.float32) for shape in ((2, 3), (2, 4)))
    shape = [-1 if i == axis else 1 for i in range(2)]
    expected = ((x.T @ g) * (q.astype(np.float64) - zero.reshape(shape))).sum(axis=1 - axis)
    np.testing.assert_allclose(gradient(net.model(), x, g, ["x", "scale"])["scale_grad"], expected, rtol=1e-4)


def dynamic(integer: str) -> onnx.ModelProto:
    """Dynamic quantisation, a product of integers, and the way back to floats, as ONNX Runtime's quantiser writes."""
    net = Net(17)
    image = [1, 3, 6, 6] if integer == "ConvInteger" else [5, 6]
    net.input("x", image)
    weight = rng.integers(-100, 100, size=(4, 3, 3, 3) if integer == "ConvInteger" else (6, 4))
    net.nodes.append(helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "scale", "zero"]))
    product = net.add(integer, "q", net.const(weight, np.int8), "zero", net.const(3, np.int8))
    factor = net.add("Mul", "scale", net.const(0.01))
    net.output(net.add("Mul", net.add("Cast", product, to=TensorProto.FLOAT), factor, out="y"))
    return net.model()


@pytest.mark.parametrize("integer", ["ConvInteger", "MatMulInteger"])
def test_dynamic_quantisation(integer: str) -> None:
    model = dynamic(integer)
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT
    explained = append_vjp(model, "y", "x")
    x = rng.normal(size=[d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim])
    work = read(explained)
    lower(work)
    session = Float64Session(as_float64(write(work)))
    (y,) = session.run(["y"], {"x": x})
    g, direction, step = rng.normal(size=y.shape), rng.normal(size=x.shape), 1e-6
    (grad,) = session.run(["x_grad"], {"x": x, "y_cotangent": g})
    ends = [session.run(["y"], {"x": x + sign * step * direction})[0] for sign in (1, -1)]
    slope = np.sum((ends[0] - ends[1]) / (2 * step) * g)
    np.testing.assert_allclose(np.sum(grad * direction), slope, rtol=1e-6)
    got = run(explained, {"x": x.astype(np.float32), "y_cotangent": g.astype(np.float32)})["x_grad"]
    np.testing.assert_allclose(got, grad, atol=1e-3 * np.abs(grad).max())


def test_the_scale_alone_is_refused() -> None:
    net = Net(17)
    net.input("x", [5])
    net.nodes.append(helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "scale", "zero"]))
    net.output(net.add("Neg", "scale", out="y"), [])
    with pytest.raises(OnnxplainError, match="straight-through"):
        append_vjp(net.model(), "y", "x")


MOVEMENTS: dict[str, tuple[dict[str, Any], list[Array]]] = {
    "Transpose": ({"perm": [0, 2, 3, 1]}, []),
    "Reshape": ({}, [np.array([2, -1])]),
    "Flatten": ({}, []),
    "MaxPool": ({"kernel_shape": [2, 2], "strides": [2, 2]}, []),
    "Slice": ({}, [np.array([1]), np.array([9]), np.array([2]), np.array([2])]),
    "Gather": ({"axis": 1}, [np.array([2, 0, 0])]),
    "Concat": ({"axis": 1}, []),
    "Squeeze": ({}, []),
    "Pad": ({}, [np.array([0, 0, 1, 1, 0, 0, 0, 2])]),
    "Resize": ({"mode": "nearest"}, [np.array([], np.float32), f32([1, 1, 2, 2])]),
    "Split": ({"axis": 1}, [np.array([3])]),
    "Identity": ({}, []),
}


@pytest.mark.parametrize("op", MOVEMENTS)
def test_gradients_pass_operators_that_move_integers(op: str) -> None:
    """The same as if the floats were moved."""
    attrs, parameters = MOVEMENTS[op]
    x = rng.normal(size=(2, 3, 4, 6)).astype(np.float32)
    models = []
    for quantised in (True, False):
        net = Net(17)
        value = net.input("x", list(x.shape))
        scale, zero = net.const(0.02), net.const(100, np.uint8)
        value = net.add("QuantizeLinear", value, scale, zero)
        value = value if quantised else net.add("DequantizeLinear", value, scale, zero)
        extra = [net.const(p, p.dtype.type) for p in parameters]
        moved = net.add(op, value, *([""] if op == "Resize" else []), *extra[op == "Resize" :], **attrs)
        value = net.add("DequantizeLinear", moved, scale, zero) if quantised else moved
        net.output(net.add("Identity", value, out="y"))
        net.outputs[0].type.tensor_type.elem_type = TensorProto.FLOAT
        models.append(net.model())
    explained = [append_vjp(model, "y", "x") for model in models]
    shape = run(models[0], {"x": x}, check=False)["y"].shape
    feeds = {"x": x, "y_cotangent": rng.normal(size=shape).astype(np.float32)}
    got, expected = (run(model, feeds, check=False)["x_grad"] for model in explained)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-7)
    assert np.abs(got).max() > 0

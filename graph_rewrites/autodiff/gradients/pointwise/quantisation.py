"""Quantisers, their straight-through gradients, and operators on quantised tensors (see `quantised`)."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_graphsurgeon as gs

from ....build.emitter import Emitter
from ....errors import OnnxplainError
from ....graph.node import Node
from ....graph.quantisation import limits
from ....graph.tensors import Tensor, dtype_of, rank
from ...cotangents import sum_to
from ...decompose import decomposition_of
from ...lib.quantisers import along
from ...lib.singularities import masked, settled
from ...reverse import Gradient, gradient_of

FLOAT32 = gs.Variable("float32", np.dtype(np.float32))


@gradient_of("QuantizeLinear", "com.microsoft::QuantizeLinear")
def quantize_linear(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """q = saturate(round(x/s) + z): dx = g/s where x rounds to a value that the type can hold, else 0.

    That is PyTorch's fake_quantize: the range reaches half a step past its ends, as it must where a zero point is
    rounded. ds = -g*x/s^2 there, as for learned step sizes (Esser et al. 2020, arXiv:1902.08153, section 2.1).
    """
    x, scale, zero = [*node.inputs, None][:3]
    low, high = limits(dtype_of(node.outputs[0]))
    s = along(op, op.cast_like(scale, FLOAT32), x, *_layout(node))
    z = along(op, op.cast_like(zero, FLOAT32), x, *_layout(node)) if zero is not None else op.tensor(0.0, FLOAT32)
    values = op.cast_like(x, FLOAT32)
    inside = op.And(
        op.GreaterOrEqual(values, op.Mul(op.Sub(op.tensor(low - 0.5, FLOAT32), z), s)),
        op.LessOrEqual(values, op.Mul(op.Sub(op.tensor(high + 0.5, FLOAT32), z), s)),
    )
    dx = op.Div(masked(op, node, grad, inside), s)
    return [
        op.cast_like(dx, x),
        lambda: _per_scale(op, settled(op, node, grad, op.Neg(op.Div(op.Mul(dx, values), s))), scale, node),
        None,
    ][: len(node.inputs)]


@gradient_of("DequantizeLinear", "com.microsoft::DequantizeLinear")
def dequantize_linear(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """x = s*(q - z): dq = g*s, ds = g*(q - z)."""
    q, scale, zero = [*node.inputs, None][:3]
    g = op.cast_like(grad, FLOAT32)

    def ds() -> Tensor:
        steps = op.cast_like(q, FLOAT32)
        if zero is not None:
            steps = op.Sub(steps, along(op, op.cast_like(zero, FLOAT32), q, *_layout(node)))
        return _per_scale(op, settled(op, node, g, op.Mul(g, steps)), scale, node)

    return [lambda: op.Mul(g, along(op, op.cast_like(scale, FLOAT32), q, *_layout(node))), ds, None][: len(node.inputs)]


@gradient_of("DynamicQuantizeLinear")
def dynamic_quantize_linear(op: Emitter, node: Node, grad: Tensor | None, *others: Tensor | None) -> list[Gradient]:
    """Scale and zero point span the range of x, so nothing is outside: dx = g/s.

    They count as constants: the reals that q stands for vary with them by their rounding only.

    Raises:
        OnnxplainError: the score depends on the scale alone.
    """
    if grad is None:
        raise OnnxplainError(
            f"the score depends on the scale of DynamicQuantizeLinear (node {node.name!r}) and not on its quantised "
            "output, so it has no straight-through gradient; choose a layer after it"
        )
    return [op.Div(grad, node.outputs[1])]


def _layout(node: Node) -> tuple[int, int]:
    """The axis along which the quantisation varies, and how many indices share one."""
    return node.attrs.get("axis", 1), node.attrs.get("block_size", 0)


def _per_scale(op: Emitter, gradient: Tensor, scale: Tensor, node: Node) -> Tensor:
    """A gradient per element, summed to one per scale."""
    axis, block = _layout(node)
    if block:
        raise OnnxplainError(
            f"the gradient of the scale of {node.op_type} (node {node.name!r}) is not supported in blocks; "
            "differentiate with respect to another tensor"
        )
    if rank(scale) == 1 and scale.shape[0] != 1:
        others = [i for i in range(rank(gradient)) if i != axis % rank(gradient)]
        gradient = op.reduce("ReduceSum", gradient, others, keepdims=False) if others else gradient
    return op.cast_like(sum_to(op, gradient, scale), scale)


@decomposition_of("QLinearConv")
def qlinear_conv(op: Emitter, node: Node) -> list[Tensor]:
    """Y = quantise(Conv(dequantise(x), dequantise(w), b)); b has the scale x_scale * w_scale."""
    x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, bias = [*node.inputs, None][:9]
    inputs = [op.DequantizeLinear(x, x_scale, x_zero), op.DequantizeLinear(w, w_scale, w_zero, axis=0)]
    if bias is not None:
        inputs.append(op.Mul(op.cast_like(bias, x_scale), op.Reshape(op.Mul(x_scale, w_scale), [-1])))
    return [op.QuantizeLinear(op.Conv(*inputs, **node.attrs), y_scale, y_zero)]


@decomposition_of("QLinearMatMul")
def qlinear_matmul(op: Emitter, node: Node) -> list[Tensor]:
    """Y = quantise(dequantise(a) @ dequantise(b)); one scale for all, per row of a, per column of b."""
    a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero = node.inputs
    product = op.MatMul(
        op.DequantizeLinear(a, a_scale, a_zero, axis=max(rank(a) - 2, 0)),
        op.DequantizeLinear(b, b_scale, b_zero, axis=rank(b) - 1),
    )
    return [op.QuantizeLinear(product, y_scale, y_zero, axis=max(rank(product) - 2, 0))]


@decomposition_of("ConvInteger")
def conv_integer(op: Emitter, node: Node) -> list[Tensor]:
    """Y = Conv(x - x_zero_point, w - w_zero_point)."""
    x, w, x_zero, w_zero = [*node.inputs, None, None][:4]
    return [op.Conv(_centred(op, x, x_zero, axis=1), _centred(op, w, w_zero, axis=0), **node.attrs)]


@decomposition_of("MatMulInteger")
def matmul_integer(op: Emitter, node: Node) -> list[Tensor]:
    """Y = (a - a_zero_point) @ (b - b_zero_point); one zero point for all, per row of a, per column of b."""
    a, b, a_zero, b_zero = [*node.inputs, None, None][:4]
    return [op.MatMul(_centred(op, a, a_zero, axis=-2), _centred(op, b, b_zero, axis=-1))]


def _centred(op: Emitter, q: Tensor, zero: Tensor | None, axis: int) -> Tensor:
    """Float q - zero point."""
    q = op.Cast(q, to=onnx.TensorProto.FLOAT)
    if zero is None:
        return q
    zero = op.cast_like(zero, q)
    return op.Sub(q, along(op, zero, q, axis) if rank(q) > 1 else zero)

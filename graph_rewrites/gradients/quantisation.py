"""Quantisation of the default domain, expanded to unrounded arithmetic (see `quantised`).

Operators that compute on quantised tensors are dequantised, computed and quantised again, which is how the
specification defines them.
"""

from __future__ import annotations

import onnx

from ..backward import Gradient, gradient_of
from ..emit import Emitter
from ..errors import OnnxplainError
from ..expand import expansion_of
from ..node import Node
from ..quantised import along, dequantised, quantised
from ..tensors import Tensor, dtype_of, rank


@expansion_of("QuantizeLinear", "com.microsoft::QuantizeLinear")
def quantize_linear(op: Emitter, node: Node) -> list[Tensor]:
    """q = saturate(round(x / scale) + zero point): dx = g / scale inside the range, 0 outside.

    The scale's gradient is that of learned step sizes (Esser et al. 2020, arXiv:1902.08153, equation 3).
    """
    x, scale, zero = [*node.inputs, None][:3]
    return [quantised(op, x, scale, zero, dtype_of(node.outputs[0]), *_layout(node))]


@expansion_of("DequantizeLinear", "com.microsoft::DequantizeLinear")
def dequantize_linear(op: Emitter, node: Node) -> list[Tensor]:
    """x = (q - zero point) * scale."""
    q, scale, zero = [*node.inputs, None][:3]
    return [op.cast_like(dequantised(op, q, scale, zero, *_layout(node)), node.outputs[0])]


def _layout(node: Node) -> tuple[int, int]:
    """The axis along which the quantisation varies, and how many indices share one."""
    return node.attrs.get("axis", 1), node.attrs.get("block_size", 0)


@gradient_of("DynamicQuantizeLinear")
def dynamic_quantize_linear(op: Emitter, node: Node, grad: Tensor | None, *others: Tensor | None) -> list[Gradient]:
    """Scale and zero point span the range of x, so nothing is outside: dx = g / scale.

    They count as constants. The reals that q stands for do not vary with them but by rounding.

    Raises:
        OnnxplainError: the score depends on the scale alone.
    """
    if grad is None:
        raise OnnxplainError(
            f"the score depends on the scale of DynamicQuantizeLinear (node {node.name!r}) but not on its quantised "
            "output, and has no gradient there; choose a layer after it"
        )
    return [op.Div(grad, op.cast_like(node.outputs[1], grad))]


@expansion_of("QLinearConv")
def qlinear_conv(op: Emitter, node: Node) -> list[Tensor]:
    """Y = quantise(Conv(dequantise(x), dequantise(w), b)); b has the scale x_scale * w_scale."""
    x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, bias = [*node.inputs, None][:9]
    inputs = [dequantised(op, x, x_scale, x_zero), dequantised(op, w, w_scale, w_zero, axis=0)]
    if bias is not None:
        inputs.append(op.Mul(op.cast_like(bias, x_scale), op.Reshape(op.Mul(x_scale, w_scale), [-1])))
    y = op.Conv(*inputs, **node.attrs)
    return [quantised(op, y, y_scale, y_zero, dtype_of(node.outputs[0]))]


@expansion_of("QLinearMatMul")
def qlinear_matmul(op: Emitter, node: Node) -> list[Tensor]:
    """Y = quantise(dequantise(a) @ dequantise(b)); one scale for all, per row of a, per column of b."""
    a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero = node.inputs
    y = op.MatMul(dequantised(op, a, a_scale, a_zero, axis=-2), dequantised(op, b, b_scale, b_zero, axis=-1))
    return [quantised(op, y, y_scale, y_zero, dtype_of(node.outputs[0]), axis=-2)]


@expansion_of("ConvInteger")
def conv_integer(op: Emitter, node: Node) -> list[Tensor]:
    """Y = Conv(x - x_zero_point, w - w_zero_point)."""
    x, w, x_zero, w_zero = [*node.inputs, None, None][:4]
    return [op.Conv(_centred(op, x, x_zero, axis=1), _centred(op, w, w_zero, axis=0), **node.attrs)]


@expansion_of("MatMulInteger")
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

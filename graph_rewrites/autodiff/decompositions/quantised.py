"""Operators on quantised tensors of the domain com.microsoft: dequantised, computed and quantised again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from ...build.emitter import Emitter
from ...graph.node import Node
from ...graph.tensors import Tensor, rank
from ..decompose import decomposition_of
from .convolution import channels_first, channels_last, convolution_attributes

Formula: TypeAlias = Callable[[Emitter, Node, Tensor], Tensor]


@decomposition_of("com.microsoft::QLinearAdd", "com.microsoft::QLinearMul")
def qlinear_arithmetic(op: Emitter, node: Node) -> list[Tensor]:
    """C = quantise(dequantise(A) + dequantise(B)), or their product."""
    a, a_scale, a_zero, b, b_scale, b_zero, scale, zero = [*node.inputs, None][:8]
    operator = node.op_type.removeprefix("QLinear")
    y = op.emit(operator, op.DequantizeLinear(a, a_scale, a_zero), op.DequantizeLinear(b, b_scale, b_zero))
    return [_quantised(op, y, scale, zero)]


def _softmax(op: Emitter, node: Node, x: Tensor) -> Tensor:
    """Over one axis from opset 13 on, before that over all axes from `axis` on."""
    if node.attrs["opset"] >= 13:
        return op.Softmax(x, axis=node.attrs.get("axis", -1))
    return op.reshape_like(op.Softmax(op.Flatten(x, axis=node.attrs.get("axis", 1)), axis=1), x)


def _average_pool(op: Emitter, node: Node, x: Tensor) -> Tensor:
    return _pooled(op, node, x, lambda image: op.AveragePool(image, **convolution_attributes(node)))


def _global_average_pool(op: Emitter, node: Node, x: Tensor) -> Tensor:
    return _pooled(op, node, x, op.GlobalAveragePool)


def _pooled(op: Emitter, node: Node, x: Tensor, pool: Callable[[Tensor], Tensor]) -> Tensor:
    if node.attrs.get("channels_last"):
        return channels_last(op, pool(channels_first(op, x)))
    return pool(x)


# Of (X, X_scale, X_zero_point, Y_scale, Y_zero_point): the function of the reals.
FORMULAS: dict[str, Formula] = {
    "QLinearSigmoid": lambda op, node, x: op.Sigmoid(x),
    "QLinearLeakyRelu": lambda op, node, x: op.LeakyRelu(x, alpha=node.attrs.get("alpha", 0.01)),
    "QLinearReduceMean": lambda op, node, x: op.reduce(
        "ReduceMean", x, node.attrs["axes"], keepdims=bool(node.attrs.get("keepdims", 1))
    ),
    "QLinearSoftmax": _softmax,
    "QLinearAveragePool": _average_pool,
    "QLinearGlobalAveragePool": _global_average_pool,
}


def _register(op_type: str, formula: Formula) -> None:
    @decomposition_of(f"com.microsoft::{op_type}")
    def decomposition(op: Emitter, node: Node) -> list[Tensor]:
        x, x_scale, x_zero, scale, zero = [*node.inputs, None][:5]
        return [_quantised(op, formula(op, node, op.DequantizeLinear(x, x_scale, x_zero)), scale, zero)]


for _op_type, _formula in FORMULAS.items():
    _register(_op_type, _formula)


@decomposition_of("com.microsoft::QLinearConcat")
def qlinear_concat(op: Emitter, node: Node) -> list[Tensor]:
    """Y = quantise of the dequantised tensors side by side."""
    scale, zero, *rest = node.inputs
    parts = [op.DequantizeLinear(*rest[i : i + 3]) for i in range(0, len(rest), 3)]
    return [_quantised(op, op.Concat(*parts, axis=node.attrs["axis"]), scale, zero)]


@decomposition_of("com.microsoft::QLinearWhere")
def qlinear_where(op: Emitter, node: Node) -> list[Tensor]:
    """Z = quantise(where(condition, dequantise(X), dequantise(Y)))."""
    condition, x, x_scale, x_zero, y, y_scale, y_zero, scale, zero = node.inputs
    z = op.Where(condition, op.DequantizeLinear(x, x_scale, x_zero), op.DequantizeLinear(y, y_scale, y_zero))
    return [_quantised(op, z, scale, zero)]


@decomposition_of("com.microsoft::QLinearConv")
def qlinear_conv(op: Emitter, node: Node) -> list[Tensor]:
    """As the standard QLinearConv, with the channels last where an attribute says so."""
    x, x_scale, x_zero, w, w_scale, w_zero, scale, zero, bias = [*node.inputs, None][:9]
    image = op.DequantizeLinear(x, x_scale, x_zero)
    last = node.attrs.get("channels_last", 0)
    inputs = [channels_first(op, image) if last else image, op.DequantizeLinear(w, w_scale, w_zero, axis=0)]
    if bias is not None:
        inputs.append(op.Mul(op.cast_like(bias, x_scale), op.Reshape(op.Mul(x_scale, w_scale), [-1])))
    y = op.Conv(*inputs, **convolution_attributes(node))
    return [_quantised(op, channels_last(op, y) if last else y, scale, zero)]


@decomposition_of("com.microsoft::QGemm")
def qgemm(op: Emitter, node: Node) -> list[Tensor]:
    """Y = quantise(alpha * A' @ B' + C); C has the scale alpha * a_scale * b_scale. Without y_scale, Y is float."""
    a, a_scale, a_zero, b, b_scale, b_zero, c, scale, zero = [*node.inputs, None, None, None][:9]
    alpha, flipped = node.attrs.get("alpha", 1.0), node.attrs.get("transB", 0)
    matrices = [
        op.DequantizeLinear(a, a_scale, a_zero),
        op.DequantizeLinear(b, b_scale, b_zero, axis=0 if flipped else 1),
    ]
    y = op.Gemm(*matrices, alpha=alpha, transA=node.attrs.get("transA", 0), transB=flipped)
    if c is not None:
        y = op.Add(y, op.Mul(op.cast_like(c, y), op.Mul(op.Mul(a_scale, b_scale), alpha)))
    return [y if scale is None else _quantised(op, y, scale, zero)]


@decomposition_of("com.microsoft::MatMulIntegerToFloat")
def matmul_integer_to_float(op: Emitter, node: Node) -> list[Tensor]:
    """Y = dequantise(A) @ dequantise(B) + bias."""
    a, b, a_scale, b_scale, a_zero, b_zero, bias = [*node.inputs, None, None, None][:7]
    y = op.MatMul(
        op.DequantizeLinear(a, a_scale, a_zero, axis=max(rank(a) - 2, 0)),
        op.DequantizeLinear(b, b_scale, b_zero, axis=rank(b) - 1),
    )
    return [y if bias is None else op.Add(y, bias)]


@decomposition_of("com.microsoft::DynamicQuantizeMatMul")
def dynamic_quantize_matmul(op: Emitter, node: Node) -> list[Tensor]:
    """Y = A @ dequantise(B) + bias: A is quantised over its own range, which without rounding changes nothing."""
    a, b, b_scale, b_zero, bias = [*node.inputs, None, None][:5]
    y = op.MatMul(a, op.DequantizeLinear(b, b_scale, b_zero, axis=rank(b) - 1))
    return [y if bias is None else op.Add(y, bias)]


def _quantised(op: Emitter, y: Tensor, scale: Tensor, zero: Tensor | None) -> Tensor:
    return op.QuantizeLinear(y, scale, zero)

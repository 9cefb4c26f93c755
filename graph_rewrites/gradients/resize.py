"""Resize and Pad: linear and separable, so each axis has a matrix, found by applying the operator to an identity."""

from __future__ import annotations

import numpy as np

from ..backward import Gradient, Node, gradient_of
from ..emit import Emitter, Tensor, dtype_of, rank, value_of
from ..errors import OnnxplainError


def along_axis(op: Emitter, grad: Tensor, matrix: Tensor, axis: int) -> Tensor:
    """Multiplies one axis of `grad` by the transpose of `matrix` [out, in]."""
    last = rank(grad) - 1
    if axis == last:
        return op.MatMul(grad, matrix)
    order = [i for i in range(last + 1) if i != axis] + [axis]
    product = op.MatMul(op.Transpose(grad, perm=order), matrix)
    return op.Transpose(product, perm=[int(i) for i in np.argsort(order)])


def identity(op: Emitter, size: Tensor, like: Tensor) -> Tensor:
    """The identity matrix [n, n] in the dtype of `like`; `size` is an int64 vector of length 1."""
    square = op.Expand(op.cast_like(np_zero(op), like), op.Concat(size, size, axis=0))
    return op.EyeLike(square, dtype=dtype_of(like))


def np_zero(op: Emitter) -> Tensor:
    """A float32 zero."""
    return op.constant(np.zeros((), np.float32))


@gradient_of("Resize")
def resize(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx = g times the transposed interpolation matrix of each resized axis (operator specification, "Resize")."""
    x, (y,) = node.inputs[0], node.outputs
    roi, scales, _ = (*node.inputs[1:], None, None, None)[:3]
    axes = node.attrs.get("axes") or list(range(rank(x)))
    attributes = {k: v for k, v in node.attrs.items() if k not in ("axes", "keep_aspect_ratio_policy")}
    for place, axis in enumerate(int(axis) % rank(x) for axis in axes):
        if x.shape[axis] == y.shape[axis] and _is_one(scales, place) and attributes["mode"] != "tf_crop_and_resize":
            continue
        matrix = _interpolation_matrix(op, x, y, axis, place, len(axes), roi, scales, attributes)
        grad = along_axis(op, grad, matrix, axis)
    return [op.declare(grad, x), *[None] * (len(node.inputs) - 1)]


def _is_one(scales: Tensor | None, place: int) -> bool:
    values = value_of(scales)
    return values is None or values.size == 0 or values[place] == 1


def _interpolation_matrix(op, x, y, axis, place, count, roi, scales, attributes):  # type: ignore[no-untyped-def]
    raise OnnxplainError("resize")

"""Padding with a constant, in operators that ONNX Runtime's CUDA provider has."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx

from ...build.builder import Operand
from ...build.emitter import Emitter
from ...graph.tensors import Tensor, dtype_of, value_of

LAST_PAD_ON_CUDA = 18


def pad(op: Emitter, tensor: Tensor, pads: Operand, value: Tensor | None = None) -> Tensor:
    """`tensor` with so many elements of `value` (zero) before and after each axis; what is negative cuts, as in Pad.

    From opset 19 on, ONNX Runtime has no Pad for CUDA: slices cut, and concatenation fills.

    Args:
        op: appends the nodes.
        tensor: any; its rank or the number of pads is known.
        pads: int64 [2 * rank], as Pad takes them.
        value: a scalar of the tensor's dtype.
    """
    if op.model.opset <= LAST_PAD_ON_CUDA:
        return op.Pad(tensor, pads, value)
    pads = op.tensor(pads)
    known, axes = value_of(pads), pads.shape[0] // 2 if tensor.shape is None else len(tensor.shape)
    if known is None or known.min() < 0:
        begin, end = (op.Slice(pads, [side * axes], [(side + 1) * axes]) for side in (0, 1))
        tensor = op.Slice(tensor, op.Max(op.Neg(begin), 0), op.Sub(op.shape(tensor), op.Max(op.Neg(end), 0)))
    if value is None:
        value = op.constant(np.zeros((), onnx.helper.tensor_dtype_to_np_dtype(dtype_of(tensor))))
    for axis in range(axes):
        sides = [op.sizes(tensor, range(axis)), op.sizes(tensor, range(axis + 1, axes))]
        before, after = (_filling(op, pads, place, sides, value) for place in (axis, axes + axis))
        parts = [*before, tensor, *after]
        tensor = op.Concat(*parts, axis=axis) if len(parts) > 1 else tensor
    return tensor


def _filling(op: Emitter, pads: Tensor, place: int, sides: Sequence[Tensor], value: Tensor) -> list[Tensor]:
    """What stands before or after an axis, between the sizes of the axes on its two sides; nothing if that is known."""
    known = value_of(pads)
    if known is not None and known[place] <= 0:
        return []
    count = op.Max(op.Slice(pads, [place], [place + 1]), 0) if known is None else [int(known[place])]
    return [op.Expand(value, op.join(sides[0], count, sides[1]))]

"""Interpolation at real-valued positions: what GridSample, DeformConv and RoiAlign have in common.

Each of them reads a table of values at a few taps around every position and sums them with weights:

    y[p] = sum_k weight[p, k] * table[index[p, k]]

Written so, in primitives, one form has the gradients of the values (the read's) and of the positions (the weights').
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import onnx

from ...build.emitter import Emitter
from ...graph.tensors import Tensor, dtype_of, value_of

# How each mode reads along one axis: the taps, counted from the position's integer part, and the weights of the taps as
# a polynomial in its fraction, lowest power first. Cubic is Keys' convolution with a = -0.75, as PyTorch's bicubic
# (R. Keys, "Cubic convolution interpolation for digital image processing", 1981).
TAPS: dict[str, list[int]] = {"nearest": [0], "linear": [0, 1], "cubic": [-1, 0, 1, 2]}
WEIGHTS: dict[str, list[list[float]]] = {
    "nearest": [[1], [0]],
    "linear": [[1, 0], [-1, 1]],
    "cubic": [[0, 1, 0, 0], [-0.75, 0, 0.75, 0], [1.5, -2.25, 1.5, -0.75], [-0.75, 1.25, -1.25, 0.75]],
}


@dataclass(frozen=True)
class Taps:
    """What is read for each position: int64 indices [..., K] and their weights [..., K]."""

    index: Tensor
    weight: Tensor


def taps_along(op: Emitter, position: Tensor, mode: str) -> Taps:
    """The taps along one axis of positions [...], wherever they lie. The position of `nearest` is rounded to even."""
    base = op.Round(position) if mode == "nearest" else op.Floor(position)
    fraction = op.Unsqueeze(op.Sub(position, base), [-1])
    index = op.Add(op.Unsqueeze(op.Cast(base, to=onnx.TensorProto.INT64), [-1]), TAPS[mode])
    powers = [constant(op, row, position) for row in reversed(WEIGHTS[mode])]
    weight = reduce(lambda value, row: op.Add(op.Mul(value, fraction), row), powers)  # Horner's rule
    return Taps(index, weight)


def clamp(op: Emitter, position: Tensor, last: Tensor) -> Tensor:
    """Positions moved into [0, last], with derivative 0 on the border too (as PyTorch's grid_sample)."""
    free = op.And(op.Greater(position, 0.0), op.Less(position, last))
    past = op.GreaterOrEqual(position, last)
    return op.Add(op.Mul(position, op.cast_like(free, position)), op.Mul(last, op.cast_like(past, position)))


def inside(op: Emitter, taps: Taps, size: Tensor) -> Taps:
    """The taps with a weight of zero, and some valid index, where they lie outside an axis of `size` elements."""
    last = op.Sub(size, [1])
    valid = op.And(op.GreaterOrEqual(taps.index, [0]), op.LessOrEqual(taps.index, last))
    return Taps(op.Max(op.Min(taps.index, last), [0]), op.Mul(taps.weight, op.cast_like(valid, taps.weight)))


def product(op: Emitter, axes: Sequence[Taps], sizes: Sequence[Tensor]) -> Taps:
    """The taps of all axes (outermost first) together: their indices in the flattened axes, the weights multiplied."""
    result = axes[0]
    for taps, size in zip(axes[1:], sizes[1:], strict=True):
        outer, inner = [-1], [-2]
        index = op.Add(op.Unsqueeze(op.Mul(result.index, size), outer), op.Unsqueeze(taps.index, inner))
        weight = op.Mul(op.Unsqueeze(result.weight, outer), op.Unsqueeze(taps.weight, inner))
        result = Taps(merge_last(op, index), merge_last(op, weight))
    return result


def merge_last(op: Emitter, tensor: Tensor) -> Tensor:
    """[..., A, B] as [..., A*B], with A and B static."""
    *lead, a, b = tensor.shape
    return op.Reshape(tensor, [*[0] * len(lead), a * b])


def interpolate(op: Emitter, table: Tensor, taps: Taps) -> Tensor:
    """The weighted sums of a table [B, C, S] over taps [B, P, K]: [B, C, P].

    Tap by tap, for the memory: what is read is as large as the result for each of them.
    """
    terms = []
    for tap in range(taps.index.shape[-1]):
        index, weight = (op.Gather(tensor, np.array(tap), axis=2) for tensor in (taps.index, taps.weight))
        terms.append(op.Mul(read(op, table, index), op.Unsqueeze(weight, [1])))
    return reduce(op.Add, terms)


def read(op: Emitter, table: Tensor, index: Tensor) -> Tensor:
    """The elements of a table [B, C, S] at indices [B, P], for every channel: [B, C, P].

    By GatherElements, because the sum that is its gradient is right: on the CPU, ONNX Runtime 1.32 adds wrongly where
    ScatterND (the gradient of GatherND) meets an index twice. Narrow indices, because each channel repeats them.
    """
    narrow = op.Unsqueeze(op.Cast(index, to=onnx.TensorProto.INT32), [1])
    return op.GatherElements(table, op.Expand(narrow, op.join([1], op.size(table, 1), [1])), axis=2)


def steps(op: Emitter, size: Tensor, first: int, stride: int, like: Tensor) -> Tensor:
    """`size` numbers from `first` on in steps of `stride`, in the dtype of a tensor."""
    known = value_of(size)
    if known is not None:
        return constant(op, first + stride * np.arange(known.item()), like)
    counted = op.cast_like(op.arange(size), like)
    return op.Add(op.Mul(counted, float(stride)), float(first))


def constant(op: Emitter, values: Any, like: Tensor) -> Tensor:
    """Numbers in the dtype of a tensor."""
    return op.constant(np.array(values, onnx.helper.tensor_dtype_to_np_dtype(dtype_of(like))))

"""Quantisation without rounding, whose straight-through gradient is the true one.

In float64 a quantised tensor holds reals: quantisers scale and shift, and saturate what would not round to a value of
the type, but do not round. Central differences of such a model check the gradients of the quantised one; its values
differ from it by the rounding.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from onnx.helper import np_dtype_to_tensor_dtype
from onnx.reference.op_run import OpRun

from ....graph_rewrites.graph.quantisation import limits

Array: TypeAlias = Any  # an ndarray; numpy's stubs do not follow starred indices


def spread(vector: Array, x: Array, axis: int, block: int) -> Array:
    """A scale or zero point in float64, shaped to broadcast over x."""
    vector = np.asarray(vector).astype(np.float64)
    if block:
        return np.repeat(vector, block, axis=axis).take(range(x.shape[axis]), axis=axis)
    if vector.ndim != 1 or vector.size == 1:
        return vector.reshape(()) if vector.size == 1 else vector
    return vector.reshape([-1 if i == axis % x.ndim else 1 for i in range(x.ndim)])


class QuantizeLinear(OpRun):
    """x / scale + zero point; the least or greatest value of the type where it is more than half a step past that."""

    def _run(
        self,
        x: Array,
        scale: Array,
        zero: Array | None = None,
        axis: int = 1,
        block_size: int | None = None,
        output_dtype: int | None = None,
        **_: Any,
    ) -> tuple[Array]:
        dtype = np.dtype(np.uint8) if zero is None else zero.dtype
        low, high = limits(output_dtype or np_dtype_to_tensor_dtype(dtype))
        shift = 0 if zero is None else spread(zero, x, axis, block_size or 0)
        steps = x / spread(scale, x, axis, block_size or 0) + shift
        return (np.where(steps < low - 0.5, low, np.where(steps > high + 0.5, high, steps)),)


class DequantizeLinear(OpRun):
    """(q - zero point) * scale."""

    def _run(
        self,
        q: Array,
        scale: Array,
        zero: Array | None = None,
        axis: int = 1,
        block_size: int | None = None,
        **_: Any,
    ) -> tuple[Array]:
        q = np.asarray(q).astype(np.float64)
        shift = 0 if zero is None else spread(zero, q, axis, block_size or 0)
        return ((q - shift) * spread(scale, q, axis, block_size or 0),)


class DynamicQuantizeLinear(OpRun):
    """Over the range of x, which is widened to hold 0."""

    def _run(self, x: Array) -> tuple[Array, Array, Array]:
        low, high = min(x.min(), 0), max(x.max(), 0)
        scale = np.asarray((high - low) / 255, x.dtype)
        zero = np.clip(np.rint(-low / scale), 0, 255)
        return x / scale + zero, scale, zero.astype(np.uint8)


QUANTISED: list[type[OpRun]] = [QuantizeLinear, DequantizeLinear, DynamicQuantizeLinear]

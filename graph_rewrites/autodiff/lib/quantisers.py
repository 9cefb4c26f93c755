"""Scales and zero points, laid along what they quantise."""

from __future__ import annotations

from ...build.emitter import Emitter
from ...graph.tensors import Tensor, rank


def along(op: Emitter, vector: Tensor, x: Tensor, axis: int, block: int = 0) -> Tensor:
    """A scale or zero point, shaped to broadcast over x: one for all, one per index of an axis, or one per block."""
    if block:
        positions = op.arange(op.size(x, axis))
        return op.Gather(vector, op.Div(positions, block), axis=axis)
    if rank(vector) != 1 or vector.shape[0] == 1:
        return vector
    trailing = range(1, rank(x) - axis % rank(x))
    return op.Unsqueeze(vector, list(trailing)) if trailing else vector

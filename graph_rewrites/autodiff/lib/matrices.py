"""Matrices that act on one axis of a tensor."""

from __future__ import annotations

import numpy as np

from ...build.emitter import Emitter
from ...graph.tensors import Tensor, rank


def along_axis(op: Emitter, grad: Tensor, matrix: Tensor, axis: int) -> Tensor:
    """One axis of `grad` multiplied by the transpose of `matrix` [out, in]."""
    last = rank(grad) - 1
    if axis == last:
        return op.MatMul(grad, matrix)
    order = [*(i for i in range(last + 1) if i != axis), axis]
    product = op.MatMul(op.Transpose(grad, perm=order), matrix)
    return op.Transpose(product, perm=[int(i) for i in np.argsort(order)])


def identity_matrix(op: Emitter, size: Tensor, like: Tensor) -> Tensor:
    """[n, n] in the dtype of `like`; `size` is the int64 vector [n]."""
    square = op.Expand(np.zeros((), np.float32), op.join(size, size))
    return op.cast_like(op.EyeLike(square), like)

"""Det: the determinant of square matrices."""

from __future__ import annotations

import numpy as np

from ....build.emitter import Emitter
from ....graph.tensors import Tensor
from ...reverse import Gradient, Node, gradient_of


@gradient_of("Det")
def det(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx = g times the cofactors: element (i, j) of them is the determinant of x with row i replaced by that of 1 at j.

    Right for singular matrices too, where g det(x) x^-T (Jacobi's formula) is not.
    """
    (x,) = node.inputs
    size = op.size(x, -1)
    zeros = op.Expand(op.cast_like(op.constant(np.zeros(1, np.float32)), x), op.join(size, size))
    unit = op.EyeLike(zeros)
    replaced = op.Greater(op.Unsqueeze(unit, [1, 3]), 0.0)  # [i, 1, row, 1]
    matrices = op.Where(replaced, op.Unsqueeze(unit, [0, 2]), op.Unsqueeze(x, [-3, -4]))
    return [op.declare(op.Mul(op.Unsqueeze(grad, [-1, -2]), op.Det(matrices)), x)]

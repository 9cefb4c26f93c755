"""Poles and undefined values, and what they do to a gradient of zero."""

from __future__ import annotations

from ..emit import Emitter
from ..tensors import Tensor


def unless_idle(op: Emitter, grad: Tensor, dx: Tensor) -> Tensor:
    """`dx`, but 0 where it is NaN for a `grad` of 0.

    A branch that Where, Max or Clip did not choose receives 0, and 0 times an infinite derivative would be NaN (in
    PyTorch and JAX it is), though the gradient of the whole is finite: of sqrt(x) in Where(x > 0, sqrt(x), 0), of a
    zero vector's norm in x / Max(norm, epsilon).
    """
    idle = op.And(op.is_zero(grad), op.IsNaN(dx))
    return op.Where(idle, op.tensor(0.0, dx), dx)

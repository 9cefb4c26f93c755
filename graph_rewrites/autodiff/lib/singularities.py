"""Poles and undefined values, and what they do to a gradient of zero."""

from __future__ import annotations

import numpy as np

from ...build.emitter import Emitter
from ...graph.operator_traits import traits_of
from ...graph.tensors import Tensor, is_float, value_of


def masked_at_zero(op: Emitter, grad: Tensor, dx: Tensor) -> Tensor:
    """`dx`, but 0 where it is NaN for a `grad` of 0.

    A branch that Where, Max or Clip did not choose receives 0, and 0 times an infinite derivative would be NaN (in
    PyTorch and JAX it is), though the gradient of the whole is finite: of sqrt(x) in Where(x > 0, sqrt(x), 0), of a
    zero vector's norm in x / Max(norm, epsilon).
    """
    idle = op.And(op.is_zero(grad), op.IsNaN(dx))
    return op.Where(idle, op.tensor(0.0, dx), dx)


def may_be_infinite(tensor: Tensor) -> bool:
    """Whether values of -inf may be meant, as in masked attention: False right behind a product, scaled or shifted."""
    pending, seen = [tensor], set()
    while pending:
        tensor = pending.pop()
        values = value_of(tensor)
        maker = tensor.inputs[0] if tensor.inputs else None
        if values is not None:
            if not np.isfinite(values).all():
                return True
        elif maker is None or traits_of(maker).finite is None:
            return True
        elif traits_of(maker).finite != "always" and tensor.name not in seen:
            seen.add(tensor.name)
            pending += [one for one in maker.inputs if is_float(one)]
    return False

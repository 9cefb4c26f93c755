"""Poles and undefined values: infinite gradients, and what they do to a slope of zero, and zero gradients at a pole.

A gradient may be infinite where an operator behind has a pole (see `poles`), such as the root at 0. Where an infinite
gradient meets a slope of 0 (a ReLU that is off, a weight of 0) it counts for nothing, since the output does not move;
their product would be NaN. So rules that multiply by a slope say `masked` or `settled`, and operators that are neither
pointwise nor mere movement are differentiated for the finite and the infinite part by themselves (`in_two_parts`). All
of this is emitted where a pole lies behind (`Node.unbounded`) and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...build.emitter import Emitter
from ...graph.node import Node
from ...graph.operator_traits import traits_of
from ...graph.tensors import Tensor, is_float, is_sequence, value_of

# What passes each gradient on without multiplying it, besides what is pointwise, moves values or takes averages.
PASSING = {
    *("GlobalMaxPool", "MaxPool", "ReduceMax", "ReduceMin", "TopK", "Compress", "Unique", "ReverseSequence", "CumSum"),
    *("Gather", "GatherElements", "GatherND", "Slice", "Concat", "Split", "Expand", "Tile", "Trilu"),
}


def masked_at_zero(op: Emitter, grad: Tensor, dx: Tensor) -> Tensor:
    """`dx`, but 0 where it is NaN for a `grad` of 0.

    A branch that Where, Max or Clip did not choose receives 0, and 0 times an infinite derivative would be NaN (in
    PyTorch and JAX it is), though the gradient of the whole is finite: of sqrt(x) in Where(x > 0, sqrt(x), 0), of a
    zero vector's norm in x / Max(norm, epsilon).
    """
    idle = op.And(op.is_zero(grad), op.IsNaN(dx))
    return op.Where(idle, op.tensor(0.0, dx), dx)


def masked(op: Emitter, node: Node, grad: Tensor, condition: Tensor) -> Tensor:
    """`grad` where a condition holds, else 0: multiplied by the mask, selected only where it may be infinite.

    On a CPU, multiplying by a `Cast` comparison is far cheaper than `Where`.
    """
    if node.unbounded:
        return op.Where(condition, grad, op.tensor(0.0, grad))
    return op.Mul(grad, op.cast_like(condition, grad))


def settled(op: Emitter, node: Node, grad: Tensor, dx: Tensor) -> Tensor:
    """`dx`, a product of `grad` and of its shape, but 0 where an infinite `grad` met a slope of 0."""
    if not node.unbounded:
        return dx
    return op.Where(op.And(op.IsInf(grad), op.IsNaN(dx)), op.tensor(0.0, dx), dx)


def in_two_parts(
    op: Emitter, node: Node, grads: Sequence[Tensor | None], rule: Callable[[Sequence[Tensor | None]], Any]
) -> Any:
    """The gradients by a rule, which is linear in `grads`: of their finite part, and infinite where the rest reaches.

    The rest is taken as the signs of the infinite elements; where nothing of them arrives the finite part holds.
    """
    if not node.unbounded or _passes(node) or any(grad is not None and is_sequence(grad) for grad in grads):
        return rule(grads)
    infinite = [None if grad is None else op.IsInf(grad) for grad in grads]
    pairs = list(zip(grads, infinite, strict=True))
    finite = rule([None if grad is None else op.Where(at, op.tensor(0.0, grad), grad) for grad, at in pairs])
    signs = rule([None if grad is None else op.Where(at, op.Sign(grad), op.tensor(0.0, grad)) for grad, at in pairs])
    if finite is None:
        return None

    def joined(a: Any, b: Any) -> Any:
        if a is None or b is None:
            return None
        if callable(a):
            return lambda: joined(a(), b())
        return op.declare(op.Where(op.is_zero(b), a, op.Mul(b, float("inf"))), a)

    return [joined(a, b) for a, b in zip(finite, signs, strict=True)]


def _passes(node: Node) -> bool:
    """Whether the node's rule takes infinite gradients as they are."""
    traits = traits_of(node.source)
    moves = traits.values in ("in place", "reshaped", "rearranged")
    if traits.pointwise or moves or traits.averages or traits.body or node.op_type in PASSING:
        return True
    weights = [value_of(tensor) for tensor in node.source.inputs[1:2]]
    varies = [tensor.name in node.path for tensor in node.source.inputs[1:2]]
    return traits.weighted and not any(varies) and all(w is not None and bool(np.all(w)) for w in weights)


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

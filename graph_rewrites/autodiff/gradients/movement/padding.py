"""Pad, in all its modes."""

from __future__ import annotations

import numpy as np

from ....build.emitter import Emitter
from ....graph.tensors import Tensor, rank, value_of
from ...lib.matrices import along_axis, identity_matrix
from ...lib.pads import pad as pad_with
from ...reverse import Gradient, Node, gradient_of


@gradient_of("Pad")
def pad(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx = what g holds inside the padding; what was copied into it by the other modes is added back."""
    x, _, value, _ = (*node.inputs, None, None)[:4]
    begin, end = _full_pads(op, node)
    rest: list[Gradient] = [None] * (len(node.inputs) - 1)
    if node.attrs["mode"] != "constant":
        return [op.declare(_unfold(op, node, grad, begin, end), x), *rest]
    inside = op.Slice(grad, op.Max(begin, 0), op.Sub(op.shape(grad), op.Max(end, 0)))
    known = value_of(begin), value_of(end)
    if all(pads is not None and (pads >= 0).all() for pads in known):
        dx = inside
    else:  # negative pads cut x; what was cut gets no gradient
        dx = pad_with(op, inside, op.Concat(op.Max(op.Neg(begin), 0), op.Max(op.Neg(end), 0), axis=0))
    if value is not None:
        rest[1] = lambda: op.reshape_like(op.Sub(_total(op, grad), _total(op, inside)), value)
    return [op.declare(dx, x), *rest]


def _full_pads(op: Emitter, node: Node) -> tuple[Tensor, Tensor]:
    """The pads before and after every axis of x, as int64 vectors."""
    x, pads, _, axes = (*node.inputs, None, None)[:4]
    known, known_axes = value_of(pads), value_of(axes)
    if known is not None and (axes is None or known_axes is not None):
        full = np.zeros((2, rank(x)), np.int64)
        full[:, range(rank(x)) if known_axes is None else known_axes] = known.reshape(2, -1)
        return op.constant(full[0]), op.constant(full[1])
    begin, end = op.Split(pads, op.Expand(op.Div(op.Shape(pads), 2), [2]), outputs=2, axis=0)
    if axes is None:
        return begin, end
    none = op.constant(np.zeros(rank(x), np.int64))
    places = op.Cast(axes, to=7)  # int64, as the indices of ScatterElements
    return op.ScatterElements(none, places, begin, axis=0), op.ScatterElements(none, places, end, axis=0)


def _unfold(op: Emitter, node: Node, grad: Tensor, begin: Tensor, end: Tensor) -> Tensor:
    """Multiplies each padded axis by the transpose of what the padding makes of an identity."""
    x, before, after = node.inputs[0], value_of(begin), value_of(end)
    for axis in range(rank(x)):
        if before is not None and after is not None and before[axis] == after[axis] == 0:
            continue
        first, last = (op.Slice(pads, [axis], [axis + 1]) for pads in (begin, end))
        pads = op.Concat(first, [0], last, [0], axis=0)
        matrix = op.Pad(identity_matrix(op, op.size(x, axis), x), pads, mode=node.attrs["mode"])
        grad = along_axis(op, grad, matrix, axis)
    return grad


def _total(op: Emitter, tensor: Tensor) -> Tensor:
    return op.reduce("ReduceSum", tensor, range(rank(tensor)), keepdims=False)

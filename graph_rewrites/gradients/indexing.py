"""Operators that pick elements of their input.

Any pure movement of data is y = x.flat[i] with i = the operator applied to the positions of x, so dx scatters g to i and
adds up. Plain forms are used where they exist.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..backward import Gradient, Node, gradient_of
from ..emit import Emitter, Tensor, is_static, rank, value_of


def scatter_by_positions(op: Emitter, node: Node, grad: Tensor, **attributes: Any) -> Tensor:
    """The gradient of a data movement: the node's operator moves the positions of x, and g is added up at them."""
    x, *rest = node.inputs
    count = op.Size(x)
    positions = op.reshape_like(op.Range(np.array(0), count, np.array(1)), x)
    moved = op.emit(node.op_type, positions, *rest, **attributes)
    flat = op.zeros_like(op.Reshape(x, [-1]))
    added = op.ScatterElements(flat, op.Reshape(moved, [-1]), op.Reshape(grad, [-1]), axis=0, reduction="add")
    return op.reshape_like(added, x)


@gradient_of("Slice")
def slice_(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx = g padded with zeros where x was cut; scattered where the cut has steps or is known only at run time."""
    x, *rest = node.inputs
    pads = _slice_pads(x, rest)
    dx = op.Pad(grad, pads) if pads is not None else scatter_by_positions(op, node, grad)
    return [op.declare(dx, x), *[None] * len(rest)]


def _slice_pads(x: Tensor, rest: list[Tensor | None]) -> list[int] | None:
    """The zeros before and after each axis that undo a slice of step 1; None where they are not static."""
    starts, ends, axes, steps = (value_of(tensor) for tensor in (*rest, None, None)[:4])
    given = [tensor is not None for tensor in (*rest, None, None)[:4]]
    if starts is None or ends is None or (given[2] and axes is None) or (given[3] and steps is None):
        return None
    if steps is not None and np.any(steps != 1):
        return None
    before, after = [0] * rank(x), [0] * rank(x)
    for index, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        axis = int(axes[index]) % rank(x) if axes is not None else index
        size = x.shape[axis]
        if not isinstance(size, int):
            return None
        first, last, _ = slice(start, end).indices(size)
        before[axis], after[axis] = first, size - max(last, first)
    return before + after


@gradient_of("Gather")
def gather(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx adds g up at the gathered positions; an index may occur several times."""
    return [scatter_by_positions(op, node, grad, axis=node.attrs["axis"]), None]


@gradient_of("GatherElements")
def gather_elements(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx adds g up at the gathered elements."""
    x, indices = node.inputs
    dx = op.ScatterElements(op.zeros_like(x), indices, grad, axis=node.attrs["axis"], reduction="add")
    return [op.declare(dx, x), None]


@gradient_of("GatherND")
def gather_nd(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx adds g up at the gathered slices."""
    x, indices = node.inputs
    if node.attrs["batch_dims"]:
        return [scatter_by_positions(op, node, grad, batch_dims=node.attrs["batch_dims"]), None]
    return [op.declare(op.ScatterND(op.zeros_like(x), indices, grad, reduction="add"), x), None]


@gradient_of("Trilu")
def trilu(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx = g in the triangle that was kept."""
    return [op.Trilu(grad, *node.inputs[1:], upper=node.attrs["upper"]), *[None] * (len(node.inputs) - 1)]

"""Operators that pick elements of their input.

Any pure movement of data is y = x.flat[i] with i = the operator applied to the positions of x, so dx scatters g to i
and adds up. Plain forms are used where they exist.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx

from ....build.emitter import Emitter
from ....graph.tensors import Tensor, dtype_of, is_static, rank, value_of
from ...lib.pads import pad
from ...reverse import Gradient, Node, gradient_of


def scatter_by_positions(op: Emitter, node: Node, grad: Tensor, **attributes: Any) -> Tensor:
    """The gradient of a data movement: the node's operator moves the positions of x, and g is added up at them."""
    x, *rest = node.inputs
    moved = op.emit(node.op_type, positions(op, x), *rest, **attributes)
    flat = op.zeros_like(op.Reshape(x, [-1]))
    return op.reshape_like(added_up(op, flat, op.Reshape(moved, [-1]), op.Reshape(grad, [-1]), 0), x)


def added_up(op: Emitter, zeros: Tensor, indices: Tensor, updates: Tensor, axis: int) -> Tensor:
    """The sums of `updates` at each index along an axis, in the shape of `zeros`.

    In float32 where the type is narrower: ONNX Runtime's CPU kernel adds no 16-bit floats.
    """
    if dtype_of(updates) in (onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16):
        zeros, wide = (op.Cast(tensor, to=onnx.TensorProto.FLOAT) for tensor in (zeros, updates))
        return op.cast_like(added_up(op, zeros, indices, wide, axis), updates)
    return op.declare(op.ScatterElements(zeros, indices, updates, axis=axis, reduction="add"), zeros)


def positions(op: Emitter, x: Tensor) -> Tensor:
    """The position of each element in the flattened x, in the shape of x."""
    # Not Size: from opset 19 on, ONNX Runtime would copy the whole tensor from CUDA for it.
    count = op.reduce("ReduceProd", op.shape(x), [0], keepdims=False)
    return op.reshape_like(op.Range(np.array(0), count, np.array(1)), x)


def element_count(op: Emitter, x: Tensor) -> Tensor:
    """The number of elements as an int64 vector of length 1."""
    if is_static(x):
        return op.constant(np.array([np.prod(x.shape)], np.int64))
    return op.reduce("ReduceProd", op.shape(x), [0])


@gradient_of("Slice")
def slice_(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx = g spread over the positions that were read, with zeros between and around them."""
    x, *rest = node.inputs
    spans = _spans(x, rest)
    dx = scatter_by_positions(op, node, grad) if spans is None else _spread(op, grad, spans, x)
    return [op.declare(dx, x), *[None] * len(rest)]


def _spans(x: Tensor, rest: Sequence[Tensor | None]) -> dict[int, range] | None:
    """The positions that a slice reads along each sliced axis; None where they are known only at run time."""
    starts, ends, axes, steps = (value_of(tensor) for tensor in (*rest, None, None)[:4])
    given = [tensor is not None for tensor in (*rest, None, None)[:4]]
    if x.shape is None or starts is None or ends is None or (given[2] and axes is None) or (given[3] and steps is None):
        return None
    spans = {}
    for index, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        axis = int(axes[index]) % rank(x) if axes is not None else index
        size, step = x.shape[axis], int(steps[index]) if steps is not None else 1
        if not isinstance(size, int):
            return None
        spans[axis] = range(size)[start:end:step]
    return spans if all(spans.values()) else None


def _spread(op: Emitter, grad: Tensor, spans: dict[int, range], x: Tensor) -> Tensor:
    """`grad` at the positions `spans` of each axis of x, zeros elsewhere."""
    before, after = [0] * rank(x), [0] * rank(x)
    for axis, span in spans.items():
        if span.step < 0:
            grad, span = op.Slice(grad, [-1], [-(2**31)], [axis], [-1]), span[::-1]
        width = span.step if len(span) > 1 else 1
        if width > 1:
            grad = _dilate(op, grad, axis, width)
        # The zeros after the last element may reach over the border: a negative pad cuts them.
        before[axis], after[axis] = span[0], x.shape[axis] - span[0] - width * len(span)
    return pad(op, grad, before + after) if any(before + after) else grad


def _dilate(op: Emitter, tensor: Tensor, axis: int, width: int) -> Tensor:
    """`tensor` with width - 1 zeros after each element of an axis."""
    after = [0] * (rank(tensor) + 1)
    after[axis + 1] = width - 1
    spread = pad(op, op.Unsqueeze(tensor, [axis + 1]), [0] * len(after) + after)
    sizes = [[-1] if i == axis else op.size(tensor, i) for i in range(rank(tensor))]
    return op.Reshape(spread, op.join(*sizes))


@gradient_of("Gather")
def gather(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx adds g up at the gathered positions; an index may occur several times."""
    x, indices = node.inputs
    axis = node.attrs["axis"] % rank(x)
    known, size = value_of(indices), x.shape[axis]
    if known is not None and known.size == 1 and isinstance(size, int):  # one position, such as a class token
        at = int(known.item()) % size
        kept = op.Reshape(grad, op.join(*([1] if i == axis else op.size(x, i) for i in range(rank(x)))))
        return [op.declare(_spread(op, kept, {axis: range(at, at + 1)}, x), x), None]
    count = element_count(op, indices)
    updates = op.Reshape(grad, op.join(*(count if i == axis else op.size(x, i) for i in range(rank(x)))), allowzero=1)
    along = op.Reshape(indices, [-1, *[1] * (rank(x) - 1 - axis)])
    return [added_up(op, op.zeros_like(x), op.Expand(along, op.Shape(updates)), updates, axis), None]


@gradient_of("GatherElements")
def gather_elements(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx adds g up at the gathered elements."""
    x, indices = node.inputs
    return [added_up(op, op.zeros_like(x), indices, grad, node.attrs["axis"]), None]


@gradient_of("GatherND")
def gather_nd(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx adds g up at the gathered slices.

    Not by ScatterND: where it meets an index twice, ONNX Runtime 1.32 adds wrongly on several threads.
    """
    return [scatter_by_positions(op, node, grad, batch_dims=node.attrs["batch_dims"]), None]


@gradient_of("Trilu")
def trilu(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx = g in the triangle that was kept."""
    return [op.Trilu(grad, *node.inputs[1:], upper=node.attrs["upper"]), *[None] * (len(node.inputs) - 1)]

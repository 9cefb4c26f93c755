"""Operators that write updates into a copy of their input: y = x but for the places that the indices name.

Each rule is written with two functions: `scatter(data, updates, reduction)` is the node's operator on other data, and
`gather(data)` reads data at the places where the updates go.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import onnx

from ....build.emitter import Emitter
from ....graph.tensors import Tensor, rank
from ...reverse import Gradient, Node, gradient_of
from ..reductions.reductions import Factors
from .indexing import positions

Scatter: TypeAlias = Callable[[Tensor, Tensor, str], Tensor]
Gather: TypeAlias = Callable[[Tensor], Tensor]


@gradient_of("ScatterElements")
def scatter_elements(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx = g, du = g at the updates u, apart from what the reduction makes of them, see `_gradients`."""
    x, indices, updates = node.inputs
    axis = node.attrs["axis"]

    def scatter(data: Tensor, values: Tensor, reduction: str) -> Tensor:
        return op.declare(op.ScatterElements(data, indices, values, axis=axis, reduction=reduction), x)

    def gather(data: Tensor) -> Tensor:
        return op.declare(op.GatherElements(data, indices, axis=axis), updates)

    return _gradients(op, node, grad, scatter, gather)


@gradient_of("ScatterND")
def scatter_nd(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx = g, du = g at the updates u, apart from what the reduction makes of them, see `_gradients`.

    Reductions are done by ScatterElements: ONNX Runtime's ScatterND errs on repeated indices.
    """
    x, indices, updates = node.inputs

    def scatter(data: Tensor, values: Tensor, reduction: str) -> Tensor:
        if reduction == "none":
            return op.declare(op.ScatterND(data, indices, values), x)
        at, flat = (op.Reshape(tensor, [-1]) for tensor in (op.GatherND(positions(op, x), indices), data))
        result = op.ScatterElements(flat, at, op.Reshape(values, [-1]), axis=0, reduction=reduction)
        return op.reshape_like(result, x)

    def gather(data: Tensor) -> Tensor:
        return op.declare(op.GatherND(data, indices), updates)

    return _gradients(op, node, grad, scatter, gather)


@gradient_of("TensorScatter")
def tensor_scatter(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx = g, with zeros where x was overwritten; d updates = g where they were written.

    Update t of sample n goes to position start_n + t of the axis, modulo its length in mode "circular".
    """
    x, updates, start = [*node.inputs, None][:3]
    axis = node.attrs["axis"] % rank(x)

    def at() -> Tensor:
        steps = op.arange(op.size(updates, axis))
        if start is not None:
            steps = op.Add(op.Unsqueeze(start, [1]), steps)  # [N, T]
        if node.attrs["mode"] == "circular":
            steps = op.Mod(steps, op.size(x, axis))
        shape = op.join([-1], [1] * (axis - 1), op.size(updates, axis), [1] * (rank(x) - axis - 1))
        return op.Expand(op.Reshape(steps, shape), op.shape(updates))

    return [
        lambda: op.declare(op.ScatterElements(grad, at(), op.zeros_like(updates), axis=axis), x),
        lambda: op.declare(op.GatherElements(grad, at(), axis=axis), updates),
        None,
    ][: len(node.inputs)]


def _gradients(op: Emitter, node: Node, grad: Tensor, scatter: Scatter, gather: Gather) -> list[Gradient]:
    """The gradients of x, indices and updates u.

    Without a reduction du = g where u was written, dx = g with zeros there. (Where an index occurs twice, the
    specification leaves open which update stays; like PyTorch's, the gradient goes to both.)

    add: dx = g, du = g where u was added.
    mul: dx and du are g times the product of the other factors, see `Factors`.
    max, min: g goes to the extremum; x and updates that tie share it evenly (as `torch.scatter_reduce`).
    """
    x, _, updates = node.inputs
    reduction = node.attrs["reduction"]
    if reduction == "none":
        return [lambda: scatter(grad, op.zeros_like(updates), "none"), None, lambda: gather(grad)]
    if reduction == "add":
        return [grad, None, lambda: gather(grad)]
    if reduction == "mul":
        of_x, of_u = Factors(op, x), Factors(op, updates)
        kinds = ("mul", "add", "add")
        totals = [scatter(a, b, kind) for a, b, kind in zip(of_x.parts, of_u.parts, kinds, strict=True)]
        return [
            lambda: op.Mul(grad, of_x.product_of_others(*totals)),
            None,
            lambda: op.Mul(gather(grad), of_u.product_of_others(*[gather(total) for total in totals])),
        ]
    (y,) = node.outputs
    reaches = op.GreaterOrEqual if reduction == "max" else op.LessOrEqual
    hits = reaches(x, y), reaches(updates, gather(y))
    # Counted in float32: ONNX Runtime's CPU kernel adds no 16-bit floats.
    counts_x, counts_u = (op.Cast(hit, to=onnx.TensorProto.FLOAT) for hit in hits)
    ties = scatter(counts_x, counts_u, "add")
    share, (mask_x, mask_u) = op.Div(grad, op.cast_like(ties, grad)), (op.cast_like(hit, grad) for hit in hits)
    return [lambda: op.Mul(share, mask_x), None, lambda: op.Mul(gather(share), mask_u)]

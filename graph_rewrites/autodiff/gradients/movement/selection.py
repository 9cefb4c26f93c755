"""Operators that pick elements by their values, by a mask, or reverse them: the gradient goes where the element was."""

from __future__ import annotations

from ....build.emitter import Emitter
from ....graph.tensors import Tensor, rank
from ...reverse import Gradient, Node, gradient_of
from .indexing import scatter_by_positions


@gradient_of("TopK")
def top_k(op: Emitter, node: Node, grad: Tensor, *indices: Tensor | None) -> list[Gradient]:
    """dx = g at the elements that were picked, 0 elsewhere; among ties, at the one whose index the node returns."""
    x, _ = node.inputs
    return [op.declare(op.ScatterElements(op.zeros_like(x), node.outputs[1], grad, axis=node.attrs["axis"]), x), None]


@gradient_of("Compress")
def compress(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx = g at the elements or slices whose condition holds, 0 elsewhere."""
    return [scatter_by_positions(op, node, grad, axis=node.attrs.get("axis")), None]


@gradient_of("Unique")
def unique(op: Emitter, node: Node, grad: Tensor, *indices: Tensor | None) -> list[Gradient]:
    """dx = g at the first of equal elements or slices, 0 at the others (as `jax.numpy.unique`; PyTorch has none)."""
    (x,), axis = node.inputs, node.attrs.get("axis")
    first = node.outputs[1] if len(node.outputs) > 1 and node.outputs[1].name else None
    if first is None:
        _, first = op.Unique(x, axis=axis, sorted=node.attrs["sorted"], outputs=2)
    if axis is None:
        flat = op.zeros_like(op.Reshape(x, [-1]))
        return [op.reshape_like(op.ScatterElements(flat, first, grad, axis=0), x)]
    along = op.Reshape(first, [-1, *[1] * (rank(x) - 1 - axis % rank(x))])
    return [op.declare(op.ScatterElements(op.zeros_like(x), op.Expand(along, op.Shape(grad)), grad, axis=axis), x)]


@gradient_of("ReverseSequence")
def reverse_sequence(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx = g with its sequences reversed again."""
    lengths, attrs = node.inputs[1], node.attrs
    return [op.ReverseSequence(grad, lengths, batch_axis=attrs["batch_axis"], time_axis=attrs["time_axis"]), None]

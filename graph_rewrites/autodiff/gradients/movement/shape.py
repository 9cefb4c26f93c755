"""Operators that only rearrange: the gradient is rearranged back."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from ....build.emitter import Emitter
from ....graph.tensors import Tensor, rank, value_of
from ...reverse import Gradient, Node, gradient_of


@gradient_of("Reshape", "Flatten", "Squeeze", "Unsqueeze")
def reshape(op: Emitter, node: Node, grad: Tensor) -> Sequence[Gradient]:
    """dx = g in the shape of x."""
    x, *parameters = node.inputs
    return [op.reshape_like(grad, x), *[None for _ in parameters]]


@gradient_of("Transpose")
def transpose(op: Emitter, node: Node, grad: Tensor) -> Sequence[Gradient]:
    """dx = g transposed by the inverse permutation (an omitted one reverses the axes, both ways)."""
    perm = node.attrs.get("perm")
    return [op.Transpose(grad, perm=None if perm is None else np.argsort(perm).tolist())]


@gradient_of("Expand")
def expand(op: Emitter, node: Node, grad: Tensor) -> Sequence[Gradient]:
    """dx = g summed over the axes that were stretched (which the sweep does)."""
    return [grad, None]


@gradient_of("Tile")
def tile(op: Emitter, node: Node, grad: Tensor) -> Sequence[Gradient]:
    """dx = the sum of g over the copies: g as [copies, size, copies, size, ...], summed over the copies."""
    x, repeats = node.inputs
    axes = rank(x)
    counts, sizes = value_of(repeats), value_of(op.shape(x))
    if counts is not None and sizes is not None:
        shape = op.constant(np.stack([counts, sizes], axis=1).ravel())
    else:
        pairs = op.Concat(op.Unsqueeze(repeats, [1]), op.Unsqueeze(op.shape(x), [1]), axis=1)
        shape = op.Reshape(pairs, [-1])
    summed = op.ReduceSum(op.Reshape(grad, shape), list(range(0, 2 * axes, 2)), keepdims=0)
    return [op.declare(summed, x), None]


@gradient_of("Concat")
def concat(op: Emitter, node: Node, grad: Tensor) -> Sequence[Gradient]:
    """dx_i = the slice of g that x_i filled."""
    axis = node.attrs["axis"]
    pieces: list[Gradient] = []
    start = op.tensor([0])
    for x in node.inputs:
        end = total(op, start, op.size(x, axis))
        pieces.append(partial(piece, op, grad, start, end, axis, x))
        start = end
    return pieces


def piece(op: Emitter, grad: Tensor, start: Tensor, end: Tensor, axis: int, x: Tensor) -> Tensor:
    """`grad` between two positions along an axis, of the shape of `x`."""
    return op.declare(op.Slice(grad, start, end, [axis]), x)


def total(op: Emitter, a: Tensor, b: Tensor) -> Tensor:
    """a + b: a constant where both are known."""
    known = value_of(a), value_of(b)
    return op.Add(a, b) if known[0] is None or known[1] is None else op.constant(known[0] + known[1])


@gradient_of("Split")
def split(op: Emitter, node: Node, *flowing: Tensor | None) -> Sequence[Gradient]:
    """dx = the gradients of the parts side by side, zeros for parts that have none."""
    x, *sizes = node.inputs
    grads = [*flowing, *[None] * (len(node.outputs) - len(flowing))]
    parts = [op.zeros_like(part) if grad is None else grad for part, grad in zip(node.outputs, grads, strict=True)]
    return [op.declare(op.Concat(*parts, axis=node.attrs["axis"]), x), *[None for _ in sizes]]


@gradient_of("DepthToSpace")
def depth_to_space(op: Emitter, node: Node, grad: Tensor) -> Sequence[Gradient]:
    """dx = SpaceToDepth(g) for mode DCR; for CRD the block's place goes behind the channel instead of before it."""
    (x,), block = node.inputs, node.attrs["blocksize"]
    if node.attrs["mode"] == "DCR":
        return [op.declare(op.SpaceToDepth(grad, blocksize=block), x)]
    shape = op.join([0, 0], op.size(x, 2), [block], op.size(x, 3), [block])
    return [op.reshape_like(op.Transpose(op.Reshape(grad, shape), perm=[0, 1, 3, 5, 2, 4]), x)]


@gradient_of("SpaceToDepth")
def space_to_depth(op: Emitter, node: Node, grad: Tensor) -> Sequence[Gradient]:
    """dx = DepthToSpace(g) of the same mode, DCR before opset 28."""
    mode = node.attrs.get("mode", "DCR")
    return [op.declare(op.DepthToSpace(grad, blocksize=node.attrs["blocksize"], mode=mode), node.inputs[0])]

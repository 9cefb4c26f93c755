"""Operators that only rearrange, repeat, join or cut their input."""

from __future__ import annotations

import numpy as np

from ..backward import Gradient, Node, gradient_of
from ..emit import Emitter, Tensor, rank


@gradient_of("Reshape", "Flatten", "Squeeze", "Unsqueeze")
def reshape(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx = g in the shape of x."""
    return [op.reshape_like(grad, node.inputs[0]), *[None] * (len(node.inputs) - 1)]


@gradient_of("Transpose")
def transpose(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx = g under the inverse permutation."""
    perm = node.attrs.get("perm")
    inverse = None if perm is None else [int(axis) for axis in np.argsort(perm)]
    return [op.declare(op.Transpose(grad, perm=inverse), node.inputs[0])]


@gradient_of("Expand")
def expand(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx = g summed over the axes that were stretched (by the sweep)."""
    return [grad, None]


@gradient_of("Tile")
def tile(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx = the sum over all copies: g as [repeats0, size0, repeats1, size1, ...] summed over the repeats."""
    x, repeats = node.inputs
    pairs = op.Concat(op.Unsqueeze(repeats, [1]), op.Unsqueeze(op.shape(x), [1]), axis=1)
    copies = op.Reshape(grad, op.Reshape(pairs, [2 * rank(x)]))
    return [op.declare(op.reduce("ReduceSum", copies, range(0, 2 * rank(x), 2), keepdims=False), x)]


@gradient_of("Concat")
def concat(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx_i = the part of g that x_i fills."""
    axis = node.attrs["axis"]
    sizes = [op.size(x, axis) for x in node.inputs]
    parts = op.emit("Split", grad, op.Concat(*sizes, axis=0), outputs=len(sizes), axis=axis)
    parts = [parts] if len(sizes) == 1 else list(parts)
    return [op.declare(part, x) for part, x in zip(parts, node.inputs, strict=True)]


@gradient_of("Split")
def split(op: Emitter, node: Node, *grads: Tensor | None) -> list[Gradient]:
    """dx = the gradients of the parts, joined; zeros for a part that nobody uses."""
    given = [*grads, *[None] * (len(node.outputs) - len(grads))]
    parts = [op.zeros_like(y) if grad is None else grad for y, grad in zip(node.outputs, given, strict=True)]
    joined = op.declare(op.Concat(*parts, axis=node.attrs["axis"]), node.inputs[0])
    return [joined, *[None] * (len(node.inputs) - 1)]


@gradient_of("DepthToSpace")
def depth_to_space(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx = g moved back; SpaceToDepth undoes the DCR order, and CRD after a swap of the two channel axes."""
    (x,), block = node.inputs, node.attrs["blocksize"]
    back = op.SpaceToDepth(grad, blocksize=block)
    if node.attrs["mode"] == "CRD":
        back = _channel_first(op, back, block * block, x)
    return [op.declare(back, x)]


@gradient_of("SpaceToDepth")
def space_to_depth(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx = g moved back by DepthToSpace in its DCR order."""
    (x,) = node.inputs
    return [op.declare(op.DepthToSpace(grad, blocksize=node.attrs["blocksize"], mode="DCR"), x)]


def _channel_first(op: Emitter, tensor: Tensor, blocks: int, like: Tensor) -> Tensor:
    """[N, b*b*C, H, W] with the block index first to [N, C*b*b, H, W] with the channel first."""
    rows = op.Reshape(tensor, op.Concat(op.size(like, 0), [blocks, -1], op.sizes(like, [2, 3]), axis=0))
    return op.Reshape(op.Transpose(rows, perm=[0, 2, 1, 3, 4]), op.shape(like))

"""Where a tensor's channels are, and so which of its axes are spatial."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import onnx_graphsurgeon as gs

from ..graph.operator_traits import traits_of
from ..graph.tensors import Tensor, value_of

Shape: TypeAlias = Sequence[int | str | None]

Follow: TypeAlias = Callable[[gs.Node], bool]


def layout(tensor: Tensor) -> list[int]:
    """The tensor's axes in the order batch, channel, spatial."""
    return [0, channel_axis(tensor), *spatial_axes(tensor)]


def has_spatial_extent(tensor: Tensor) -> bool:
    """Whether the tensor has axes beside batch and channel of which one is (or may be) larger than 1."""
    if tensor.shape is None or len(tensor.shape) < 3:
        return False
    return any(tensor.shape[axis] != 1 for axis in spatial_axes(tensor))


def spatial_axes(tensor: Tensor) -> list[int]:
    """All axes but the batch and the channel axis, in order."""
    return [axis for axis in range(1, len(tensor.shape)) if axis != channel_axis(tensor)]


def channel_axis(tensor: Tensor) -> int:
    """The axis of the channels, by the nearest operator before the tensor that tells it.

    A convolution makes axis 1 the channels, a normalisation of layers the last one; so does a matrix product, which is
    believed where nothing else tells. Transposes and reshapes between are followed. A graph input has no maker: there
    it is the axis that its first consumers, up to a convolution, treat as such.
    """
    leaf, product = None, None
    for current, axes in traced(tensor, follows):
        if not current.inputs:
            leaf = leaf or ((current, axes) if len(axes) > 2 else None)
            continue
        node = current.inputs[0]
        channels = _own_channels(node)
        found = axes[channels] if channels is not None else None
        if found is not None:
            return found
        if _is_product(node) and product is None:
            product = axes[-1]
    if product is not None:
        return product
    return (leaf[1][_input_channel_axis(leaf[0])] if leaf else None) or 1


def follows(node: gs.Node) -> bool:
    """Whether the node leaves each axis what it is, or moves or merges it in a way that can be followed."""
    traits = traits_of(node)
    return (traits.keeps_axes and not traits.pools) or traits.values in ("reshaped", "rearranged")


def _own_channels(node: gs.Node) -> int | None:
    """The axis of the node's output that is the channels' by what the node does; over all axes a norm says nothing."""
    traits = traits_of(node)
    if traits.normalises and traits.channels == -1:
        last = len(node.outputs[0].shape or ()) - 1
        return -1 if node.attrs.get("axis", -1) in (-1, last) else None
    return traits.channels


def _is_product(node: gs.Node) -> bool:
    """Whether the node is a matrix product: its last axis is of channels but where a mixer mixes tokens."""
    traits = traits_of(node)
    return traits.weighted and not traits.convolves


def traced(tensor: Tensor, through: Follow) -> Iterator[tuple[Tensor, list[int | None]]]:
    """The tensor and what it is made of, nearest first, `through` nodes of some kind.

    With each, for each of its axes, the axis of `tensor` that it is; None where it is none of them.
    """
    waiting: list[tuple[Tensor, list[int | None]]] = [(tensor, list(range(len(tensor.shape))))]
    seen: set[tuple[str, tuple[int | None, ...]]] = set()
    for current, axes in waiting:
        if (current.name, tuple(axes)) in seen:
            continue
        seen.add((current.name, tuple(axes)))
        yield current, axes
        for node in current.inputs:
            if through(node):
                waiting.extend(_sources(node, axes))


def _sources(node: gs.Node, axes: list[int | None]) -> Iterator[tuple[Tensor, list[int | None]]]:
    """The inputs that share axes with the node's output, rather computed ones than weights; for each their axes."""
    if traits_of(node).values == "reshaped":
        if node.inputs[0].shape:
            yield node.inputs[0], _before_reshape(node, axes)
        return
    computed = sorted((t for t in node.inputs if value_of(t) is None and t.shape), key=lambda t: not t.inputs)
    for tensor in computed:
        if len(tensor.shape) == len(axes) and node.op == "Transpose":
            perm = node.attrs.get("perm") or range(len(axes))[::-1]
            yield tensor, [axes[list(perm).index(axis)] for axis in range(len(axes))]
        elif len(tensor.shape) == len(axes):
            yield tensor, axes


def _size(shape: Shape) -> int:
    """How many positions the axes have; -1 where that is unknown."""
    sizes = [size for size in shape if isinstance(size, int)]
    return math.prod(sizes) if len(sizes) == len(shape) else -1


def _before_reshape(node: gs.Node, axes: list[int | None]) -> list[int | None]:
    """The axes that a reshape leaves alone: the first ones and the last ones, as long as sizes agree."""
    before, after = node.inputs[0].shape, list(node.outputs[0].shape)
    measured = _measured(node)
    if (measured is not None and measured.shape[0] == before[0]) or _size(before[1:]) == _size(after[1:]) != -1:
        after[0] = before[0]  # though inference did not see it
    kept: list[int | None] = [None] * len(before)
    for order in (range(len(before)), range(-1, -len(before) - 1, -1)):
        for axis, old, new in zip(order, [before[i] for i in order], after[:: order.step], strict=False):
            if old is None or old != new:
                break
            kept[axis] = axes[axis]
    return kept


def _measured(reshape: gs.Node) -> Tensor | None:
    """The tensor whose first size a reshape computes its own first size from; None where there is none."""
    shape = reshape.inputs[1] if reshape.op == "Reshape" else None
    while shape is not None and shape.inputs:
        node = shape.inputs[0]
        if node.op == "Shape":
            return node.inputs[0] if node.inputs[0].shape else None
        if node.op in ("Gather", "Slice"):
            first = value_of(node.inputs[1])
            if first is None or first.flat[0] != 0:
                return None
        elif node.op not in ("Concat", "Unsqueeze", "Reshape", "Cast", "Identity"):
            return None
        shape = node.inputs[0]
    return None


def _input_channel_axis(tensor: Tensor) -> int:
    """The axis that the nearest convolution or pooling takes for the channels, through transposes between; else 1."""
    waiting = [(tensor, list(range(len(tensor.shape))))]  # with, for each axis, the input's axis that it is
    seen = {tensor.name}
    for tensor, axes in waiting:
        for node in tensor.outputs:
            traits = traits_of(node)
            if traits.channels is not None and (traits.convolves or traits.pools):
                return axes[traits.channels]
            out = node.outputs[0]
            if not (traits.makes_maps or node.op == "Gather") or len(out.shape or ()) != len(axes) or out.name in seen:
                continue
            seen.add(out.name)
            perm = node.attrs.get("perm") or range(len(axes))[::-1]
            waiting.append((out, [axes[axis] for axis in perm] if node.op == "Transpose" else axes))
    return 1

"""Pooling in ceil mode whose last window would start past the input.

The specification drops such a window ("sliding windows that would start in the right padded region are ignored"), and
the kernels of ONNX Runtime do. The shape inference of both onnx and ONNX Runtime counts it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import onnx

POOLS = {"MaxPool", "AveragePool", "LpPool"}


class Axis(NamedTuple):
    """One spatial axis of a pooling node: the input's size, the extent of the kernel, stride and pads."""

    size: int
    kernel: int
    stride: int
    begin: int
    end: int

    def windows(self, end: int) -> int:
        """How many fit into the input, padded by `end` at the end."""
        return (self.size + self.begin + end - self.kernel) // self.stride + 1

    def reach(self, count: int) -> int:
        """How far behind the input the last of `count` windows ends."""
        return (count - 1) * self.stride + self.kernel - self.size - self.begin

    def starts_outside(self, count: int) -> bool:
        """Whether the last of `count` windows starts past the input."""
        return bool(self.size) and self.reach(count) >= self.kernel


def is_ceil_pool(node: onnx.NodeProto) -> bool:
    """Whether the node pools in ceil mode."""
    return node.op_type in POOLS and any(a.name == "ceil_mode" and a.i for a in node.attribute)


def overcounted_pools(graph: onnx.GraphProto) -> dict[int, list[int]]:
    """Pooling nodes in ceil mode whose inferred size counts a window past the input, and a kernel whose does not."""
    found, sizes = {}, _sizes(graph)
    for i, node in enumerate(graph.node):
        axes, counts = _axes(node, sizes)
        if any(axis.starts_outside(count) for axis, count in zip(axes, counts, strict=True)):
            found[i] = [
                axis.kernel + axis.end - axis.reach(count - 1) if axis.starts_outside(count) else axis.kernel
                for axis, count in zip(axes, counts, strict=True)
            ]
    return found


def state_dropped_windows(graph: onnx.GraphProto) -> None:
    """Puts nodes that drop a window into floor mode, padded as far as their other windows reach.

    The sizes that the explanation states behind such a node would contradict those that a runtime infers, and it would
    not load the model.
    """
    sizes = _sizes(graph)
    for node in graph.node:
        axes, counts = _axes(node, sizes)
        dropped = any(axis.starts_outside(axis.windows(axis.end + axis.stride - 1)) for axis in axes)
        if not dropped or not all(counts):
            continue
        ends = [max(axis.end, axis.reach(count)) for axis, count in zip(axes, counts, strict=True)]
        longer = any(end > axis.end for axis, end in zip(axes, ends, strict=True))
        padded = any(axis.begin or axis.end for axis in axes)
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        if longer and padded and attributes.get("count_include_pad"):
            continue  # what ceil mode adds is never counted, and padding would be
        if longer or padded:
            attributes["pads"] = [*(axis.begin for axis in axes), *ends]
        if longer:
            attributes.pop("count_include_pad", None)
        del node.attribute[:]
        kept = {name: value for name, value in attributes.items() if name != "ceil_mode"}
        node.attribute.extend(onnx.helper.make_attribute(name, value) for name, value in kept.items())


def _sizes(graph: onnx.GraphProto) -> dict[str, list[int]]:
    """The sizes of each tensor, 0 where they are open."""
    values = (*graph.value_info, *graph.input, *graph.output)
    return {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in values}


def _axes(node: onnx.NodeProto, sizes: dict[str, list[int]]) -> tuple[list[Axis], Sequence[int]]:
    """The spatial axes of a node that pools in ceil mode, and its output's sizes; none of any other."""
    x, y = (sizes.get(names[0] if names else "", []) for names in (node.input, node.output))
    if not is_ceil_pool(node) or len(x) != len(y) or len(x) < 3:
        return [], []
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    if attributes.get("auto_pad", b"NOTSET") != b"NOTSET":
        return [], []
    spatial = len(x) - 2
    pads = list(attributes.get("pads") or [0] * 2 * spatial)
    strides, dilations = (attributes.get(name) or [1] * spatial for name in ("strides", "dilations"))
    kernel = [(k - 1) * dilation + 1 for k, dilation in zip(attributes["kernel_shape"], dilations, strict=True)]
    axes = zip(x[2:], kernel, strides, pads[:spatial], pads[spatial:], strict=True)
    return [Axis(*axis) for axis in axes], y[2:]

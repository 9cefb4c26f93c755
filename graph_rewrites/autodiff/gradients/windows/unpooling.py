"""MaxUnpool and Col2Im: the operators that put what a window yielded back into its place."""

from __future__ import annotations

import numpy as np
import onnx

from ....build.emitter import Emitter
from ....graph.tensors import Tensor, rank
from ...reverse import Gradient, Node, gradient_of
from ..movement.indexing import element_count, positions


@gradient_of("MaxUnpool")
def max_unpool(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx = g where the element was put; 0 if another one was put over it.

    The same node, on the elements' numbers from 1 on, tells which of them lies where: the specification and ONNX
    Runtime read the positions differently where an output shape is given. (Numbers are exact up to 2^24 elements.)
    """
    x, *rest = node.inputs
    numbers = op.Cast(op.Add(positions(op, x), np.array(1)), to=onnx.TensorProto.FLOAT)
    placed = op.MaxUnpool(numbers, *rest, **node.source.attrs)
    placed = op.Cast(op.Reshape(placed, [-1]), to=onnx.TensorProto.INT64)
    target = op.Expand(op.cast_like(op.constant(np.zeros(1, np.float32)), grad), op.Add(element_count(op, x), [1]))
    taken = op.ScatterElements(target, placed, op.Reshape(grad, [-1]), axis=0)
    return [op.reshape_like(op.Slice(taken, [1], [2**62], [0]), x), *[None] * len(rest)]


@gradient_of("Col2Im")
def col2im(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx = the windows of g, as columns: its convolution with one kernel per element of the window, 1 there alone."""
    x, _, block = node.inputs
    axes = rank(node.outputs[0]) - 2
    pads, strides, dilations = (node.attrs.get(name) or None for name in ("pads", "strides", "dilations"))
    count = op.reduce("ReduceProd", block, [0])
    square = op.Expand(op.cast_like(op.constant(np.zeros(1, np.float32)), grad), op.join(count, count))
    kernels = op.Reshape(op.EyeLike(square), op.join([-1, 1], block))
    planes = op.Reshape(grad, op.join([-1, 1], op.sizes(grad, range(2, 2 + axes))))
    columns = op.Conv(planes, kernels, pads=pads, strides=strides, dilations=dilations)
    return [op.reshape_like(columns, x), None, None]

"""DeformConv: a convolution whose taps are moved by offsets, and weighed by a mask."""

from __future__ import annotations

import numpy as np

from ....build.emitter import Emitter
from ....graph.tensors import Tensor, rank
from ...decompose import decomposition_of
from ...lib.interpolation import inside, interpolate, product, steps, taps_along
from ...reverse import Node


@decomposition_of("DeformConv")
def deform_conv(op: Emitter, node: Node) -> list[Tensor]:
    """y = W * columns + b, columns[c, k, o] = mask[k, o] x[c, o * stride - pad + k * dilation + offset[k, o]].

    x between its elements is interpolated linearly, and is 0 outside (X. Zhu et al., "Deformable ConvNets v2", 2018).
    """
    x, weight, offset, bias, mask = (*node.inputs, None, None)[:5]
    axes, groups, group = rank(x) - 2, node.attrs["offset_group"], node.attrs["group"]
    strides, dilations = (node.attrs.get(name) or [1] * axes for name in ("strides", "dilations"))
    pads = node.attrs.get("pads") or [0] * axes
    spatial = range(2, 2 + axes)
    kernel, count = op.sizes(weight, spatial), op.sizes(offset, spatial)
    moves = op.Reshape(offset, op.join([-1], kernel, [axes], count))  # [N * groups, *kernel, axis, *count]
    taps, sizes = [], [op.size(x, axis) for axis in spatial]
    for axis, size in enumerate(sizes):
        move = op.Gather(moves, np.array(axis), axis=1 + axes)
        windows = steps(op, op.size(offset, 2 + axis), -pads[axis], strides[axis], offset)
        within = steps(op, op.size(weight, 2 + axis), 0, dilations[axis], offset)
        position = op.Add(move, op.Unsqueeze(windows, list(range(1, axes - axis))))
        position = op.Add(position, op.Unsqueeze(within, list(range(1, 2 * axes - axis))))
        flat = op.Reshape(position, op.join(op.Mul(op.size(x, 0), [groups]), [-1]))
        taps.append(inside(op, taps_along(op, flat, "linear"), size))
    table = op.Reshape(x, op.join(op.Mul(op.size(x, 0), [groups]), op.Div(op.size(x, 1), [groups]), [-1]))
    columns = interpolate(op, table, product(op, taps, sizes))  # [N * groups, C / groups, kernel * count]
    if mask is not None:
        columns = op.Mul(columns, op.Reshape(mask, op.join(op.Mul(op.size(x, 0), [groups]), [1, -1])))
    positions = op.reduce("ReduceProd", count, [0])
    columns = op.Reshape(columns, op.join(op.size(x, 0), [group, -1], positions))
    y = op.MatMul(op.Reshape(weight, op.join([group], op.Div(op.size(weight, 0), [group]), [-1])), columns)
    y = op.reshape_like(y, node.outputs[0])
    return [y if bias is None else op.Add(y, op.Unsqueeze(bias, list(range(1, 1 + axes))))]

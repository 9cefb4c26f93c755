"""Where Resize samples its input: the gradients of its scales and of its region of interest, in mode linear."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce

from ...build.emitter import Emitter
from ...errors import OnnxplainError
from ...graph.node import Node
from ...graph.tensors import Tensor, rank
from ..reverse import sweep
from .matrices import along_axis


def sampling_gradient(
    op: Emitter, node: Node, grad: Tensor, parameter: Tensor, axes: Sequence[int], matrices: Mapping[int, Tensor]
) -> Tensor:
    """The gradient of the scales or of the region of interest.

    y is x times an interpolation matrix W [out, in] for each axis. The gradient of W is g, times the transposed
    matrices of the other axes, times x, summed over those axes. W is a hat function of where each output samples the
    input, emitted here for its derivatives alone; at an element it takes the mean of both sides' derivatives.

    Raises:
        OnnxplainError: the mode is cubic, or antialiased.
    """
    if node.attrs["mode"] != "linear" or node.attrs.get("antialias"):
        raise OnnxplainError(
            f"Resize {node.name!r} has a gradient for its scales and region of interest only in mode linear, without "
            "antialiasing; differentiate its first input"
        )
    x, gradients = node.inputs[0], []
    for place, axis in enumerate(axes):
        other = [along for along in matrices if along != axis]
        g = reduce(lambda g, along: along_axis(op, g, matrices[along], along), other, grad)
        order = [axis, *(i for i in range(rank(x)) if i != axis)]
        rows, columns = (op.Flatten(op.Transpose(tensor, perm=order), axis=1) for tensor in (g, x))
        start = len(op.nodes)
        weights = _weights(op, x, _positions(op, node, parameter, place, axis, len(axes)), axis)
        cotangent = op.MatMul(rows, op.Transpose(columns, perm=[1, 0]))
        found = sweep(op, op.nodes[start:], {weights.name: cotangent}, [parameter.name], node.rules)[parameter.name]
        gradients += [] if found is None else [found]
    return reduce(op.Add, gradients) if gradients else op.zeros_like(parameter)


def _weights(op: Emitter, x: Tensor, positions: Tensor, axis: int) -> Tensor:
    """[out, in]: the weights of an axis' elements for samples at some positions; beyond an end, it alone counts."""
    size = op.size(x, axis)
    inside = op.Min(op.Max(positions, 0.0), op.cast_like(op.Sub(size, 1), x))
    distances = op.Sub(op.Unsqueeze(inside, [1]), _numbers(op, size, x))
    return op.Max(op.Sub(1.0, op.Abs(distances)), 0.0)


def _positions(op: Emitter, node: Node, parameter: Tensor, place: int, axis: int, count: int) -> Tensor:
    """[out]: where each output samples an axis of x (specification of Resize, `coordinate_transformation_mode`)."""
    x, mode = node.inputs[0], node.attrs["coordinate_transformation_mode"]
    sizes = op.size(node.outputs[0], axis), op.size(x, axis)
    outputs, (m, n) = _numbers(op, sizes[0], x), (op.cast_like(size, x) for size in sizes)
    single = op.cast_like(op.Less(sizes[0], 2), x)  # 1 where there is but one output, else 0

    def entry(index: int) -> Tensor:
        return op.cast_like(op.Slice(parameter, [index], [index + 1]), x)

    if mode == "tf_crop_and_resize":
        start, end = entry(place), entry(count + place)
        fractions = op.Div(op.Add(outputs, op.Mul(single, 0.5)), op.Max(op.Sub(m, 1.0), 1.0))
        return op.Mul(op.Add(start, op.Mul(op.Sub(end, start), fractions)), op.Sub(n, 1.0))
    scale = entry(place)
    if mode == "asymmetric":
        return op.Div(outputs, scale)
    centres = op.Sub(op.Div(op.Add(outputs, 0.5), scale), 0.5)
    if mode == "pytorch_half_pixel":
        return op.Mul(centres, op.Sub(1.0, single))
    if mode == "half_pixel_symmetric":
        return op.Add(centres, op.Mul(op.Sub(n, op.Div(m, scale)), 0.5))
    return centres


def _numbers(op: Emitter, size: Tensor, like: Tensor) -> Tensor:
    """0, 1, 2, ... up to a size, in the dtype of `like`."""
    return op.cast_like(op.arange(size), like)

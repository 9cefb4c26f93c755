"""Pooling over boxes of a feature map: RoiAlign at samples between its elements, MaxRoiPool over the elements."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx

from ....build.emitter import Emitter
from ....graph.tensors import Tensor, dtype_of
from ...decompose import decomposition_of
from ...lib.interpolation import Taps, clamp, constant, inside, read, steps, taps_along
from ...reverse import Node


@dataclass(frozen=True)
class Samples:
    """The samples along one axis: M for each bin, of which a bin has but those that are `taken`.

    Their taps are [boxes, bins, M, T], and `taken` broadcasts to it.
    """

    taps: Taps
    taken: Tensor


@decomposition_of("RoiAlign")
def roi_align(op: Emitter, node: Node) -> list[Tensor]:
    """y = the mean over the samples of a bin, or the largest of their weighted taps (what `max` means in ONNX).

    How many samples a bin has (`sampling_ratio` 0) does not vary smoothly with the box: it passes no gradient on, nor
    does a sample that is moved onto the border (K. He et al., "Mask R-CNN", 2017).
    """
    x, rois, batch = node.inputs
    rows = _samples(op, node, rois, 1, op.size(x, 2), node.attrs["output_height"])
    columns = _samples(op, node, rois, 0, op.size(x, 3), node.attrs["output_width"])
    pooled = _means if node.attrs["mode"] == "avg" else _maxima
    y = op.Transpose(pooled(op, x, batch, rows, columns), perm=[1, 0, 2, 3])
    return [op.reshape_like(y, node.outputs[0])]


@decomposition_of("MaxRoiPool")
def max_roi_pool(op: Emitter, node: Node) -> list[Tensor]:
    """y = the first maximum over the elements of a bin, 0 in an empty one; the boxes are rounded and pass nothing on.

    Bins overlap where a box does not divide evenly (R. Girshick, "Fast R-CNN", 2015).
    """
    x, rois = node.inputs
    batch = op.Cast(op.Gather(rois, np.array(0), axis=1), to=onnx.TensorProto.INT64)
    rows = _elements(op, node, rois, 2, op.size(x, 2), node.attrs["pooled_shape"][0])
    columns = _elements(op, node, rois, 1, op.size(x, 3), node.attrs["pooled_shape"][1])
    y = op.Transpose(_maxima(op, x, batch, rows, columns), perm=[1, 0, 2, 3])
    return [op.reshape_like(y, node.outputs[0])]


def _samples(op: Emitter, node: Node, rois: Tensor, first: int, size: Tensor, bins: int) -> Samples:
    """The samples along one axis of `size` elements; `first` is the column of `rois` where its coordinates start."""
    shifted = node.attrs["coordinate_transformation_mode"] == "half_pixel"
    scale, ratio = node.attrs["spatial_scale"], node.attrs["sampling_ratio"]
    start, end = (op.Unsqueeze(op.Gather(rois, np.array(column), axis=1), [1, 2]) for column in (first, first + 2))
    start, extent = op.Mul(start, scale), op.Mul(op.Sub(end, start), scale)
    if shifted:
        start = op.Sub(start, 0.5)
    else:
        extent = op.Max(extent, 1.0)
    width = op.Div(extent, float(bins))  # of a bin
    if ratio:
        counted, most = constant(op, [[[ratio]]], rois), op.tensor([ratio])
    else:
        counted = op.Ceil(width)
        integers = op.Cast(op.Reshape(counted, [-1]), to=onnx.TensorProto.INT64)
        most = op.reduce("ReduceMax", op.Concat(integers, op.tensor([1]), axis=0), [0])  # there may be no boxes
    count = op.Max(counted, 1.0)
    sample = steps(op, most, 0, 1, rois)
    inner = op.Div(op.Add(sample, 0.5), count)  # within its bin, [boxes, 1, M]
    position = op.Add(start, op.Mul(op.Add(constant(op, np.arange(bins)[:, None], rois), inner), width))
    taken = op.Unsqueeze(op.Less(sample, counted), [3])

    length = op.cast_like(size, rois)
    near = op.And(op.GreaterOrEqual(position, -1.0), op.LessOrEqual(position, length))
    taps = inside(op, taps_along(op, clamp(op, position, op.Sub(length, 1.0)), "linear"), size)
    weight = op.Mul(taps.weight, op.cast_like(op.Unsqueeze(near, [3]), rois))
    if node.attrs["mode"] == "avg":
        weight = op.Div(op.Mul(weight, op.cast_like(taken, rois)), op.Unsqueeze(count, [3]))
    return Samples(Taps(taps.index, weight), taken)


def _elements(op: Emitter, node: Node, rois: Tensor, first: int, size: Tensor, bins: int) -> Samples:
    """The elements along one axis of `size`, one tap each; `first` is the column of `rois` where the axis starts."""
    corners = op.Mul(op.Gather(rois, [first, first + 2], axis=1), node.attrs["spatial_scale"])
    corners = op.Mul(op.Sign(corners), op.Floor(op.Add(op.Abs(corners), 0.5)))  # halves away from zero
    start, end = (op.Gather(corners, [side], axis=1) for side in (0, 1))  # [boxes, 1]
    width = op.Div(op.Max(op.Add(op.Sub(end, start), 1.0), 1.0), float(bins))
    low = op.Floor(op.Mul(width, constant(op, np.arange(bins), rois)))
    high = op.Ceil(op.Mul(width, constant(op, np.arange(1, bins + 1), rois)))
    border = op.cast_like(size, rois)
    low, high = (op.Max(op.Min(op.Add(edge, start), border), 0.0) for edge in (low, high))  # [boxes, bins]
    counts = op.Cast(op.Reshape(op.Sub(high, low), [-1]), to=onnx.TensorProto.INT64)
    most = op.reduce("ReduceMax", op.Concat(counts, op.tensor([1]), axis=0), [0])
    position = op.Add(op.Unsqueeze(low, [2, 3]), op.Unsqueeze(steps(op, most, 0, 1, rois), [1]))
    taken = op.Less(position, op.Unsqueeze(high, [2, 3]))
    taps = inside(op, taps_along(op, op.Squeeze(position, [3]), "nearest"), size)
    return Samples(taps, taken)


def _means(op: Emitter, x: Tensor, batch: Tensor, rows: Samples, columns: Samples) -> Tensor:
    """[C, boxes, height, width]: rows x columns^T, both as matrices over the elements of x.

    Matrices, because what they cost does not grow with the number of samples.
    """
    height, width = _matrix(op, rows, op.size(x, 2), x), _matrix(op, columns, op.size(x, 3), x)
    if x.shape is None or x.shape[0] != 1:  # rows of the box's own image, among those of all images
        own = op.cast_like(op.is_zero(op.Sub(op.Unsqueeze(batch, [1]), op.arange(op.size(x, 0)))), x)
        height = op.Mul(op.Unsqueeze(height, [2]), op.Unsqueeze(own, [1, 3]))
    images = op.Mul(op.size(x, 0), op.size(x, 2))
    table = op.Reshape(op.Transpose(x, perm=[1, 0, 2, 3]), op.join([0], images, op.size(x, 3)))
    boxes, bins = op.size(batch, 0), rows.taps.index.shape[1]  # there may be no boxes, so -1 would not do for them
    read_rows = op.MatMul(op.Reshape(height, op.join(op.Mul(boxes, [bins]), images), allowzero=1), table)
    read_rows = op.Reshape(read_rows, op.join(op.size(x, 1), boxes, [bins], op.size(x, 3)), allowzero=1)
    return op.MatMul(read_rows, op.Transpose(width, perm=[0, 2, 1]))


def _matrix(op: Emitter, samples: Samples, size: Tensor, like: Tensor) -> Tensor:
    """[boxes, bins, size]: how much each element of the axis counts in a bin's mean."""
    hit = op.cast_like(op.is_zero(op.Sub(op.Unsqueeze(samples.taps.index, [4]), op.arange(size))), like)
    return op.ReduceSum(op.Mul(hit, op.Unsqueeze(samples.taps.weight, [4])), [2, 3], keepdims=0)


def _maxima(op: Emitter, x: Tensor, batch: Tensor, rows: Samples, columns: Samples) -> Tensor:
    """[C, boxes, height, width]: the first of the largest weighted taps of each bin; 0 in a bin without samples."""

    def crossed(op_type: str, row: Tensor, column: Tensor) -> Tensor:  # [boxes, height, M, 2, width, M, 2]
        return op.emit(op_type, op.Unsqueeze(row, [4, 5, 6]), op.Unsqueeze(column, [1, 2, 3]))

    image = op.Mul(op.Unsqueeze(batch, [1, 2, 3]), op.Mul(op.size(x, 2), op.size(x, 3)))
    row = op.Add(op.Mul(rows.taps.index, op.size(x, 3)), image)
    index = crossed("Add", row, columns.taps.index)
    weight = crossed("Mul", rows.taps.weight, columns.taps.weight)
    taken = crossed("And", rows.taken, columns.taken)
    table = op.Reshape(op.Transpose(x, perm=[1, 0, 2, 3]), op.join([1], op.size(x, 1), [-1]))
    values = op.Squeeze(read(op, table, op.Reshape(index, [1, -1])), [0])
    values = op.Reshape(values, op.join(op.size(x, 1), op.shape(index)), allowzero=1)
    lowest = np.array(np.finfo(onnx.helper.tensor_dtype_to_np_dtype(dtype_of(x))).min)
    values = op.Where(taken, op.Mul(values, weight), lowest)
    values = op.Transpose(values, perm=[0, 1, 2, 5, 3, 4, 6, 7])  # [C, boxes, height, width, M, T, M, T]
    window = op.reduce("ReduceProd", op.sizes(index, [2, 3, 5, 6]), [0])
    bins = op.join(op.size(x, 1), op.sizes(index, [0, 1, 4]))
    values = op.Reshape(values, op.join(bins, window), allowzero=1)
    first = op.GatherElements(values, op.ArgMax(values, axis=4), axis=4)
    empty = op.LessOrEqual(first, lowest)
    return op.Squeeze(op.Where(empty, constant(op, 0, x), first), [4])

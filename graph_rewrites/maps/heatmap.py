"""Maps brought to the input's size and to [0, 1], or [-1, 1] where they are signed."""

from __future__ import annotations

from collections.abc import Sequence

from onnx import TensorProto

from ..build.emitter import Emitter
from ..graph.tensors import Tensor
from ..targets.placement import Placement


def heatmaps(op: Emitter, cams: Sequence[Tensor], size: Tensor) -> list[Tensor]:
    """Maps at the input's size, each divided by its largest magnitude; all zero where the map is.

    Maps of one resolution are brought there together: a network has many layers and few resolutions.

    Args:
        op: appends the nodes.
        cams: [rows, 1, *spatial] each, one to three spatial axes.
        size: int64 vector, the input's spatial sizes.

    Returns:
        Of each, [rows, 1, *size] in [0, 1] or, for maps with negative values, [-1, 1].
    """
    alike: dict[tuple[int | str, ...], list[int]] = {}
    for index, cam in enumerate(cams):
        spatial = tuple(cam.shape[2:])
        alike.setdefault((index,) if None in spatial else ("of", *spatial), []).append(index)
    found: dict[int, Tensor] = {}
    for members in alike.values():
        if len(members) == 1:
            found[members[0]] = normalised(op, resized(op, cams[members[0]], size))
            continue
        together = normalised(op, resized(op, op.Concat(*(cams[index] for index in members), axis=1), size))
        parts = op.Split(together, [1] * len(members), axis=1, outputs=len(members))
        found.update(zip(members, parts, strict=True))
    return [found[index] for index in range(len(cams))]


def at_input_size(op: Emitter, cam: Tensor, size: Tensor, placement: Placement | None) -> Tensor:
    """A map [rows, 1, *spatial] at the input's size: spread over all of it, or at its place."""
    return resized(op, cam, size) if placement is None else placed(op, cam, size, placement)


def placed(op: Emitter, cam: Tensor, size: Tensor, placement: Placement) -> Tensor:
    """A map [rows, 1, *spatial] at its place on the input, [rows, 1, *size]: linear between cells.

    Beyond the outermost cells it is as there up to the border, or 0 half a cell further where the layer sees no more.
    """
    count = len(placement.axes)
    cam = op.Transpose(cam, perm=[0, 1, *(2 + axis for axis in placement.axes)])
    places = zip(placement.scales, placement.offsets, placement.reaches, strict=True)
    for axis, (scale, offset, reaches) in enumerate(places, 2):
        order = [*(other for other in range(count + 2) if other != axis), axis]
        length = op.Slice(size, [axis - 2], [axis - 1])
        weights = _interpolation(op, op.size(cam, axis), length, scale, offset, reaches)
        moved = op.MatMul(op.Transpose(cam, perm=order), weights)
        cam = op.Transpose(moved, perm=[order.index(one) for one in range(count + 2)])
    return cam


def _interpolation(op: Emitter, cells: Tensor, pixels: Tensor, scale: float, offset: float, reaches: bool) -> Tensor:
    """The weight of each cell at each pixel, float32 [cells, pixels]."""

    def counted(size: Tensor) -> Tensor:
        return op.Cast(op.arange(size), to=TensorProto.FLOAT)

    at = op.Div(op.Sub(counted(pixels), offset), scale)  # in cells
    last = op.Sub(op.Cast(cells, to=TensorProto.FLOAT), 1.0)
    within = op.Max(op.Min(at, last), 0.0)
    weights = op.Relu(op.Sub(1.0, op.Abs(op.Sub(within, op.Unsqueeze(counted(cells), [1])))))
    if reaches:
        return weights
    inside = op.LessOrEqual(op.Abs(op.Sub(at, op.Mul(last, 0.5))), op.Add(op.Mul(last, 0.5), 0.5))
    return op.Mul(weights, op.Cast(inside, to=TensorProto.FLOAT))


def pixel_heatmap(op: Emitter, attribution: Tensor) -> Tensor:
    """[rows, C, *size] to [rows, 1, *size] in [0, 1]: the largest magnitude over channels, over its maximum."""
    return normalised(op, op.reduce("ReduceMax", op.Abs(attribution), [1]))


def normalised(op: Emitter, tensor: Tensor) -> Tensor:
    """Each map of [rows, C, *size] divided by its largest magnitude, if that is not zero."""
    peak = op.reduce("ReduceMax", op.Abs(tensor), range(2, len(tensor.shape)))
    return op.Div(tensor, op.divisor(peak))


def resized(op: Emitter, maps: Tensor, size: Tensor) -> Tensor:
    """[rows, C, *spatial] to [rows, C, *size], (bi-, tri-)linearly with half-pixel centres."""
    lead = op.sizes(maps, [0, 1])
    if len(maps.shape) == 3:  # runtimes resize lines as images of height 1
        image = op.Unsqueeze(maps, [2])
        return op.Squeeze(_resize(op, image, op.join(lead, [1], size)), [2])
    return _resize(op, maps, op.join(lead, size))


def _resize(op: Emitter, tensor: Tensor, sizes: Tensor) -> Tensor:
    return op.Resize(tensor, None, None, sizes, mode="linear", coordinate_transformation_mode="half_pixel")

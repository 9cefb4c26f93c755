"""Maps brought to the input's size and to [0, 1], or [-1, 1] where they are signed."""

from __future__ import annotations

from .emit import Emitter
from .tensors import Tensor


def heatmap(op: Emitter, cam: Tensor, size: Tensor) -> Tensor:
    """The map at the input's size, divided by its largest magnitude; all zero where the map is.

    Args:
        op: appends the nodes.
        cam: [rows, 1, *spatial], one to three spatial axes.
        size: int64 vector, the input's spatial sizes.

    Returns:
        [rows, 1, *size] in [0, 1] or, for maps with negative values, [-1, 1].
    """
    return normalised(op, resized(op, cam, size))


def pixel_heatmap(op: Emitter, attribution: Tensor) -> Tensor:
    """[rows, C, *size] to [rows, 1, *size] in [0, 1]: the largest magnitude over channels, over its maximum."""
    return normalised(op, op.reduce("ReduceMax", op.Abs(attribution), [1]))


def normalised(op: Emitter, tensor: Tensor) -> Tensor:
    """Each row of [rows, C, *size] divided by its largest magnitude, if that is not zero."""
    peak = op.reduce("ReduceMax", op.Abs(tensor), range(1, len(tensor.shape)))
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

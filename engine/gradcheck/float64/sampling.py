"""Sampling at real-valued positions, which onnx's reference evaluator computes in float32 or element by element.

Found with onnx 1.23, by comparison with ONNX Runtime and PyTorch:

    GridSample    rounds positions to float32; moves those of cubic sampling onto the border before it reads, where ONNX
                  Runtime and PyTorch move each tap; fails on an axis of size 1 under reflection and on the mode names
                  of opset 16
    DeformConv    samples by GridSample, in float32; divides by zero on an axis of size 1; only two spatial axes
    MaxRoiPool    missing
    AffineGrid    rounded to float32; divides by zero on an axis of size 1

RoiAlign was right.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any, TypeAlias

import numpy as np
from onnx.reference.op_run import OpRun

Array: TypeAlias = Any  # an ndarray; numpy's stubs do not follow starred indices


def _hat(distance: Array) -> Array:
    return np.maximum(1 - np.abs(distance), 0)


def _keys(distance: Array, a: float = -0.75) -> Array:
    d = np.abs(distance)
    near, far = ((a + 2) * d - (a + 3)) * d * d + 1, a * (((d - 5) * d + 8) * d - 4)
    return np.where(d <= 1, near, np.where(d < 2, far, 0))


# The kernel of each mode by distance, and the elements that it reaches from a position's integer part.
KERNELS: dict[str, tuple[Callable[[Array], Array], range]] = {
    "nearest": (np.ones_like, range(1)),
    "linear": (_hat, range(2)),
    "cubic": (_keys, range(-1, 3)),
}


def _settle(position: Array, size: int, padding: str, aligned: bool) -> Array:
    """Positions moved into [0, size - 1] as the padding wants it."""
    if padding == "reflection":
        low, span = (0.0, size - 1) if aligned else (-0.5, size)
        turned = np.mod(position - low, 2 * span) if span else 0 * position
        position = np.minimum(turned, 2 * span - turned) + low
    return position if padding == "zeros" else np.clip(position, 0, size - 1)


def _gather(x: Array, taps: Sequence[Sequence[tuple[Array, Array]]]) -> Array:
    """Sums x [N, C, *sizes] over all combinations of taps, one list of (index, weight), each [N, P], an axis."""
    batch = np.arange(x.shape[0])[:, None]
    y: Array = 0
    for combination in product(*taps):
        weight: Array = 1
        at: list[Array] = []
        for (index, part), size in zip(combination, x.shape[2:], strict=True):
            weight = weight * part * ((index >= 0) & (index < size))
            at.append(np.clip(index, 0, size - 1))
        y = y + x[(batch, slice(None), *at)] * weight[..., None]
    return np.moveaxis(y, -1, 1)


class GridSample(OpRun):
    def _run(
        self, x: Array, grid: Array, mode: str = "linear", padding_mode: str = "zeros", align_corners: int = 0
    ) -> tuple[Array]:
        kernel, reach = KERNELS[{"bilinear": "linear", "bicubic": "cubic"}.get(mode, mode)]
        points, taps = grid.reshape(len(grid), -1, grid.shape[-1]), []
        for axis, size in enumerate(x.shape[2:]):
            coordinate = points[..., -1 - axis]
            position = (coordinate + 1) / 2 * (size - 1) if align_corners else ((coordinate + 1) * size - 1) / 2
            if len(reach) < 4:
                position = _settle(position, size, padding_mode, bool(align_corners))
            base = np.rint(position) if mode == "nearest" else np.floor(position)
            along = []
            for step in reach:
                index = _settle(base + step, size, padding_mode, bool(align_corners))
                along.append((np.rint(index).astype(np.int64), kernel(position - base - step)))
            taps.append(along)
        return (_gather(x, taps).reshape(*x.shape[:2], *grid.shape[1:-1]).astype(x.dtype),)


class DeformConv(OpRun):
    def _run(
        self, x: Array, w: Array, offset: Array, b: Array | None = None, mask: Array | None = None, **attrs: Any
    ) -> tuple[Array]:
        axes, kernel, count = range(x.ndim - 2), w.shape[2:], offset.shape[2:]
        group, groups = attrs["group"] or 1, attrs["offset_group"] or 1
        strides, dilations = (attrs[name] or [1] * len(axes) for name in ("strides", "dilations"))
        pads = attrs["pads"] or [0] * 2 * len(axes)
        folded = x.reshape(x.shape[0] * groups, -1, *x.shape[2:])
        offset = offset.reshape(len(folded), *kernel, len(axes), *count)
        scale = np.ones((len(folded), *kernel, *count)) if mask is None else mask.reshape(-1, *kernel, *count)
        y: Array = np.zeros((x.shape[0], group, w.shape[0] // group, *count), x.dtype)
        weight = w.reshape(group, w.shape[0] // group, w.shape[1], *kernel)
        for k in np.ndindex(*kernel):
            taps = []
            for axis in axes:
                windows = np.arange(count[axis]).reshape(-1, *[1] * (len(axes) - 1 - axis)) * strides[axis]
                position = offset[(slice(None), *k, axis)] + windows + k[axis] * dilations[axis] - pads[axis]
                position = position.reshape(len(folded), -1)
                base = np.floor(position).astype(np.int64)
                taps.append([(base + step, _hat(position - base - step)) for step in range(2)])
            column = _gather(folded, taps) * scale[(slice(None), *k)].reshape(len(folded), 1, -1)
            column = column.reshape(x.shape[0], group, w.shape[1], *count)
            y += np.einsum("gmc,ngc...->ngm...", weight[(..., *k)], column)
        y = y.reshape(x.shape[0], w.shape[0], *count)
        return (y if b is None else y + b.reshape(-1, *[1] * len(axes)),)


def _bins(start: float, end: float, scale: float, size: int, bins: int) -> list[slice]:
    """The elements of each bin along an axis."""
    first, last = (int(np.copysign(np.floor(abs(corner * scale) + 0.5), corner)) for corner in (start, end))
    width = max(last - first + 1, 1) / bins
    edges = [(int(np.floor(i * width)) + first, int(np.ceil((i + 1) * width)) + first) for i in range(bins)]
    return [slice(min(max(low, 0), size), min(max(high, 0), size)) for low, high in edges]


class MaxRoiPool(OpRun):
    def _run(self, x: Array, rois: Array, pooled_shape: Sequence[int], spatial_scale: float = 1.0) -> tuple[Array]:
        y: Array = np.zeros((len(rois), x.shape[1], *pooled_shape), x.dtype)
        for n, (image, left, top, right, bottom) in enumerate(rois):
            rows = _bins(top, bottom, spatial_scale, x.shape[2], pooled_shape[0])
            columns = _bins(left, right, spatial_scale, x.shape[3], pooled_shape[1])
            for (i, row), (j, column) in product(enumerate(rows), enumerate(columns)):
                window = x[int(image), :, row, column]
                y[n, :, i, j] = window.max(axis=(1, 2)) if window.size else 0
        return (y,)


class AffineGrid(OpRun):
    def _run(self, theta: Array, size: Array, align_corners: int = 0) -> tuple[Array]:
        ends = [1 if align_corners else 1 - 1 / count for count in size[2:]]
        axes = [np.linspace(-end, end, count) for end, count in zip(ends, size[2:], strict=True)]
        points = np.stack(np.meshgrid(*axes, indexing="ij")[::-1], axis=-1)
        points = np.concatenate([points, np.ones_like(points[..., :1])], axis=-1)
        return (np.einsum("nij,...j->n...i", theta, points).astype(theta.dtype),)


SAMPLING: list[type[OpRun]] = [GridSample, DeformConv, MaxRoiPool, AffineGrid]

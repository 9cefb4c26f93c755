"""Padding, gathering, scattering and resizing, which onnx's reference evaluator computes wrongly or element by element.

Found with onnx 1.23, by comparison with ONNX Runtime:

    Pad                           refuses negative pads
    GatherElements                refuses indices that are smaller than the data off the axis; wrong or refused past 64
                                  elements along the axis
    GatherND, ScatterElements,    a Python loop over elements
    ScatterND
    Scatter                       missing
    Resize                        refuses negative axes; align_corners and tf_crop_and_resize place the corners by
                                  size * scale where that is no whole number, not by the output's size
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from onnx.reference.op_run import OpRun
from onnx.reference.ops.op_resize import Resize as ReferenceResize

Array: TypeAlias = Any  # an ndarray; numpy's stubs do not follow starred indices


class Pad(OpRun):
    def _run(
        self,
        x: Array,
        pads: Array,
        value: Array | None = None,
        axes: Array | None = None,
        mode: Any = "constant",
    ) -> tuple[Array]:
        widths, crops = [(0, 0)] * x.ndim, [slice(None)] * x.ndim
        for axis, low, high in zip(range(x.ndim) if axes is None else axes, *np.split(pads, 2), strict=True):
            crops[axis] = slice(max(-low, 0), x.shape[axis] - max(-high, 0))
            widths[axis] = max(low, 0), max(high, 0)
        if mode != "constant":
            return (np.pad(x[tuple(crops)], widths, mode),)
        return (np.pad(x[tuple(crops)], widths, constant_values=0 if value is None else value.item()),)


def _along(indices: Array, axis: int) -> tuple[Array, ...]:
    """Coordinates of `indices` where the one along `axis` is given by the values."""
    grid = list(np.ogrid[tuple(slice(size) for size in indices.shape)])
    grid[axis] = indices
    return tuple(grid)


REDUCTIONS = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}


def _scatter(data: Array, at: tuple[Array, ...], updates: Array, reduction: str | None) -> Array:
    result = data.copy()
    if reduction in REDUCTIONS:
        REDUCTIONS[reduction].at(result, at, updates)
    else:
        result[at] = updates
    return result


class GatherElements(OpRun):
    def _run(self, data: Array, indices: Array, axis: int = 0) -> tuple[Array]:
        return (data[_along(indices, axis)],)


class GatherND(OpRun):
    def _run(self, data: Array, indices: Array, batch_dims: int = 0) -> tuple[Array]:
        batch = [
            np.arange(n).reshape(-1, *[1] * (indices.ndim - 2 - i)) for i, n in enumerate(indices.shape[:batch_dims])
        ]
        return (data[(*batch, *np.moveaxis(indices, -1, 0))],)


class ScatterElements(OpRun):
    def _run(self, data: Array, indices: Array, updates: Array, axis: int = 0, reduction: str = "none") -> tuple[Array]:
        return (_scatter(data, _along(indices, axis), updates, reduction),)


class Scatter(ScatterElements):
    """The name before opset 11."""


class ScatterND(OpRun):
    def _run(self, data: Array, indices: Array, updates: Array, reduction: str = "none") -> tuple[Array]:
        return (_scatter(data, tuple(np.moveaxis(indices, -1, 0)), updates, reduction),)


class Resize(ReferenceResize):
    def _run(  # type: ignore[override]  # what is passed on needs no names
        self, x: Array, roi: Array | None = None, scales: Array | None = None, sizes: Array | None = None, **attrs: Any
    ) -> tuple[Array]:
        scales, sizes = (None if v is None or v.size == 0 else v for v in (scales, sizes))
        if attrs["axes"] is not None:
            attrs["axes"] = [axis % x.ndim for axis in attrs["axes"]]
        if scales is not None and attrs["coordinate_transformation_mode"] in ("align_corners", "tf_crop_and_resize"):
            axes = range(x.ndim) if attrs["axes"] is None else attrs["axes"]
            sizes = [int(x.shape[axis] * scale) for axis, scale in zip(axes, scales, strict=True)]
            scales = None
        return tuple(super()._run(x, roi, scales, sizes, **attrs))


MOVEMENT: list[type[OpRun]] = [Pad, GatherElements, GatherND, ScatterElements, Scatter, ScatterND, Resize]

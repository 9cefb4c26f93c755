"""Padding, gathering and scattering, which onnx's reference evaluator computes wrongly or element by element.

PLACEHOLDER
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from onnx.reference.op_run import OpRun

Array: TypeAlias = np.ndarray[Any, Any]


class Pad(OpRun):
    def _run(
        self,
        x: Array,
        pads: Array,
        value: Array | None = None,
        axes: Array | None = None,
        mode: str = "constant",
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


class ScatterND(OpRun):
    def _run(self, data: Array, indices: Array, updates: Array, reduction: str = "none") -> tuple[Array]:
        return (_scatter(data, tuple(np.moveaxis(indices, -1, 0)), updates, reduction),)


MOVEMENT: list[type[OpRun]] = [Pad, GatherElements, GatherND, ScatterElements, ScatterND]

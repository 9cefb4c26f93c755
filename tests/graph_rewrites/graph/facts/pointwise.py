"""The fact `pointwise`, computed."""

from __future__ import annotations

from functools import cache
from itertools import combinations

import numpy as np

from ..operands import Array, Operator, Probe
from .changes import changed, is_value, positions, random

Shape = tuple[int, ...]


@cache
def pointwise(operator: Operator) -> bool:
    """Moving one position of an input moves only those positions of the output that it is broadcast to."""
    probes = [p for p in operator.probes if any(np.size(x) > 1 for x in p.inputs if is_value(x))]
    return not random(operator) and all(map(_is_pointwise, probes)) and any(map(_counts, probes))


def _counts(probe: Probe) -> bool:
    """Whether the data makes a difference: not between bounds that cross."""
    return any(changed(probe, probe.index, at).any() for at in positions(probe.data.shape))


def _is_pointwise(probe: Probe) -> bool:
    operands = {i: np.asarray(x) for i, x in enumerate(probe.inputs) if is_value(x)}
    shapes = (np.shape(probe.data), _broadcast([x.shape for x in operands.values()]))
    if probe.index not in operands or probe.output.shape not in shapes:
        return False
    return all(_broadcasts(probe, i, x) for i, x in operands.items() if i not in probe.constant)


def _broadcast(shapes: list[Shape]) -> Shape | None:
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        return None


def _broadcasts(probe: Probe, index: int, x: Array) -> bool:
    """Whether each position of an input reaches those of the output that it is broadcast to: of data, as numpy does.

    A parameter may lie along any of the axes, as one for each channel does.
    """
    out = probe.output.ndim
    if x.ndim > out:
        return False
    layouts = [tuple(range(out - x.ndim, out))] if index == probe.index else list(combinations(range(out), x.ndim))
    for at in positions(x.shape):
        reached = changed(probe, index, at)
        layouts = [axes for axes in layouts if not (reached & ~_image(at, x.shape, axes, reached.shape)).any()]
    return bool(layouts)


def _image(at: Shape, shape: Shape, axes: Shape, out: Shape) -> Array:
    """The positions of an output that have those of the input's position, along each axis longer than 1."""
    where: list[slice | int] = [slice(None)] * len(out)
    for axis, index, size in zip(axes, at, shape, strict=True):
        if size > 1:
            where[axis] = index
    mask = np.zeros(out, bool)
    if all(isinstance(index, slice) or index < size for index, size in zip(where, out, strict=True)):
        mask[tuple(where)] = True
    return mask

"""What changes in a node's output where its inputs change: which positions depend on which."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np

from ..operands import Array, Operator, Probe

MOST_POSITIONS = 16
STEPS = (1.37, -1.37, 50.0, -50.0, 0.01)  # past kinks, steps and maxima


def is_float(x: Array | None) -> bool:
    return x is not None and np.asarray(x).dtype.kind == "f"


def is_byte(x: Array | None) -> bool:
    return x is not None and np.asarray(x).dtype in (np.uint8, np.int8)


def is_value(x: Array | None) -> bool:
    """Whether the input holds values: floats, bytes or truth values, rather than indices and sizes."""
    return is_float(x) or is_byte(x) or (x is not None and np.asarray(x).dtype == bool)


@cache
def random(operator: Operator) -> bool:
    """Two runs draw other numbers."""
    return any(differs(probe.run()[0], probe.run()[0]).any() for probe in operator.probes)


@cache
def on_reals(operator: Operator) -> list[Probe]:
    """The probes whose data are floats or bytes; none where chance decides."""
    found = [probe for probe in operator.probes if len(probe.inputs) > probe.index]
    return [] if random(operator) else [probe for probe in found if is_float(probe.data) or is_byte(probe.data)]


def differs(a: Array, b: Array) -> Array:
    """Where two arrays differ; everywhere if their shapes do."""
    if a.shape != b.shape:
        return np.ones(a.shape, bool)
    return (a != b) & ~(_is_nan(a) & _is_nan(b))


def _is_nan(a: Array) -> Array:
    return np.isnan(a) if is_float(a) else np.zeros(a.shape, bool)


def changed(probe: Probe, index: int, where: Any) -> Array:
    """Which positions of the output change with what is at `where` in an input."""
    result = np.zeros(probe.output.shape, bool)
    for moved in _moved(np.asarray(probe.inputs[index]), where):
        result |= differs(probe.output, probe.at((index, moved)))
    return result


def _moved(x: Array, where: Any) -> Iterator[Array]:
    shape, rng = x[where].shape, np.random.default_rng(3)
    values = [x.ravel()[::-1].reshape(x.shape)[where]]
    if x.dtype == bool:
        values.append(~x[where])
    elif is_byte(x):
        least, greatest = np.iinfo(x.dtype).min, np.iinfo(x.dtype).max
        values += [rng.integers(low, low + 10, size=shape) for low in (least, greatest - 9)]
        values.append(x[where] ^ 1)
    else:
        values += [x[where] + step * rng.uniform(0.5, 1, size=shape) for step in STEPS]
    for value in values:
        moved = x.copy()
        moved[where] = value
        yield moved


def positions(shape: Sequence[int]) -> list[tuple[int, ...]]:
    """The positions of a shape, some of them where they are many."""
    found = list(np.ndindex(*shape))
    rng = np.random.default_rng(5)
    return found if len(found) <= MOST_POSITIONS else [found[i] for i in rng.permutation(len(found))[:MOST_POSITIONS]]


@cache
def dependence(probe: Probe, axis: int) -> Array:
    """[out, in]: which indices of the output along an axis depend on which of the data along the same axis."""
    middle = [size // 2 for size in probe.data.shape]
    others = tuple(i for i in range(probe.output.ndim) if i != axis)
    line = [(*middle[:axis], k, *middle[axis + 1 :]) for k in range(probe.data.shape[axis])]
    return np.stack([changed(probe, probe.index, at).any(axis=others) for at in line], axis=1)


def is_windowed(probe: Probe, axis: int) -> bool:
    """Whether some output depends on several indices of the data along the axis, and none on all."""
    most = dependence(probe, axis).sum(axis=1).max(initial=0)
    return bool(1 < most < probe.data.shape[axis])


def is_separate(probe: Probe, axis: int) -> bool:
    """Whether each output depends on its own index along the axis alone."""
    matrix = dependence(probe, axis)
    return matrix.shape[0] == matrix.shape[1] and bool((matrix <= np.eye(len(matrix), dtype=bool)).all())

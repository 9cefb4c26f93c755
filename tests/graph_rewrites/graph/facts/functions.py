"""Facts of functions that map floats one by one, computed; a function is seen by its values for constant data."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np

from ..operands import Array, Operator, Probe
from .changes import is_float, on_reals
from .moving import values
from .pointwise import pointwise

GRID = np.arange(-6, 6.01, 0.25)
POSITIVE = GRID[GRID > 0]


def of_floats(operator: Operator) -> bool:
    """Whether it makes floats of floats."""
    found = on_reals(operator)
    return bool(found) and all(is_float(probe.data) and is_float(probe.output) for probe in found)


def is_unary(operator: Operator) -> bool:
    """Whether it takes one tensor of floats, and no parameter beside it."""
    return all(sum(is_float(x) for x in probe.inputs) == 1 for probe in operator.probes)


@cache
def curve(probe: Probe) -> Array:
    """[grid, positions]: the values for data that is the same everywhere."""
    return values_at(probe, GRID)


def values_at(probe: Probe, grid: Array) -> Array:
    return np.stack([probe.of(np.full(probe.data.shape, c)).astype(np.float64).ravel() for c in grid])


def curves(operator: Operator) -> list[Array]:
    """The curve of each probe; none for what is no function of floats."""
    return [curve(probe) for probe in operator.probes] if of_floats(operator) and pointwise(operator) else []


def gates(operator: Operator) -> bool:
    """All values lie in [0, 1]."""
    found = curves(operator)
    return bool(found) and all(((ys >= 0) & (ys <= 1)).all() for ys in found)


def odd(operator: Operator) -> bool:
    """f(-x) = -f(x), for a function of one input that does more than pass it on."""
    found = curves(operator) if is_unary(operator) and values(operator) is None else []
    return bool(found) and all(np.allclose(_right(ys), -_left(ys), atol=1e-6, equal_nan=True) for ys in found)


def _right(ys: Array) -> Array:
    return ys[GRID > 0]


def _left(ys: Array) -> Array:
    """The values left of zero, from there on."""
    return ys[GRID < 0][::-1]


def is_even(probe: Probe) -> Array:
    """Where the function is nowhere greater than on the other side of zero."""
    return (_right(curve(probe)) <= _left(curve(probe))).all(axis=0)


def singular(operator: Operator) -> bool:
    """The slope of a function of one input grows without bound towards some point."""
    found = operator.probes if is_unary(operator) and curves(operator) else []
    return any((_steepest(probe, 1e-8) > 50 * _steepest(probe, 1e-4)).any() for probe in found)


def _steepest(probe: Probe, distance: float) -> Array:
    """The slopes a little to the right, and to the left, of each point of the grid."""
    near, far = (np.concatenate([GRID + step, GRID - step]) for step in (distance, 2 * distance))
    with np.errstate(all="ignore"):
        slopes = np.abs(values_at(probe, far) - values_at(probe, near)) / distance
    return np.where(np.isfinite(slopes), slopes, 0) + 1e-9


def affine(operator: Operator) -> bool:
    """A straight line that is nowhere level, for all operands beside."""
    found = curves(operator)
    return bool(found) and all(map(_is_straight, found))


def _is_straight(ys: Array) -> bool:
    slopes = np.diff(ys, axis=0)
    return np.allclose(slopes, slopes[:1], rtol=1e-4, atol=1e-5) and bool((np.abs(slopes) > 1e-5).all())


def rectifies(operator: Operator) -> bool:
    """For some operands, on one side of zero comes out what goes in, and on the other it is cut off or damped alike."""
    return bool(curves(operator)) and any(map(_has_hinge, operator.probes))


def _has_hinge(probe: Probe) -> bool:
    grid = np.array([1.5, 2, 3, 4])
    up, down = (_choice_at(probe, xs) if probe.key == "Where" else values_at(probe, xs) for xs in (grid, -grid))
    return bool((_rates(up, grid, 1) & _damps(down, -grid) | _rates(down, -grid, 1) & _damps(up, grid)).any())


def _choice_at(probe: Probe, grid: Array) -> Array:
    """As `values_at`, of the choice between the data where it is positive, and zero."""
    shape = probe.output.shape
    whole = replace(probe, inputs=[np.ones(shape, bool), np.zeros(shape), np.zeros(shape)], constant=())
    return np.stack([whole.at((0, np.full(shape, c > 0)), (1, np.full(shape, c))).ravel() for c in grid])


def _damps(ys: Array, xs: Array) -> Array:
    rate = ys[0] / xs[0]
    return _rates(ys, xs, rate) & (np.abs(rate) < 0.99)


def _rates(ys: Array, xs: Array, rate: Array | float) -> Array:
    return np.isclose(ys, rate * xs[:, None], atol=1e-6).all(axis=0)


def final(operator: Operator) -> bool:
    """Scores of either sign become numbers between 0 and 1, or their logarithms, in the same order along some axis."""
    return of_floats(operator) and all(map(_makes_probabilities, operator.probes))


def _makes_probabilities(probe: Probe) -> bool:
    x = np.random.default_rng(2).permutation(np.linspace(-6, 6, probe.data.size)).reshape(probe.data.shape)
    y = probe.of(x)
    if y.shape != x.shape or not (((y > 0) & (y < 1)).all() or (y < 0).all()):
        return False
    orders = [np.array_equal(y.argsort(axis), x.argsort(axis)) for axis in range(x.ndim) if x.shape[axis] > 1]
    return any(orders) or not orders

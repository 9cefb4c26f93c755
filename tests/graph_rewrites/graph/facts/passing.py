"""The fact `one_to_one`, computed."""

from __future__ import annotations

import numpy as np

from ..operands import Array, Operator, Probe
from .changes import is_float
from .functions import GRID, POSITIVE, curve, is_even, of_floats, values_at
from .layers import is_sizeless
from .moving import values
from .pointwise import pointwise

STEP = 1 / 64


def one_to_one(operator: Operator) -> bool:
    """For usual operands, a unit of the output rises most with that of the input at its place; none is merely moved."""
    if not of_floats(operator) or values(operator) is not None:
        return False
    if any(probe.output.shape != probe.data.shape for probe in operator.probes):
        return False
    passes = _rises if pointwise(operator) else _leads
    return any(passes(probe) for probe in operator.probes if _has_parameters_alone(probe))


def _has_parameters_alone(probe: Probe) -> bool:
    """Whether what is given beside the data is smaller than it, so that the unit is that of the data."""
    return all(np.size(x) < probe.data.size for i, x in enumerate(probe.inputs) if i != probe.index and is_float(x))


def _rises(probe: Probe) -> bool:
    """Whether the function never falls where excitations are, at x > 0, rises there, and is greater than at -x."""
    points = POSITIVE - 0.1  # off whole numbers, where steps are
    with np.errstate(all="ignore"):
        slopes = (values_at(probe, points + STEP) - values_at(probe, points)) / STEP
        steps = np.diff(curve(probe)[GRID > 0], axis=0)
    falls = (slopes < -1e-4).any(axis=0) | (steps < -1e-6).any(axis=0)
    rises = (np.where(np.isfinite(slopes), slopes, 0) > 1e-4).any(axis=0)
    return bool((rises & ~falls & ~is_even(probe)).any())


def _leads(probe: Probe) -> bool:
    """Whether each unit is led by its own, and they neither share out a fixed total nor lose their size."""
    x = np.abs(np.random.default_rng(4).normal(size=probe.data.shape)) + 0.1
    slopes = _slopes(probe, x)
    own = np.diagonal(slopes)
    others = (slopes - np.diag(own)).max(axis=1)
    leads = (own > 1e-4).all() and (own > others + 1e-4).all()
    return bool(leads) and not _has_total(probe, x) and not is_sizeless(probe)


def _slopes(probe: Probe, x: Array) -> Array:
    """[out, in]: the slopes of each unit."""
    moves = STEP * np.eye(x.size).reshape(x.size, *x.shape)
    return np.stack([(probe.of(x + move) - probe.of(x)).ravel() / STEP for move in moves], axis=1)


def _has_total(probe: Probe, x: Array) -> bool:
    """Whether the output has the same sums along an axis for other data."""
    one, other = probe.of(x), probe.of(x[::-1] * 2)
    return any(np.allclose(one.sum(axis), other.sum(axis), rtol=1e-4) for axis in range(x.ndim))

"""Facts of what has windows, resamples, normalises or goes step by step, computed."""

from __future__ import annotations

from functools import cache

import numpy as np

from ..operands import Array, Operator, Probe
from .changes import dependence, is_float, is_windowed, on_reals
from .moving import values
from .pointwise import pointwise
from .sums import is_weighted

STATISTICS = {"BatchNormalization": (3, 4)}  # of the data, which training takes, and inference is given


def ranked(operator: Operator) -> list[Probe]:
    """The probes whose output has as many axes as the data."""
    return [probe for probe in on_reals(operator) if probe.output.ndim == np.ndim(probe.data) > 0]


@cache
def recurrent(operator: Operator) -> bool:
    """A step of the output depends on that step of the input and on all before it."""
    found = [probe for probe in on_reals(operator) if min(np.ndim(probe.data), probe.output.ndim) > 0]
    return any(_is_causal(probe) for probe in found if len(probe.data) == len(probe.output) > 2)


def _is_causal(probe: Probe) -> bool:
    return is_float(probe.data) and np.array_equal(dependence(probe, 0), np.tri(len(probe.data), dtype=bool))


@cache
def weighted(operator: Operator) -> bool:
    """For usual operands, the value adds up in the input and in the weight, over products of several inputs at once."""
    return is_weighted(operator) and not recurrent(operator)


@cache
def convolves(operator: Operator) -> bool:
    """It has weights, and an output depends on some neighbours along an axis, not on all positions."""
    return weighted(operator) and any(map(_has_windows, ranked(operator)))


def _has_windows(probe: Probe) -> bool:
    return any(is_windowed(probe, axis) for axis in range(1, probe.output.ndim))


@cache
def pools(operator: Operator) -> bool:
    """Without weights, outputs depend on windows, by which some axis may get shorter, and none longer."""
    found = ranked(operator)
    if weighted(operator) or any(_is_longer(probe, 1) for probe in found):
        return False
    return any(_has_windows(probe) and _is_longer(probe, -1) for probe in found)


def _is_longer(probe: Probe, sign: int) -> bool:
    """Whether an axis of the output is longer than that of the data; shorter for a sign of -1."""
    return any(sign * new > sign * old for new, old in zip(probe.output.shape, probe.data.shape, strict=True))


@cache
def resamples(operator: Operator) -> bool:
    """It may make an axis longer, and what is the same everywhere stays the same, but values are not merely picked."""
    if values(operator) is not None or pointwise(operator):
        return False
    return any(_is_longer(probe, 1) and _keeps_constants(probe) for probe in ranked(operator))


def _keeps_constants(probe: Probe) -> bool:
    return np.allclose(probe.of(np.full(probe.data.shape, 3.0)), 3)


@cache
def normalises(operator: Operator) -> bool:
    """For some operands, data of twice the size gives the same."""
    return any(map(is_sizeless, on_reals(operator)))


def is_sizeless(probe: Probe) -> bool:
    """Whether the size of large data makes no difference, and the data does."""
    if not is_float(probe.data) or not is_float(probe.output):
        return False
    rng = np.random.default_rng(8)
    x = 1e4 * rng.normal(size=probe.data.shape)
    noisy = x * (1 + rng.uniform(0.1, 0.3, size=x.shape))
    one, twice, other = (_with_statistics(probe, each) for each in (x, 2 * x, noisy))
    if not one.shape == twice.shape == x.shape or not np.isfinite(one).all():
        return False
    tolerance = 1e-3 * np.abs(one).max(initial=1e-9)
    return bool(np.abs(one - twice).max() < tolerance and (np.abs(other - one) > tolerance).mean() > 0.5)


def _with_statistics(probe: Probe, x: Array) -> Array:
    axes = (0, *range(2, x.ndim))
    moments = [x.mean(axes), x.var(axes)] if probe.key in STATISTICS else []
    return probe.at((0, x), *zip(STATISTICS.get(probe.key, ()), moments, strict=True))

"""Facts of operators that add and multiply, computed; those on integers are seen as functions of reals."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..operands import Array, Operator, Probe
from .changes import is_float
from .functions import GRID, curve, curves
from .pointwise import pointwise
from .reals import Real, reals

FINER = 5  # so much smaller than usual is the step of outputs, for weights to be told apart
MOST = 160  # positions of data whose weights are looked at
CALM = 2  # steps by which two rounded outputs may differ


def adds(operator: Operator) -> bool:
    """The value is the sum or the mean of all inputs, wherever there are several."""
    found = [one for one in reals(operator) if len(one.tensors) > 1] if pointwise(operator) else []
    return bool(found) and all(_is(one, sum) or _is(one, lambda xs: sum(xs) / len(xs)) for one in found)


def multiplies(operator: Operator) -> bool:
    """The value is the product of two inputs."""
    found = reals(operator) if pointwise(operator) else []
    return bool(found) and all(len(one.tensors) == 2 and _is(one, lambda xs: xs[0] * xs[1]) for one in found)


def _is(one: Real, expected: Callable[[list[Array]], Array]) -> bool:
    try:
        wanted = expected(one.inputs)
    except ValueError:  # they do not broadcast
        return False
    got = one(*one.inputs)
    return got.shape == wanted.shape and np.allclose(got, wanted, rtol=1e-5, atol=1e-5 + one.step)


def scales(operator: Operator) -> bool:
    """Of two inputs, one scales and shifts the other, or bounds it; they are not merely added."""
    found = [probe for probe in operator.probes if sum(is_float(x) and np.size(x) > 1 for x in probe.inputs) == 2]
    if not found or not curves(operator) or adds(operator):
        return False
    return all(_is_straight_or_bounded(curve(probe)) and _counts(probe) for probe in found)


def _is_straight_or_bounded(ys: Array) -> bool:
    slopes = np.diff(ys, axis=0)
    straight = np.isclose(slopes, slopes[:1], rtol=1e-5, atol=1e-5).all(axis=0) & (np.abs(slopes[0]) > 1e-5)
    x = GRID[:, None]
    bounded = (ys == np.maximum(x, ys[0])).all(axis=0) | (ys == np.minimum(x, ys[-1])).all(axis=0)
    return bool((straight | bounded).all())


def _counts(probe: Probe) -> bool:
    """Whether the input that is not the data makes a difference."""
    other = next(i for i, x in enumerate(probe.inputs) if is_float(x) and np.size(x) > 1 and i != probe.index)
    return not np.array_equal(probe.output, probe.at((other, probe.inputs[other] + 1)))


def averages(operator: Operator) -> bool:
    """The value is a sum over several positions of the one input, all with the same weight."""
    found = reals(operator, FINER)
    if not found or not all(len(one.tensors) == 1 and _adds_up(one, 0) for one in found):
        return False
    kernels = [(_kernel(one, MOST), one.step) for one in found if one.inputs[0].size <= MOST]
    return all(_is_even(*each) for each in kernels) and any(
        (weights != 0).sum(axis=1).max() > 1 for weights, _ in kernels
    )


def _is_even(kernel: Array, step: float) -> bool:
    largest = np.abs(kernel).max(axis=1, keepdims=True)
    return np.allclose(np.where(kernel == 0, largest, kernel), largest, rtol=1e-5, atol=1e-6 + step)


def is_weighted(operator: Operator) -> bool:
    """For some operands, the value adds up in the first and in the second tensor, over several of the first at once."""
    found = [one for one in reals(operator, FINER) if len(one.tensors) > 1]
    return any(_adds_up(one, 0) and _adds_up(one, 1) and _takes_several(one) for one in found)


def _takes_several(one: Real) -> bool:
    return bool((_kernel(one, 64) != 0).sum(axis=1).max(initial=0) > 1)


def _adds_up(one: Real, index: int) -> bool:
    """Whether f(x + y) - f(0) is (f(x) - f(0)) + (f(y) - f(0)), in one of its tensors."""
    rng = np.random.default_rng(6)
    x, y = one.draw(rng, index), one.draw(rng, index)
    nothing, first, second, both = (one.with_(index, value) for value in (0 * x, x, y, x + y))
    if not nothing.shape == first.shape == second.shape == both.shape:
        return False
    tolerance = 1e-4 * np.abs(both - nothing).max(initial=0) + CALM * one.step
    moves = not np.allclose(first, nothing, atol=tolerance)
    return moves and np.allclose(first + second - nothing, both, atol=tolerance)


def _kernel(one: Real, most: int) -> Array:
    """[out, in]: what 3 at each of the first positions of its first tensor adds to the output."""
    x = one.inputs[0]
    nothing = one.with_(0, np.zeros(x.shape))
    threes = 3 * np.eye(x.size)[:most]
    return np.stack([(one.with_(0, each.reshape(x.shape)) - nothing).ravel() for each in threes], axis=1)

"""Derivatives of a model by differences of its values in float64, judged for whether there is a derivative at all.

Along a random direction d of one input, with y(t) = <outputs at x + t*d, cotangent> and a step h, the one-sided slopes
of a smooth y differ by D(h) = h*y'' + O(h^3), so that 2*D(h/2) - D(h) vanishes to O(h^3); at a kink or a jump between
x - h*d and x + h*d it does not. Only a point where it vanishes is used. The first one tried is the test's own data,
the next ones lie a little beside it. Whether a test has such a point never depends on its gradient: a test with none
fails. Data that is infinite or NaN is replaced by finite numbers where it makes an output infinite or NaN, and is not
moved where it does not (masks of -inf). Outputs that are still not finite get no cotangent.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import onnx
from onnxplain.engine.gradcheck.float64.session import Float64Session

# Times the largest magnitude in the input. The small one is for tensors so large that some element is always near a
# kink, a tie between neighbours under max pooling.
STEPS = (1e-5, 1e-7)
TOLERANCE = 1e-6
MOVES = (0, 1e-2, 1e-2, 1e-3, 1e-1, 1e-2, 1e-3, 1e-1)
REPLACEMENTS = 3
EPSILON = float(np.finfo(np.float64).eps)

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Slope:
    """The derivative of <output, cotangent> along a direction of one input, and how wrong rounding may make it."""

    value: float
    direction: np.ndarray
    rounding: float


class Values:
    """The float outputs of a float64 model, as a function of its inputs."""

    def __init__(self, model: onnx.ModelProto, outputs: list[str]) -> None:
        self._session = Float64Session(model)
        self._outputs = outputs

    def __call__(self, feeds: Arrays) -> Arrays:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            results = self._session.run(self._outputs, feeds)
        return {name: np.asarray(y, np.float64) for name, y in zip(self._outputs, results, strict=True)}


def magnitude(x: np.ndarray) -> float:
    """The largest finite magnitude in an array, 1 if that is 0."""
    return float(np.abs(x[np.isfinite(x)]).max(initial=0)) or 1.0


def signed_cotangents(base: Arrays, outputs: Iterable[str]) -> Arrays:
    """Random cotangents, 0 where an output is not finite."""
    rng = np.random.default_rng(3)
    return {name: np.where(np.isfinite(base[name]), rng.normal(size=base[name].shape), 0) for name in outputs}


def _direction(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.where(np.isfinite(x), rng.normal(size=x.shape), 0)


def made_finite(feeds: Arrays, names: list[str]) -> Arrays:
    """The data with random numbers in place of infinities and NaN."""
    rng = np.random.default_rng(4)
    return feeds | {n: np.where(np.isfinite(feeds[n]), feeds[n], rng.normal(size=feeds[n].shape)) for n in names}


def dependent_outputs(values: Values, feeds: Arrays, name: str) -> set[str]:
    """The outputs that change when one input does, however much it takes."""
    base, rng, changed = values(feeds), np.random.default_rng(1), set()
    x = feeds[name]
    for size in (1e-3, 1e-1, 1, 1, 1)[: 2 + REPLACEMENTS]:
        moved = x + size * magnitude(x) * _direction(x, rng)
        try:
            y = values(feeds | {name: moved})
        except Exception:  # the point is outside the operator's domain
            continue
        changed |= {o for o in base if y[o].shape == base[o].shape and not np.array_equal(y[o], base[o], True)}
    return changed


def start_points(feeds: Arrays, names: list[str]) -> Iterator[Arrays]:
    """The test's own data, then points beside it."""
    rng = np.random.default_rng(2)
    for size in MOVES:
        yield feeds | {n: feeds[n] + size * magnitude(feeds[n]) * _direction(feeds[n], rng) for n in names}


def slopes(
    values: Values, feeds: Arrays, names: list[str], cotangents: Arrays, step: float
) -> dict[str, dict[str, Slope]] | None:
    """The slope of each output along a direction of each input, or None where the values have a kink or jump."""
    found: dict[str, dict[str, Slope]] = {}
    for index, name in enumerate(names):
        direction = _direction(feeds[name], np.random.default_rng(100 + index))
        h = step * magnitude(feeds[name])
        try:
            at = {t: values(feeds | {name: feeds[name] + t * h * direction}) for t in (-1.0, -0.5, 0.0, 0.5, 1.0)}
        except Exception:  # outside the operator's domain
            return None
        found[name] = {}
        for output, cotangent in cotangents.items():
            if any(y[output].shape != cotangent.shape for y in at.values()):
                return None
            used = cotangent != 0
            weighted = {t: results[output][used] * cotangent[used] for t, results in at.items()}
            y = {t: float(np.sum(terms)) for t, terms in weighted.items()}
            if not np.all(np.isfinite(list(y.values()))):
                return None
            terms = float(np.sum(np.abs(weighted[0.0])))
            change = sum(float(np.sum(np.abs(weighted[s] - weighted[0.0]))) for s in (-1.0, 1.0))
            bends = {t: (y[t] - 2 * y[0.0] + y[-t]) / (t * h) for t in (0.5, 1.0)}
            central = {t: (y[t] - y[-t]) / (2 * t * h) for t in (0.5, 1.0)}
            rounding = 8 * EPSILON * terms / h
            allowed = TOLERANCE * change / h + rounding
            if abs(2 * bends[0.5] - bends[1.0]) > allowed or abs(central[0.5] - central[1.0]) > allowed:
                return None
            found[name][output] = Slope((4 * central[0.5] - central[1.0]) / 3, direction, rounding)
    return found

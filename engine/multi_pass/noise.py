"""Gradients averaged over many inputs: noisy ones, and those between a baseline and the input."""

from __future__ import annotations

import numpy as np

from ...graph_rewrites.errors import UsageError
from ..runtime.runner import Arrays
from .fill import Fill, filled
from .models import with_gradients
from .registry import Perturbation, Sample, multi_pass_method


@multi_pass_method("smooth-grad", with_gradients)
def smooth_grad(sample: Sample, *, samples: int = 50, noise: float = 0.15, seed: int = 0) -> Arrays:
    """The mean gradient over inputs with Gaussian noise of `noise` (max x - min x) (Smilkov et al. 2017).

    Returns:
        input_gradient [K, *input].
    """
    if samples < 1 or noise < 0:
        raise UsageError(f"smooth-grad takes at least one sample and noise of at least 0; not {samples}, {noise}")
    image, rng = sample.image.astype(np.float64), np.random.default_rng(seed)
    deviation = noise * float(np.ptp(image))

    def paint(_: int, out: np.ndarray) -> None:
        np.add(image, rng.normal(scale=deviation, size=image.shape), out=out, casting="same_kind")

    return {"input_gradient": _mean_gradient(sample, paint, np.full(samples, 1 / samples))}


@multi_pass_method("integrated-gradients", with_gradients)
def integrated_gradients(sample: Sample, *, steps: int = 50, baseline: Fill = "zero") -> Arrays:
    """(x - x') times the mean gradient on the way from the baseline x' (Sundararajan et al. 2017, eq. 1).

    The integral is taken by Gauss-Legendre quadrature. `completeness_gap` is how far the sum of the attributions is
    from y^c(x) - y^c(x'), which it equals in the limit (their axiom of completeness).

    Returns:
        input_gradient [K, *input], and score_difference and completeness_gap [K].
    """
    if steps < 1:
        raise UsageError(f"integrated-gradients takes at least one step; not {steps}")
    image, start = sample.image.astype(np.float64), filled(sample, baseline).astype(np.float64)
    places, weights = np.polynomial.legendre.leggauss(steps)

    def paint(step: int, out: np.ndarray) -> None:
        np.add(start, (places[step] + 1) / 2 * (image - start), out=out, casting="same_kind")

    attribution = (image - start) * _mean_gradient(sample, paint, weights / 2)
    difference = sample.scores - sample.scores_of(lambda _, out: np.copyto(out, start, casting="same_kind"), 1)[0]
    total = attribution.reshape(len(attribution), -1).sum(axis=1)
    return {
        "input_gradient": attribution,
        "score_difference": difference,
        "completeness_gap": total - difference,
    }


def _mean_gradient(sample: Sample, paint: Perturbation, weights: np.ndarray) -> np.ndarray:
    """The weighted sum of the gradients at images, [K, *input]."""
    if sample.image.dtype.kind != "f":
        raise UsageError(
            "the model's input takes whole numbers, so nothing lies between two of its values; use gradient"
        )
    total, done = np.zeros((len(sample.targets), *sample.image.shape)), 0
    for results in sample.run(paint, len(weights)):
        gradients = results["input_gradient"]
        total += np.tensordot(weights[done : done + len(gradients)], gradients.astype(np.float64), axes=1)
        done += len(gradients)
    return total

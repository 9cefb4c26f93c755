"""RISE: the input seen through many random masks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np

from ...graph_rewrites.errors import UsageError
from ..images.resample import normalised, upsampled
from ..runtime.runner import Arrays
from .models import scores_alone
from .registry import Sample, multi_pass_method


@multi_pass_method("rise", scores_alone)
def rise(
    sample: Sample,
    *,
    masks: int = 4000,
    cells: int = 7,
    keep: float = 0.5,
    seed: int = 0,
    of: Literal["probability", "score"] = "probability",
) -> Arrays:
    """The mean of random masks, each weighted by f(x * mask), over their mean (Petsiuk et al. 2018).

    A mask is a grid of `cells` a side, each open with probability `keep`, upsampled linearly and shifted at random by
    up to a cell. The paper's f is the class probability; its setting for VGG-16 is 4000 masks of 7 x 7 cells. Of a
    score that is an expression, which has no probability, f is the score itself.

    Returns:
        cam [K, H, W], at the input's size; heatmap [K, H, W], the same from its smallest value on: what all pixels have
        in common is the mean score and tells nothing of them.
    """
    if masks < 1 or cells < 1 or not 0 < keep < 1:
        raise UsageError(f"rise takes masks and cells of at least 1 and 0 < keep < 1; not {masks}, {cells}, {keep}")
    total = np.zeros((len(sample.targets), *sample.size))
    drawn, shown = _masks(sample, masks, cells, keep, seed), []

    def paint(_: int, out: np.ndarray) -> None:
        shown.append(next(drawn))
        np.multiply(sample.image, sample.over_channels(shown[-1]), out=out, casting="same_kind")

    are_classes = "expression" not in sample.runner.record["score"]
    for results in sample.run(paint, masks):
        weights = _probabilities(sample, results) if of == "probability" and are_classes else results["score"]
        # Not as a matrix product, whose threads would wait in a loop while the model's run.
        total += np.einsum("rk,r...->k...", weights.astype(np.float64), np.stack(shown))
        shown.clear()
    cam = total / (masks * keep)
    low = cam.min(axis=tuple(range(1, cam.ndim)), keepdims=True)
    return {"cam": cam, "heatmap": normalised(cam - low, len(sample.size))}


def _masks(sample: Sample, count: int, cells: int, keep: float, seed: int) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(seed)
    sides = [-(-side // cells) for side in sample.size]
    for _ in range(count):
        grid = (rng.random([cells + 1] * len(sides)) < keep).astype(np.float64)
        large = upsampled(grid, [(cells + 1) * side for side in sides])
        shifts = [int(rng.integers(side)) for side in sides]
        yield large[tuple(slice(shift, shift + size) for shift, size in zip(shifts, sample.size, strict=True))]


def _probabilities(sample: Sample, results: Arrays) -> np.ndarray:
    """The targets' softmax shares, or sigmoids of a model that ends in one or has a single class: [rows, K]."""
    logits = results["logits"].astype(np.float64)
    if sample.runner.record["score"]["squashed_by"] == "Sigmoid" or logits.shape[1] == 1:
        return 1 / (1 + np.exp(-logits[:, sample.targets]))
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shares[:, sample.targets] / shares.sum(axis=1, keepdims=True))

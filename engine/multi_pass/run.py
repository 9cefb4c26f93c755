"""Explains samples by a method of many runs, one sample after another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..images.resample import enlarged, normalised
from ..runtime.runner import Arrays, Runner
from .registry import ManyRuns, Progress, Sample


def explain_samples(
    method: ManyRuns, runner: Runner, inputs: Arrays, target: Any, options: Mapping[str, Any], progress: Progress
) -> Arrays:
    """The same arrays as one run of an explained model gives, and what else the method reports, [N, K].

    Args:
        method: the method.
        runner: the model that it runs.
        inputs: every input of the model by name, N samples.
        target: class indices, one, K of them, or [N, K]; -1: the top class, -2: the second ...
        options: the method's own.
        progress: shows the runs of each sample.
    """
    rows = inputs[runner.image].shape[0]
    targets = np.atleast_1d(np.asarray(target, np.int64))
    targets = np.broadcast_to(targets, (rows, targets.shape[-1]))
    neutral = method.neutral(runner)
    found = []
    for row in range(rows):
        single = {name: value[row : row + 1] for name, value in inputs.items()}
        base = runner.run({**single, **neutral}, targets[row])
        ranking = np.argsort(-base["logits"][0], kind="stable")
        resolved = np.where(targets[row] < 0, ranking[-targets[row] - 1], targets[row])
        sample = Sample(runner, single, resolved, base, progress)
        arrays = {name: value.astype(np.float32) for name, value in _finished(sample, method, options).items()}
        found.append({**base, **{name: value[None] for name, value in arrays.items()}})
    return {name: np.concatenate([one[name] for one in found]) for name in found[0]}


def _finished(sample: Sample, method: ManyRuns, options: Mapping[str, Any]) -> Arrays:
    """The method's arrays, and the heatmap [K, H, W] where it has not made one."""
    arrays = method.explain(sample, **options)
    if "heatmap" in arrays:
        return arrays
    spatial = len(sample.size)
    large = (
        np.abs(arrays["input_gradient"]).max(axis=1 + sample.channel_axis)
        if "input_gradient" in arrays
        else enlarged(arrays["cam"], sample.size)
    )
    return {**arrays, "heatmap": normalised(large, spatial)}

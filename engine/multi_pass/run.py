"""Explains samples by a multi-pass method, one after another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...graph_rewrites.errors import UsageError
from ..images.resample import normalised
from ..runtime.runner import Arrays, Runner
from .registry import MultiPassMethod, Progress, Sample, silent


class MultiPassRunner:
    """A multi-pass method and the model that it reruns; it takes and gives what the runner of an explained model does.

    Args:
        method: the method.
        runner: the model that the method builds.
        options: the method's own.
        progress: shows the runs of each sample.

    Attributes:
        record: the model's, with the method's name.
        others: names of the further inputs that a caller feeds.
        identity_inputs: further inputs that the method feeds, with values that change nothing.
    """

    def __init__(
        self,
        method: MultiPassMethod,
        runner: Runner,
        options: Mapping[str, Any] | None = None,
        progress: Progress = silent,
    ) -> None:
        self._method, self._runner, self._options, self._progress = method, runner, options or {}, progress
        self.identity_inputs = method.identity_inputs(runner)
        self.record = {**runner.record, "method": method.name}
        self.others = [name for name in runner.others if name not in self.identity_inputs]

    def run(self, inputs: Arrays, target: Any) -> Arrays:
        """The same arrays as one run of an explained model gives, and what else the method reports, [N, K].

        Args:
            inputs: every input of the model by name, N samples.
            target: class indices, one, K of them, or [N, K]; -1: the top class, -2: the second ...
        """
        rows = inputs[self._runner.image].shape[0]
        targets = np.atleast_1d(np.asarray(target, np.int64))
        targets = np.broadcast_to(targets, (rows, targets.shape[-1]))
        found = []
        for row in range(rows):
            single = self._runner.rows_of(inputs, row, row + 1)
            base = self._runner.run({**single, **self.identity_inputs}, targets[row])
            resolved = _classes(base, targets[row], self.record)
            sample = Sample(self._runner, single, resolved, base, self._progress)
            arrays = {name: value.astype(np.float32) for name, value in self._finished(sample).items()}
            found.append({**base, **{name: value[None] for name, value in arrays.items()}})
        return {name: np.concatenate([one[name] for one in found]) for name in found[0]}

    def _finished(self, sample: Sample) -> Arrays:
        """The method's arrays, and the heatmap [K, H, W] where it has not made one."""
        arrays = self._method.explain(sample, **self._options)
        if "heatmap" in arrays:
            return arrays
        large = (
            np.abs(arrays["input_gradient"]).max(axis=1 + sample.channel_axis)
            if "input_gradient" in arrays
            else sample.at_input_size(arrays["cam"])
        )
        return {**arrays, "heatmap": normalised(large, len(sample.size))}


def _classes(base: Arrays, targets: np.ndarray, record: Mapping[str, Any]) -> np.ndarray:
    """The classes that targets stand for: a place in the ranking would be another class's on changed inputs.

    Raises:
        UsageError: a box other than the best one of its class.
    """
    if "detection" in base:
        is_best = np.equal(targets, -1) & record["score"]["expression"].startswith("detection(0)")
        if not np.all(is_best | (targets >= 0)):
            raise UsageError("methods of many runs follow the best box, or those of a class; give the class as target")
        return np.where(targets < 0, base["detection"][0, :, 5], targets).astype(np.int64)
    ranking = np.argsort(-base["logits"][0], kind="stable")
    return np.where(targets < 0, ranking[-targets - 1], targets)

"""Class activation maps whose weights are found by running the model once per channel, without gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx

from ...graph_rewrites.ablatable_model import ablation_model
from ...graph_rewrites.targets.placement import RECEPTIVE_FIELD
from ..runtime.runner import Arrays, Runner
from .models import with_activations
from .registry import Sample, multi_pass_method


@multi_pass_method("score-cam", with_activations)
def score_cam(sample: Sample) -> Arrays:
    """ReLU(sum_k w_k A^k), w the softmax over k of y^c(x * A^k upsampled and brought to [0, 1]) (Wang et al. 2020).

    Algorithm 1; the score of the baseline, which they subtract, does not change the softmax. A channel
    that is constant masks nothing and gets the mask 0.

    Returns:
        cam [K, h, w].
    """
    activation = sample.base["activation"][0].astype(np.float64)

    def paint(channel: int, out: np.ndarray) -> None:
        # Enlarged first and brought to [0, 1] then, as in the paper; with half-pixel centres both orders differ.
        large = sample.at_input_size(activation[channel])
        low, high = large.min(), large.max()
        mask = (large - low) / (high - low) if high > low else np.zeros_like(large)
        np.multiply(sample.image, sample.over_channels(mask), out=out, casting="same_kind")

    scores = sample.scores_of(paint, len(activation))
    weights = np.exp(scores - scores.max(axis=0))
    return {"cam": _weighted(weights / weights.sum(axis=0), activation)}


def _ablatable(model: Any, layers: Any, score: Any, placement: str = RECEPTIVE_FIELD) -> onnx.ModelProto:
    return ablation_model(model, layers=layers, score=score, placement=placement)


def _all_channels(runner: Runner) -> Arrays:
    name = runner.names["channel_weights"]
    return {name: np.ones((1, 1, runner.types[name].shape.dim[2].dim_value), np.float32)}


@multi_pass_method("ablation-cam", _ablatable, _all_channels)
def ablation_cam(sample: Sample) -> Arrays:
    """ReLU(sum_k w_k A^k), w_k = (y^c - y^c without channel k) / |y^c| (Desai and Ramaswamy 2020).

    The paper divides by y^c, the same for the positive scores that it has in mind. By a negative one, such as a
    log-probability, the division would turn round what speaks for the class and what against it.

    Returns:
        cam [K, h, w].
    """
    activation = sample.base["activation"][0].astype(np.float64)
    scores, size = sample.scores, np.abs(sample.scores)
    drops = scores - _ablated_scores(sample, len(activation))
    return {"cam": _weighted(drops / np.where(size == 0, 1, size), activation)}


def _ablated_scores(sample: Sample, channels: int) -> np.ndarray:
    """The scores [C, K] without each channel."""
    runner, name = sample.runner, sample.runner.names["channel_weights"]
    rows = runner.types[name].shape.dim[1].dim_value or sample.rows(channels)
    found = []
    for start in sample.progress(range(0, channels, rows), -(-channels // rows)):
        weights = 1 - np.eye(channels, dtype=np.float32)[None, start : start + rows]
        found.append(runner.run({**sample.inputs, name: weights}, sample.targets)["ablated"][0])
    return np.concatenate(found).astype(np.float64)


def _weighted(weights: np.ndarray, activation: np.ndarray) -> np.ndarray:
    """ReLU(sum_k w_k A^k): [C, K] and [C, *spatial] to [K, *spatial]."""
    return np.maximum(np.tensordot(weights.T, activation, axes=1), 0)

"""The pipeline: a model in, an explained model out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import onnx

from .maps import methods as methods  # registers the methods
from .model.model import ModelSource, read
from .pipeline.attach import attach
from .pipeline.plan import plan
from .pipeline.publish import publish
from .targets.layers import Layer, survey_layers
from .targets.placement import RECEPTIVE_FIELD
from .targets.scores.score import ScoreSource, find_logits


def layers(model: ModelSource, *, score: ScoreSource | None = None) -> list[Layer]:
    """Lists the layers that can be explained, in graph order.

    Args:
        model: path or `ModelProto`.
        score: what is explained, as in `rewrite`; needed where there are several outputs.
    """
    return [layer for layer in survey(model, score=score) if layer.reason is None]


def survey(model: ModelSource, *, score: ScoreSource | None = None) -> list[Layer]:
    """The layers, as `layers` lists them, and those that cannot be explained, each with its `reason`."""
    work = read(model)
    return survey_layers(work, find_logits(work, score).tensor.name)


def rewrite(
    model: ModelSource,
    *,
    method: str = "grad-cam",
    layers: str | Sequence[str] | None = None,
    rules: str | None = None,
    score: ScoreSource | None = None,
    outputs: Sequence[str] | None = None,
    options: Mapping[str, Any] | None = None,
    placement: str = RECEPTIVE_FIELD,
) -> onnx.ModelProto:
    """Turns a model into an explained model, in standard ONNX operators alone.

    Args:
        model: path or `ModelProto` (not changed).
        method: the explanation map, a key of `METHODS`.
        layers: the layers to explain, tensors or nodes by name, or "all"; default: the last convolutional layer, or a
            transformer's last layer of tokens.
        rules: name of the backward rule set, see `RULES`; default: the method's own, mostly "standard".
        score: what is explained; needed where there are several outputs: an output by name, an expression of one such
            as "max(detections[:, 4:], axis=2)" (see `scores.expression`), one box as "detection(0)" (see
            `scores.detection`), or a scoring model joined onto them.
        outputs: which of `OUTPUTS` to compute; default: score, cam, heatmap; for maps at the input score,
            input_gradient, heatmap.
        options: the method's own, such as {"relu": False} for Grad-CAM.
        placement: where heatmaps have a layer's cells, see `placement_of`: at their receptive fields, or, for "resize",
            spread over the whole input.

    Returns:
        The model with the further input `target` (int64 [N, K]: class indices, -1 the top class, -2 the second ...)
        and, as chosen, the further outputs `score` [N, K], `cam` [N, K, h, w], `heatmap` [N, K, H, W], `activation`
        [N, C, h, w], `gradient` [N, K, C, h, w], `input_gradient` [N, K, *input] and `logits` [N, classes]; per layer
        as `cam@<layer>` where several are chosen. K is 1 where the model's batch size is fixed, unless only
        `FORWARD_OUTPUTS` are computed. `input_gradient` is what the method makes of the gradient there: for
        guided-grad-cam, its product with the heatmap.

    Raises:
        UsageError: an unknown method, option, layer, rule set, output, or several model outputs and none chosen.
        OnnxplainError: the model cannot be explained so; the message says why and what to do.
    """
    planned = plan(
        read(model),
        method,
        layers=layers,
        rules=rules,
        score=score,
        outputs=outputs,
        options=options,
        placement=placement,
    )
    return publish(planned, attach(planned))

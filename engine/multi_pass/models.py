"""The models that are run many times."""

from __future__ import annotations

from typing import Any

import onnx

from ...graph_rewrites.errors import UsageError
from ...graph_rewrites.model.metadata import read_metadata
from ...graph_rewrites.rewrite import rewrite
from ...graph_rewrites.targets.placement import RECEPTIVE_FIELD


def scores_alone(model: Any, layers: Any, score: Any, placement: str = RECEPTIVE_FIELD) -> onnx.ModelProto:
    """The score, without any gradient."""
    return rewrite(model, method="gradient", score=score, outputs=("score", "logits"))


def with_activations(model: Any, layers: Any, score: Any, placement: str = RECEPTIVE_FIELD) -> onnx.ModelProto:
    """The score, and the layer's feature maps.

    Raises:
        UsageError: several layers.
    """
    outputs = ("score", "activation", "logits")
    explained = rewrite(model, method="eigen-cam", layers=layers, score=score, outputs=outputs, placement=placement)
    found = (read_metadata(explained) or {})["layers"]
    if len(found) > 1:
        raise UsageError(f"a method of many runs explains one layer at a time, not {len(found)}; name one")
    return explained


def with_gradients(model: Any, layers: Any, score: Any, placement: str = RECEPTIVE_FIELD) -> onnx.ModelProto:
    """The score, and its gradient at the input."""
    return rewrite(model, method="gradient", score=score, outputs=("score", "input_gradient", "logits"))

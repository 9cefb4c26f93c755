"""Explained models run in ONNX's reference evaluator, as they are, and give ONNX Runtime's outputs."""

from __future__ import annotations

import warnings

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from ..graph_rewrites.networks import Array
from .explained import CASES, REFUSED, assert_same, explained

# Of the output's largest magnitude: both compute in float32, in sums of another order, which differs by processor too;
# Grad-CAM++ of the ViT is 4e-5 (ONNX Runtime) and 5e-5 (the evaluator) from its value in float64.
TOLERANCE = 1e-4
# The ordinary tests have two architectures in open sizes; the others are of the tests of deployment.
QUICK = [("resnet", "open"), ("vit", "open")]


def evaluated(model: onnx.ModelProto, feeds: dict[str, Array]) -> dict[str, Array]:
    """All outputs by the reference evaluator."""
    names = [value.name for value in model.graph.output]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # numpy tells of the divisions whose results are not taken
        results = ReferenceEvaluator(model).run(names, feeds)
    return {name: np.asarray(value) for name, value in zip(names, results, strict=True)}


@pytest.mark.parametrize(
    ("architecture", "size", "method"),
    [pytest.param(*case, marks=() if case[:2] in QUICK else pytest.mark.deployment) for case in CASES],
)
def test_every_method_of_an_architecture(architecture: str, size: str, method: str) -> None:
    model, feeds = explained(architecture, size, method)
    assert_same(evaluated(model, feeds), model, feeds, TOLERANCE)


@pytest.mark.deployment
@pytest.mark.parametrize(("architecture", "size", "method"), REFUSED)
def test_gradients_of_recurrent_layers_are_refused(architecture: str, size: str, method: str) -> None:
    """They scan backwards; when the reference evaluator does, these are CASES too."""
    model, feeds = explained(architecture, size, method)
    with pytest.raises(RuntimeError, match="Scan is not implemented for other output input_direction than 0"):
        evaluated(model, feeds)

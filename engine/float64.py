"""Runs a model in float64 with numpy, independently of ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from .float64_operators import REPLACEMENTS


class Float64Session:
    """ONNX's reference evaluator, with convolution, pooling and scattering by whole-array numpy operations."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._evaluator = ReferenceEvaluator(model, new_ops=list(REPLACEMENTS))

    def run(self, outputs: Sequence[str] | None, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
        """Returns the named outputs (all for None)."""
        return [np.asarray(value) for value in self._evaluator.run(None if outputs is None else list(outputs), feeds)]

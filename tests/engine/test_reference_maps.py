"""Maps at the input of the embedded model against those that PyTorch computed in float64."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnxplain import Explainer


@pytest.mark.parametrize(
    ("method", "name", "tolerance"),
    # What float32 differs by in PyTorch itself is 2.6e-3, 1.3e-5 and 1.2e-6, see the model card.
    [
        ("gradient", "input_gradient", 1e-2),
        ("guided-backprop", "guided_backprop", 1e-4),
        ("deconvnet", "deconvnet", 1e-5),
    ],
)
def test_maps_at_the_input_are_the_recorded_ones(
    efficientnet: Path, reference: dict[str, np.ndarray], method: str, name: str, tolerance: float
) -> None:
    got = Explainer(efficientnet, method=method).run({"image": reference["image"]}, 285)["input_gradient"]
    error = np.linalg.norm(got[0, 0] - reference[name]) / np.linalg.norm(reference[name])
    assert error < tolerance

"""Shared fixtures: the embedded model, its reference gradients, and small models of one's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parents[1] / "exported_models" / "efficientnet_lite0"


@pytest.fixture(scope="session")
def efficientnet() -> Path:
    """The embedded model's file."""
    return FOLDER / "efficientnet_lite0.onnx"


@pytest.fixture(scope="session")
def reference() -> dict[str, np.ndarray]:
    """Gradients recorded from torch autograd in float64, see the model card."""
    with np.load(FOLDER / "reference_gradients.npz") as arrays:
        return dict(arrays)

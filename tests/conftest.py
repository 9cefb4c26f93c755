"""Shared fixtures: the embedded model, its reference gradients, and small models of one's own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Headless Chromium as a playwright `Browser`."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install '.[runtimes]'")
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("Chromium is not installed; on Debian: apt install chromium")
    # Background requests would wait for a network that a test machine need not have; as root there is no sandbox.
    arguments = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()

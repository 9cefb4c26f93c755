"""Shared fixtures: the embedded model, its reference gradients, and small models of one's own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

FOLDER = Path(__file__).parents[1] / "exported_models" / "efficientnet_lite0"


def pytest_configure() -> None:
    """One thread of numpy's in each worker, which inherits this: more would compete for the cores."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """One thread in each session of ONNX Runtime, for the same reason."""
    start = ort.InferenceSession.__init__

    def start_one(session: Any, path_or_bytes: Any, sess_options: Any = None, **more: Any) -> None:
        options = sess_options or ort.SessionOptions()
        options.intra_op_num_threads = options.intra_op_num_threads or 1
        start(session, path_or_bytes, options, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ort.InferenceSession, "__init__", start_one)
        yield


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

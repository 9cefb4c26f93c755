"""What is timed: the plain model, and explained models of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxplain
import onnxruntime

from .architectures import SIDE

PLAIN = "plain"
CLASSES = 5  # of one image


@dataclass(frozen=True)
class Case:
    """A way to explain: arguments of `rewrite`, and how many classes are explained at once."""

    arguments: Mapping[str, Any] = field(default_factory=dict)
    classes: int = 1


CASES = {
    "Grad-CAM": Case(),
    f"Grad-CAM of {CLASSES} classes": Case(classes=CLASSES),
    "gradient": Case({"method": "gradient"}),
    "guided": Case({"method": "guided-backprop"}),
    "deconvnet": Case({"method": "deconvnet"}),
    "all layers": Case({"layers": "all"}),
}


@dataclass(frozen=True)
class Built:
    """A model ready to run.

    Attributes:
        path: its file.
        feeds: its inputs.
        growth: of the file, as a share of the plain model's.
    """

    path: Path
    feeds: dict[str, np.ndarray]
    growth: float

    def session(self, options: onnxruntime.SessionOptions | None = None) -> onnxruntime.InferenceSession:
        """A session on the CPU, see `cpu_session`."""
        return cpu_session(self.path, options)


def cpu_session(model: Path | bytes, options: onnxruntime.SessionOptions | None = None) -> onnxruntime.InferenceSession:
    """A session on the CPU, of `resting` threads."""
    options = resting(options or onnxruntime.SessionOptions())
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def resting(options: onnxruntime.SessionOptions) -> onnxruntime.SessionOptions:
    """Options by which threads do not wait for work in a loop between runs, on the cores of what is timed next."""
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return options


def images(batch: int) -> np.ndarray:
    """Seeded images, float32 [batch, 3, SIDE, SIDE]."""
    return np.random.default_rng(0).standard_normal((batch, 3, SIDE, SIDE), np.float32)


def built(model: onnx.ModelProto, folder: Path, batch: int, cases: Iterable[str] = CASES) -> dict[str, Built]:
    """The plain model and the explained ones, of the cases that its operators allow, as files in a folder."""
    path = folder / "plain.onnx"
    onnx.save(model, path)
    size, pixels = path.stat().st_size, images(batch)
    found = {PLAIN: Built(path, {"image": pixels}, 0)}
    for name in cases:
        case = CASES[name]
        try:
            explained = onnxplain.rewrite(model, **case.arguments)
        except onnxplain.OnnxplainError:  # no ReLU to differentiate otherwise
            continue
        path = folder / f"{name}.onnx"
        onnx.save(explained, path)
        targets = np.tile(np.arange(case.classes), (batch, 1))
        found[name] = Built(path, {"image": pixels, "target": targets}, path.stat().st_size / size - 1)
    return found

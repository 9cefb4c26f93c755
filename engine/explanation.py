"""The result of explaining one class of one image."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .images import PathLike, atomic_write_bytes, write_image
from .render import overlay


@dataclass(frozen=True)
class Explanation:
    """Why the model gives one class its score.

    Attributes:
        heatmap: float32 [H, W] in [0, 1], at the source image's own size; 0 outside the part that the model saw.
        cam: float32 [h, w], the map at the layer's resolution, not normalised.
        target: the class index explained.
        label: its name, if labels are known.
        score: y^c, the class score before any softmax.
        logits: float32 [classes], all class scores; None where the explained model does not give them.
        probability: the class's softmax share (or sigmoid, where the model ends in one); None without logits.
        image: uint8 [H, W, 3] RGB, the source image.
        source: the file it came from, if any.
    """

    heatmap: npt.NDArray[np.float32]
    cam: npt.NDArray[np.float32]
    target: int
    label: str | None
    score: float
    logits: npt.NDArray[np.float32] | None
    probability: float | None
    image: npt.NDArray[np.uint8]
    source: Path | None = None

    def overlay(self) -> npt.NDArray[np.uint8]:
        """The heatmap over the source image: uint8 [H, W, 3] RGB."""
        return overlay(self.image, self.heatmap)

    def save(self, path: PathLike) -> None:
        """Writes the overlay as a picture, or, to a path that ends in `.npy`, the heatmap's values.

        Raises:
            OnnxplainError: the folder is missing or not writable.
            UsageError: the suffix names no picture format.
        """
        if Path(path).suffix.lower() != ".npy":
            write_image(path, self.overlay())
            return
        buffer = io.BytesIO()
        np.save(buffer, self.heatmap)
        atomic_write_bytes(path, buffer.getvalue())

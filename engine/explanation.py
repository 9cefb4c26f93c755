"""The result of explaining one class of one image."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .images.files import PathLike, atomic_write_bytes, encode_image
from .render.overlays import overlay, relief, saliency


@dataclass(frozen=True)
class Explanation:
    """Why the model gives one class its score.

    Attributes:
        heatmap: float32 [H, W] in [0, 1], or [-1, 1] of a signed map, at the source image's own size; 0 outside the
            part that the model saw.
        cam: float32 [h, w], the map at the layer's resolution, not normalised; of a method that explains the input, the
            largest magnitude over channels at the input's; None where the explained model does not give it.
        input_heatmap: float32 [h, w], the heatmap at the size of the model's input.
        target: the class index explained.
        label: its name, if labels are known.
        score: y^c, the class score before any softmax.
        logits: float32 [classes], all class scores; None where the explained model does not give them.
        probability: the class's softmax share (or sigmoid, where the model ends in one); None without logits.
        image: uint8 [H, W, 3] RGB, the source image.
        source: the file it came from, if any.
        method: the method's name.
        layer: the layer explained; None for methods that explain the input.
        is_pixelwise: whether the map tells single pixels apart, so that it would not be seen over the image.
        colours: float32 [H, W, 3], of guided backpropagation and its like: the map of each colour; else None.
        details: what else the method reports, such as the completeness gap of integrated gradients.
    """

    heatmap: npt.NDArray[np.float32]
    cam: npt.NDArray[Any] | None
    input_heatmap: npt.NDArray[np.float32]
    target: int
    label: str | None
    score: float
    logits: npt.NDArray[np.float32] | None
    probability: float | None
    image: npt.NDArray[np.uint8]
    source: Path | None = None
    method: str = "grad-cam"
    layer: str | None = None
    is_pixelwise: bool = False
    colours: npt.NDArray[np.float32] | None = None
    details: Mapping[str, float] = field(default_factory=dict)

    def overlay(self) -> npt.NDArray[np.uint8]:
        """The heatmap over the source image: uint8 [H, W, 3] RGB."""
        return overlay(self.image, self.heatmap)

    def picture(self) -> npt.NDArray[np.uint8]:
        """The explanation as its paper shows it, uint8 [H, W, 3] RGB: over the image, or a map of pixels by itself."""
        if self.colours is not None:
            return relief(self.colours)
        return saliency(self.heatmap) if self.is_pixelwise else self.overlay()

    def save(self, path: PathLike) -> None:
        """Writes the picture, or, to a path that ends in `.npy`, the heatmap's values.

        Raises:
            OnnxplainError: the folder is missing or not writable.
            UsageError: the suffix names no picture format.
        """
        atomic_write_bytes(path, self.encoded(path))

    def encoded(self, path: PathLike) -> bytes:
        """What `save` writes to that path.

        Raises:
            UsageError: the suffix names no picture format.
        """
        if Path(path).suffix.lower() != ".npy":
            return encode_image(path, self.picture())
        buffer = io.BytesIO()
        np.save(buffer, self.heatmap)
        return buffer.getvalue()

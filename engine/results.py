"""From the arrays of a run to explanations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..graph_rewrites.errors import OnnxplainError
from ..graph_rewrites.maps.registry import METHODS
from .explanation import Explanation
from .images.preprocess import Preprocess
from .images.resample import normalised, placed, upsampled
from .runtime.runner import Arrays

# Shown as the papers show them, in the colours of the input.
IN_COLOUR = {"guided-backprop", "deconvnet", "guided-grad-cam"}
# Reported per target beside a map.
DETAILS = ("score_difference", "completeness_gap")
BOX = ("box0", "box1", "box2", "box3")


@dataclass(frozen=True)
class Results:
    """The arrays of one batch, the record of what they explain, the class names, and the input's height and width.

    `origin` says of a row, a target and outputs where what is not finite arose.
    """

    arrays: Arrays
    record: dict[str, Any]
    labels: list[str] | None
    size: tuple[int, int]
    origin: Callable[..., str] = lambda *_: "the model overflows on it"

    @property
    def layers(self) -> list[str | None]:
        """The layers explained; [None] for a method that explains the input."""
        return self.record["layers"] or [None]

    def explanation(
        self,
        row: int,
        column: int,
        layer: str | None,
        target: int,
        image: npt.NDArray[np.uint8],
        source: Path | None,
        preprocess: Preprocess,
    ) -> Explanation:
        """The explanation of one target of one image.

        Raises:
            OnnxplainError: the score or the map is not finite.
        """
        at = f"@{layer}" if len(self.layers) > 1 else ""
        attribution = self._attribution(row, column, at)
        is_pixelwise = self._is_pixelwise(at)
        cam = self._cam(row, column, at)
        if cam is None and is_pixelwise and attribution is not None:
            cam = np.abs(attribution).max(axis=-1)
        score = float(self.arrays["score"][row, column])
        if score == -np.inf:
            raise OnnxplainError(
                f"{source or 'image'}: the score of target {target} is -inf; there is nothing to score, such as a box"
            )
        heatmap = self._heatmap(row, column, at)
        if not np.isfinite(heatmap).all():
            outputs = [*(f"{name}{at}" for name in ("cam", "input_gradient", "heatmap")), "score", "logits"]
            why = self.origin(row, target, *outputs)
            raise OnnxplainError(f"{source or 'image'}: the map of target {target} is not finite; {why}")
        if not np.isfinite(score):
            why = self.origin(row, target, "score")
            raise OnnxplainError(f"{source or 'image'}: the score of target {target} is {score}; {why}")
        logits = self._logits(row)
        index = self._class_index(row, column, target)
        coloured = attribution if self.record["method"] in IN_COLOUR else None
        return Explanation(
            heatmap=preprocess.to_source(heatmap, image.shape[:2]),
            cam=cam,
            input_heatmap=heatmap,
            target=index,
            label=self.labels[index] if self.labels and index >= 0 else None,
            score=score,
            logits=logits if self._are_classes else None,
            probability=self._probability(logits, index),
            image=image,
            source=source,
            method=self.record["method"],
            layer=layer,
            is_pixelwise=is_pixelwise,
            colours=None if coloured is None else _in_source(coloured, image, preprocess),
            details=self._details(row, column),
        )

    @property
    def _are_classes(self) -> bool:
        """Whether the logits are the model's own class scores."""
        return "expression" not in self.record["score"]

    def _logits(self, row: int) -> np.ndarray | None:
        """All class scores of a sample; None where the file does not give them."""
        score = self.record["score"]
        if "logits" in self.arrays:
            return np.ravel(self.arrays["logits"][row])
        return np.ravel(self.arrays[score["output"]][row]) if self._are_classes and not score["squashed_by"] else None

    def _details(self, row: int, column: int) -> dict[str, float]:
        """What is reported beside a map; of a box its four numbers, as the model gives them."""
        found = {name: float(self.arrays[name][row, column]) for name in DETAILS if name in self.arrays}
        if "detection" in self.arrays:
            found |= dict(zip(BOX, map(float, self.arrays["detection"][row, column]), strict=False))
        return found

    def _class_index(self, row: int, column: int, target: int) -> int:
        """The class that a target stands for; the target itself where the file does not give what ranks classes."""
        if "detection" in self.arrays:
            return int(self.arrays["detection"][row, column, 5])
        scores = self.arrays.get(
            "logits", self.arrays.get(self.record["score"]["output"]) if self._are_classes else None
        )
        if target >= 0 or scores is None:
            return target
        return int(np.argsort(-scores[row].ravel(), kind="stable")[-target - 1])

    def _probability(self, logits: np.ndarray | None, index: int) -> float | None:
        if logits is None or not self._are_classes:
            return None
        return float(probabilities(logits, self.record)[index])

    def _attribution(self, row: int, column: int, at: str) -> np.ndarray | None:
        """The map at the input, [h, w, C], if the file gives it."""
        found = self.arrays.get(f"input_gradient{at}", self.arrays.get("input_gradient"))
        if found is None:
            return None
        one = np.asarray(found[row, column])
        return one if self.record["input"].get("layout") == "NHWC" else np.moveaxis(one, 0, -1)

    def _cam(self, row: int, column: int, at: str) -> np.ndarray | None:
        """The map at the layer, if the file gives it."""
        found = self.arrays.get(f"cam{at}")
        return None if found is None else np.asarray(found[row, column])

    def _heatmap(self, row: int, column: int, at: str) -> npt.NDArray[np.float32]:
        """The heatmap at the input's size, made of the map at the layer where the file does not give it."""
        if f"heatmap{at}" in self.arrays:
            return np.asarray(self.arrays[f"heatmap{at}"][row, column])
        cam = self.arrays[f"cam{at}"][row, column].astype(np.float64)
        placement = self.record.get("placements", {}).get(
            at.removeprefix("@") or next(iter(self.record["layers"]), None)
        )
        large = upsampled(cam, self.size) if placement is None else placed(cam, self.size, placement)
        return normalised(large, 2).astype(np.float32)

    def _is_pixelwise(self, at: str) -> bool:
        """By the method, as a file need not hold the map at the layer; of methods unknown here, by that map."""
        known = METHODS.get(self.record["method"])
        return known.at in ("input", "both") if known else f"cam{at}" not in self.arrays


def are_sigmoids(logits: np.ndarray, record: dict[str, Any]) -> bool:
    """Whether each score stands for itself: the model ends in a sigmoid, or has a single class."""
    return bool(record["score"]["squashed_by"] == "Sigmoid" or logits.size == 1)


def probabilities(logits: np.ndarray, record: dict[str, Any]) -> npt.NDArray[np.float64]:
    """What class scores [classes] say in [0, 1]: sigmoids, see `are_sigmoids`, or else softmax shares."""
    values = logits.astype(np.float64)
    if are_sigmoids(logits, record):
        return np.asarray(1 / (1 + np.exp(-values)))
    shares = np.exp(values - values.max())
    return np.asarray(shares / shares.sum())


def _in_source(
    attribution: np.ndarray, image: npt.NDArray[np.uint8], preprocess: Preprocess
) -> npt.NDArray[np.float32]:
    """The map [h, w, C] at the source image's size, float32 [H, W, 3] RGB."""
    planes = [preprocess.to_source(plane, image.shape[:2]) for plane in np.moveaxis(attribution, -1, 0)]
    planes = planes[::-1] if preprocess.channels == "BGR" else planes
    return np.stack(planes if len(planes) == 3 else planes[:1] * 3, axis=-1)

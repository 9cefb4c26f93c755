"""What a scene shows, found from its pixels alone."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from studies.scenes import COLOURS, Image


@dataclass(frozen=True, eq=False)
class Blob:
    """A connected patch of one colour: its pixels, its shape, its centre in pixels."""

    colour: str
    mask: npt.NDArray[np.bool_]
    shape: str
    x: float
    y: float


def blobs(image: Image) -> list[Blob]:
    """All patches of 30 pixels and more whose colour is within 60 of one of COLOURS."""
    found = []
    for colour, rgb in COLOURS.items():
        near = np.linalg.norm(image.astype(float) - rgb, axis=2) < 60
        count, labels, stats, centres = cv2.connectedComponentsWithStats(near.astype(np.uint8), connectivity=8)
        for index in range(1, count):
            if stats[index, cv2.CC_STAT_AREA] >= 30:
                mask = labels == index
                found.append(Blob(colour, mask, _shape(mask), *centres[index]))
    return found


def _shape(mask: npt.NDArray[np.bool_]) -> str:
    """A cross fills little of its convex hull; the others differ in their first moment invariant (Hu, 1962)."""
    moments = cv2.moments(mask.astype(np.uint8), binaryImage=True)
    (outline,), _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    hull = cv2.convexHull(outline)
    # A contour runs through the centres of the border's pixels, half a pixel inside.
    if moments["m00"] < 0.85 * (cv2.contourArea(hull) + cv2.arcLength(hull, True) / 2 + 1):
        return "cross"
    spread = moments["nu20"] + moments["nu02"]
    ideal = {"circle": 1 / (2 * np.pi), "square": 1 / 6, "triangle": 1 / (3 * np.sqrt(3))}
    return min(ideal, key=lambda shape: abs(ideal[shape] - spread))

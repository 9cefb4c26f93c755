"""Whether a map points at an object: the pointing game, and the share of its energy that lies inside.

Maps are float [H, W]; masks bool [H, W], at the same size. Only positive values of a map count as heat.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from ....graph_rewrites.errors import UsageError

Map = npt.NDArray[np.floating]
Mask = npt.NDArray[np.bool_]


def pointing(heatmap: Map, mask: Mask, tolerance: float = 0.0) -> float:
    """The pointing game's hit: 1 where the map's maximum lies in the object, or within a tolerance of it.

    Of several equal maxima, as a flat map has, the share that hits: the chance of a random one.

    Source: Zhang et al. 2016, "Top-down Neural Attention by Excitation Backprop", section 4.1, where the tolerance is
    15 pixels of the source image.

    Args:
        heatmap: the map.
        mask: the object; not empty.
        tolerance: in pixels, between the centres of the maximum and of the object's nearest pixel.

    Raises:
        UsageError: the shapes differ, or the mask is empty.
    """
    _check(heatmap, mask)
    distance = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return float((distance[heatmap == heatmap.max()] <= tolerance).mean())


def energy_inside(heatmap: Map, mask: Mask) -> float:
    """The share of a map's positive values that lies inside the object; 0 of a map without any.

    Source: Wang et al. 2020, "Score-CAM", section 4.3, the energy-based pointing game.

    Raises:
        UsageError: the shapes differ, or the mask is empty.
    """
    _check(heatmap, mask)
    heat = np.maximum(heatmap, 0, dtype=np.float64)
    total = heat.sum()
    return float(heat[mask].sum() / total) if total > 0 else 0.0


def is_difficult(mask: Mask, distractors: bool) -> bool:
    """Whether an object is hard to point at: under a quarter of the image, and an object of another class is there.

    Source: Zhang et al. 2016, section 4.1, the difficult set.

    Args:
        mask: all objects of the class.
        distractors: whether there are objects of other classes.
    """
    return bool(mask.mean() < 1 / 4) and distractors


def mean_over_classes(hits: Sequence[tuple[str, float]]) -> float:
    """The mean over classes of the mean of each class's hits, as Zhang et al. 2016 report it; NaN of no hits.

    Args:
        hits: the class and the hit of each image and class.
    """
    by_class: dict[str, list[float]] = {}
    for label, hit in hits:
        by_class.setdefault(label, []).append(hit)
    return float(np.mean([np.mean(found) for found in by_class.values()])) if by_class else float("nan")


def centre_map(shape: tuple[int, int]) -> Map:
    """The baseline that looks at the middle of every image: 1 there, falling to 0 in the corners, float64 [H, W]."""
    y, x = (np.arange(size) - (size - 1) / 2 for size in shape)
    distance = np.hypot(y[:, None], x)
    return np.asarray(1 - distance / max(distance.max(), 1))


def _check(heatmap: Map, mask: Mask) -> None:
    if heatmap.shape != mask.shape:
        raise UsageError(f"a map of {heatmap.shape} and a mask of {mask.shape}; bring both to one size")
    if not mask.any():
        raise UsageError("the mask of the object is empty; leave it out")

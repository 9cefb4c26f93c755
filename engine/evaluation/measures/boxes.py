"""Localisation by boxes: one round the largest segment of a map, and the best threshold for all maps.

Maps are float [H, W]; boxes x0, y0, x1, y1 in pixels, the end exclusive.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from ....graph_rewrites.errors import UsageError
from ...datasets.annotation import Box
from .pointing import Map

SEGMENT_THRESHOLD = 0.15  # of the map's maximum (Selvaraju et al. 2017, section 4.1)
ENOUGH = 0.5  # intersection over union (Russakovsky et al. 2015, "ImageNet Large Scale Visual Recognition Challenge")
OVERLAPS = (0.3, 0.5, 0.7)  # those of MaxBoxAccV2
THRESHOLDS = tuple(index / 100 for index in range(100))  # of MaxBoxAccV2, from 0 on


def segment_boxes(heatmap: Map, threshold: float = SEGMENT_THRESHOLD) -> list[Box]:
    """The boxes round the connected segments above a share of the map's maximum, the largest segment's first.

    Pixels that touch by a side or a corner are connected; of segments of one size, the first from the top goes before.

    Args:
        heatmap: the map.
        threshold: the share of the maximum, in [0, 1), that pixels must be above.

    Returns:
        No box of a map without positive values.

    Raises:
        UsageError: the threshold is out of range.
    """
    if not 0 <= threshold < 1:
        raise UsageError(f"a threshold of {threshold} of the maximum; give one from 0 to less than 1")
    above = (heatmap > threshold * max(float(heatmap.max()), 0.0)).astype(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(above, connectivity=8)
    segments = stats[1:]  # the first is what is not above
    largest = np.argsort(-segments[:, cv2.CC_STAT_AREA], kind="stable")
    corners = [tuple(map(float, segments[index][:4])) for index in largest]
    return [(x, y, x + width, y + height) for x, y, width, height in corners]


def overlap(one: Box, other: Box) -> float:
    """The intersection of two boxes over their union, in [0, 1].

    Source: Everingham et al. 2010, "The Pascal Visual Object Classes (VOC) Challenge".
    """
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    common = max(width, 0.0) * max(height, 0.0)
    areas = [(x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in (one, other)]
    return common / (sum(areas) - common)


def best_overlap(found: Sequence[Box], truths: Sequence[Box]) -> float:
    """The largest overlap of any box found with any true one; 0 where there is none."""
    return max((overlap(one, truth) for one in found for truth in truths), default=0.0)


def localises(heatmap: Map, truths: Sequence[Box], threshold: float = SEGMENT_THRESHOLD) -> bool:
    """Whether the box round the largest segment overlaps any true box by at least a half.

    Source: the localisation task of ILSVRC, Russakovsky et al. 2015, section 4.2; boxes of maps as in Selvaraju et al.
    2017, section 4.1, after Zhou et al. 2016.
    """
    return best_overlap(segment_boxes(heatmap, threshold)[:1], truths) >= ENOUGH


def overlaps_by_threshold(heatmap: Map, truths: Sequence[Box]) -> npt.NDArray[np.float64]:
    """The best overlap of any segment's box with any true box, for each of `THRESHOLDS`: [100].

    The map is stretched to [0, 1] first; the thresholds are of that.

    Source: Choe et al. 2020, "Evaluating Weakly Supervised Object Localization Methods Right", and its extension
    to all segments and three overlaps (arXiv:2007.04178). They take 1000 thresholds.
    """
    low, high = float(heatmap.min()), float(heatmap.max())
    stretched = (heatmap - low) / (high - low) if high > low else np.zeros_like(heatmap)
    return np.array([best_overlap(segment_boxes(stretched, threshold), truths) for threshold in THRESHOLDS])


def max_box_accuracy(overlaps: npt.NDArray[np.float64]) -> dict[float, float]:
    """MaxBoxAccV2 of many maps by the overlap demanded: the share of maps that reach it, at the best threshold.

    MaxBoxAccV2 itself is their mean. `overlaps` is [maps, thresholds]. Source: as `overlaps_by_threshold`.
    """
    return {enough: float((overlaps >= enough).mean(axis=0).max()) for enough in OVERLAPS}

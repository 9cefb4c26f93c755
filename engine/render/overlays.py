"""Pictures of heatmaps: in colour, and laid over the image they explain."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ...graph_rewrites.errors import UsageError
from ..images.files import Image, check_rgb

# The ends of RdBu (ColorBrewer, Harrower and Brewer 2003), which colour-blind readers can tell apart.
_NEGATIVE = np.array([33, 102, 172], np.float32)
_POSITIVE = np.array([178, 24, 43], np.float32)
SALIENCY_PERCENTILE = 99  # Smilkov et al. 2017, "SmoothGrad: removing noise by adding noise"


def colourise(heatmap: npt.NDArray[Any]) -> Image:
    """Colour a float heatmap [H, W] in [0, 1], or signed in [-1, 1]; uint8 [H, W, 3] RGB.

    Unsigned maps (without a negative value) take inferno: equal steps of heat are equal steps to the eye, unlike in jet
    or turbo, whose bands suggest edges that are not in the map; lightness alone carries the order, so it survives grey
    printing and colour blindness; and of the even maps its hot end stands out best from photographs, where viridis is
    lost in foliage. Signed maps run evenly from blue (-1) through white (0) to red (1).

    Raises UsageError for another dtype or shape, for NaN, and for values beyond the range.
    """
    heat = _check_heat(heatmap)
    if heat.min() < 0:
        end = np.where(heat[..., None] < 0, _NEGATIVE, _POSITIVE)
        return np.asarray(np.rint(255 + (end - 255) * np.abs(heat)[..., None]), np.uint8)
    bgr = cv2.applyColorMap(np.rint(heat * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


def overlay(image: Image, heatmap: npt.NDArray[Any], alpha: float = 0.5) -> Image:
    """Lay a heatmap [H, W] over the uint8 [H, W, 3] RGB image it explains; uint8 [H, W, 3] RGB.

    The opacity grows with the magnitude m of the heat, alpha * m * (2 - m): the image stays as it is where there is no
    heat, weak regions are still seen, and detail shows through the strongest too. Colours are those of `colourise`; a
    signed map is drawn in its two end colours only, as white at low heat would put a halo on dark images.

    Raises UsageError as `colourise` does, for a heatmap and an image of different sizes, and for alpha outside [0, 1].
    """
    heat = _check_heat(heatmap)
    if check_rgb(image).shape[:2] != heat.shape:
        sizes = f"{list(heat.shape)} over an image of {list(image.shape[:2])}"
        raise UsageError(f"a heatmap of {sizes}; bring it to the image's size first")
    if not 0 <= alpha <= 1:
        raise UsageError(f"alpha must lie in [0, 1]; not {alpha!r}")
    colour = colourise(np.sign(heat) if heat.min() < 0 else heat)
    magnitude = np.abs(heat)[..., None]
    blend = image + (colour - image.astype(np.float32)) * (alpha * magnitude * (2 - magnitude))
    return np.asarray(np.rint(blend), np.uint8)


def relief(colours: npt.NDArray[Any]) -> Image:
    """Show a signed map [H, W, 3] of each colour as guided backpropagation is shown: around grey, uint8 RGB.

    Grey is 0 and the ends are the 99.9th percentile of the magnitudes, so that single pixels do not dim the rest.
    """
    return np.asarray(np.rint(127.5 + 127.5 * _clipped(colours, 99.9)), np.uint8)


def saliency(heatmap: npt.NDArray[Any]) -> Image:
    """Show a map [H, W] of single pixels by itself, in the colours of `colourise`; uint8 [H, W, 3] RGB.

    Clipped at a percentile of the magnitudes: a few pixels are far above the rest.
    """
    return colourise(_clipped(_check_heat(heatmap), SALIENCY_PERCENTILE))


def peak_of(values: npt.NDArray[Any], percentile: float) -> float:
    """A percentile of the magnitudes; where that is zero, the largest; of a map of zeros, 1."""
    magnitude = np.abs(values)
    return float(np.percentile(magnitude, percentile)) or float(magnitude.max()) or 1.0


def _clipped(values: npt.NDArray[Any], percentile: float) -> npt.NDArray[np.float32]:
    """The values over a percentile of their magnitudes, cut off at -1 and 1."""
    return np.asarray(np.clip(values / peak_of(values, percentile), -1, 1), np.float32)


def _check_heat(heatmap: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    if not isinstance(heatmap, np.ndarray) or heatmap.ndim != 2 or heatmap.dtype.kind != "f" or not heatmap.size:
        given = f"{heatmap.dtype} {list(heatmap.shape)}" if isinstance(heatmap, np.ndarray) else type(heatmap).__name__
        raise UsageError(f"a heatmap must be a float [H, W] array with values in it; not {given}")
    # Rounding may carry a map that was divided by its maximum a little past 1. Written so that NaN fails too.
    if not np.abs(heatmap).max() <= 1.001:
        raise UsageError("a heatmap must lie in [-1, 1] and hold no NaN; divide it by its largest magnitude")
    return heatmap.astype(np.float32)

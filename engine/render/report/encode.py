"""Explanations as plain JSON types: small, and exact enough that a value read in the page is the heatmap's."""

from __future__ import annotations

import base64
import math
import zlib
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ....graph_rewrites.errors import OnnxplainError
from ...explanation import Explanation
from ...images.files import Image
from ...images.resample import upsampled
from ...results import are_sigmoids, probabilities
from ..overlays import SALIENCY_PERCENTILE, colourise, peak_of

PHOTO_SIDE = 640  # pixels; the longer side of a photo in the page
QUALITY = 80  # of WebP
# How far a value shown in the page may lie from the heatmap's: of maps at a layer, and of maps of single pixels.
PRECISION, PIXEL_PRECISION = 0.0005, 1 / 510
# A map at a layer is stored as it is there if its enlargement, which the page repeats, is the heatmap up to this.
_SAME = 0.0004
_COARSE = 64 * 64  # values; maps of no more take 16 bits each
TOP = 5  # predictions listed


def picture_url(picture: Image) -> str:
    """A uint8 [H, W, 3] RGB picture as a data URL."""
    done, data = cv2.imencode(".webp", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_WEBP_QUALITY, QUALITY])
    if not done:
        raise OnnxplainError("this OpenCV cannot write WebP pictures; install opencv-python-headless")
    return "data:image/webp;base64," + _base64(data.tobytes())


def shrunk(image: Image, height: int, width: int) -> Image:
    """An image with neither side longer than asked for; its other side stays in proportion only if both shrink so."""
    size = (max(1, min(width, image.shape[1])), max(1, min(height, image.shape[0])))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def photo(image: Image) -> Image:
    """The photo as the page shows it."""
    scale = PHOTO_SIDE / max(image.shape[:2])
    return shrunk(image, round(image.shape[0] * scale), round(image.shape[1] * scale))


def packed(values: npt.NDArray[Any]) -> dict[str, Any]:
    """A map [h, w] as integers times a step, deflated, in base64; the page reads them into a typed array.

    Up to 64 x 64 values and signed ones take 16 bits, larger maps 8.
    """
    signed = bool(values.min() < 0)
    bits = 16 if signed or values.size <= _COARSE else 8
    step = float(np.abs(values).max()) / (2 ** (bits - signed) - 1) or 1.0
    codes = np.rint(values / step).astype(f"<{'i' if signed else 'u'}{bits // 8}")
    return {
        "shape": list(values.shape),
        "type": f"{'Int' if signed else 'Uint'}{bits}Array",
        "step": step,
        "data": _base64(zlib.compress(codes.tobytes(), 9)),
    }


def grid(explanation: Explanation) -> npt.NDArray[np.float64]:
    """The fewest values that give the heatmap at the model's input when they are upsampled to its size."""
    heat = explanation.input_heatmap.astype(np.float64)
    if explanation.cam is not None and not explanation.is_pixelwise:
        peak = np.abs(upsampled(explanation.cam.astype(np.float64), heat.shape)).max() or 1.0
        coarse = explanation.cam / peak
        if np.abs(upsampled(coarse, heat.shape) - heat).max() <= _SAME:
            return np.asarray(coarse, np.float64)
    return heat


def map_of(explanation: Explanation, window: tuple[float, float, float, float]) -> dict[str, Any]:
    """One map as the page takes it, drawn as `Explanation.picture` draws it; `window` is what the model saw."""
    values = grid(explanation)
    shown: dict[str, Any] = {"look": "overlay"}
    if explanation.colours is not None:
        height, width = explanation.image.shape[:2]
        rows, columns = explanation.input_heatmap.shape
        # One pixel of the picture is about one of the model's input: there is no more in it.
        small = photo(
            shrunk(explanation.picture(), round(rows * height / window[3]), round(columns * width / window[2]))
        )
        shown = {"look": "relief", "picture": picture_url(small)}
    elif explanation.is_pixelwise:
        shown = {"look": "saliency", "peak": peak_of(explanation.heatmap, SALIENCY_PERCENTILE)}
    return {
        "method": explanation.method,
        "layer": explanation.layer,
        "target": explanation.target,
        "details": {name: _number(value) for name, value in explanation.details.items()},
        **shown,
        **packed(values),
    }


def predictions(explanation: Explanation, labels: list[str] | None, record: dict[str, Any]) -> list[dict[str, Any]]:
    """The top classes with their scores and shares, best first; none where the explained model gives no logits."""
    logits = explanation.logits
    if logits is None:
        return []
    shares, top = probabilities(logits, record), np.argsort(-logits, kind="stable")[:TOP]
    return [prediction(int(index), float(logits[index]), float(shares[index]), labels) for index in top]


def prediction(target: int, score: float, share: float | None, labels: list[str] | None) -> dict[str, Any]:
    """One class with what the model says of it; `target` is negative where only its place in the ranking is known."""
    label = labels[target] if labels and target >= 0 else None
    name = (label or "").split(",")[0].strip() or (f"class {target}" if target >= 0 else f"top {-target}")
    return {
        "target": target,
        "name": name,
        "label": label or name,
        "score": _number(score),
        "share": _number(share),
    }


def share_name(explanation: Explanation, record: dict[str, Any]) -> str:
    """What the shares of the predictions are."""
    logits = explanation.logits
    return "sigmoid" if logits is not None and are_sigmoids(logits, record) else "softmax share"


def palette() -> dict[str, str]:
    """The colours of `colourise`, bytes RGB in base64: of 256 values from 0 to 1, and of 511 from -1 to 1."""
    unsigned, signed = np.linspace(0, 1, 256, dtype=np.float32), np.linspace(-1, 1, 511, dtype=np.float32)
    return {name: _base64(colourise(v[None]).tobytes()) for name, v in (("unsigned", unsigned), ("signed", signed))}


def _number(value: float | None) -> float | None:
    """A number as JSON can hold it."""
    return value if value is not None and math.isfinite(value) else None


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")

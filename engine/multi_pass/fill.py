"""What stands in for a part of the input that is taken away."""

from __future__ import annotations

from typing import Literal, TypeAlias

import cv2
import numpy as np

from ...graph_rewrites.errors import UsageError
from .registry import Sample

Fill: TypeAlias = Literal["mean", "zero", "blur"]
BLUR = 10  # standard deviation in pixels (Fong and Vedaldi 2017)


def filled(sample: Sample, fill: Fill) -> np.ndarray:
    """The sample's image with nothing left to see: each channel's mean, zeros, or blurred.

    Zero is the model's own, after preprocessing: where that subtracts a mean, it is the mean colour.
    """
    image, axis = sample.image, sample.channel_axis
    if fill == "zero":
        return np.zeros_like(image)
    if fill == "mean":
        mean = image.mean(axis=tuple(i for i in range(image.ndim) if i != axis), keepdims=True, dtype=np.float64)
        return np.broadcast_to(_as(mean, image), image.shape)
    if len(sample.size) != 2:
        raise UsageError(f"fill blur is for images of two spatial axes, not {len(sample.size)}; use mean or zero")
    planes = np.moveaxis(image, axis, 0).astype(np.float64)
    return _as(np.moveaxis(np.stack([cv2.GaussianBlur(plane, (0, 0), BLUR) for plane in planes]), 0, axis), image)


def _as(values: np.ndarray, like: np.ndarray) -> np.ndarray:
    return (np.rint(values) if like.dtype.kind in "iu" else values).astype(like.dtype)

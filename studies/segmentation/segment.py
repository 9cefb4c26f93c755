"""What a segmenter makes of scenes: probabilities on its grid, brought into line with the image, and labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnxplain.engine.images.resample import upsampled
from onnxplain.engine.runtime.session import Session

from .crf import mean_field, softmax
from .data import SIDE, Array, Labels, Scenes

LEAST = 1e-4  # added to each probability, as in the paper's code, so that no logarithm is infinite
BATCH = 50


def probabilities(path: Path, images: npt.NDArray[np.uint8]) -> Array:
    """Of the background and each class in each cell, [n, 1 + classes, 32, 32], by the model in a file.

    Args:
        path: the ONNX file.
        images: uint8 [n, 96, 96, 3].
    """
    session = Session(onnx.load(path))
    found = []
    for first in range(0, len(images), BATCH):
        batch = images[first : first + BATCH].transpose(0, 3, 1, 2).astype(np.float32)
        found.append(session.run(None, {"image": np.ascontiguousarray(batch)})[0].astype(np.float64))
    return at_least(softmax(np.concatenate(found), axis=1))


def refined(given: Array, scenes: Scenes) -> Array:
    """The probabilities [n, C, 32, 32] after the CRF."""
    return np.stack([mean_field(*one) for one in zip(given, scenes.coarse, strict=True)])


def labels(given: Array) -> Labels:
    """The most probable class of each pixel, int64 [n, 96, 96], of probabilities [n, C, 32, 32] upsampled linearly."""
    return np.stack([upsampled(one.astype(np.float64), (SIDE, SIDE)).argmax(axis=0) for one in given])


def at_least(shares: Array) -> Array:
    """Probabilities [n, C, h, w] that are nowhere 0 and still add to 1."""
    some: Array = (shares + LEAST) / (1 + LEAST * shares.shape[1])
    return some

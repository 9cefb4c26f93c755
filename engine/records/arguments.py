"""What is given as text on a command line: `name=value`, and arrays by the name of a file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from ...graph_rewrites.errors import OnnxplainError, UsageError
from ..images.files import IMAGE_SUFFIXES, read_image


def pairs(texts: Iterable[str] | None, what: str) -> dict[str, str]:
    """`name=value` texts by name.

    Raises:
        UsageError: a text without an equals sign, or a name given twice.
    """
    found: dict[str, str] = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise UsageError(f"{what} {text!r} is not understood; write name=value")
        if name.strip() in found:
            raise UsageError(f"{what} {name.strip()!r} is given twice")
        found[name.strip()] = value.strip()
    return found


def read_inputs(texts: Iterable[str] | None) -> dict[str, np.ndarray]:
    """Further inputs of a model, `name=file`: the array in an .npy file, or a picture as a mask [H, W] in [0, 1].

    Raises:
        UsageError: a file of another kind.
        OnnxplainError: a file that cannot be read.
    """
    return {name: _read(Path(value)) for name, value in pairs(texts, "input").items()}


def _read(path: Path) -> np.ndarray:
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return cv2.cvtColor(read_image(path), cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    if path.suffix.lower() != ".npy":
        raise UsageError(f"{path}: an input is given as .npy, or as a picture for a mask")
    try:
        return np.asarray(np.load(path, allow_pickle=False))
    except (OSError, ValueError, EOFError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "it is no .npy array of numbers"
        raise OnnxplainError(f"{path}: cannot be read ({reason}); write it with numpy.save") from error

"""Segmentations side by side: in the colours of their classes, what is unlabelled as in the photo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from onnxplain.engine.images.files import Image
from onnxplain.engine.render.contact_sheet import BACKGROUND, FONT, INK, LINE, MARGIN, SCALE
from onnxplain.engine.render.line_plot import COLOURS

from .data import CLASSES, Labels

TILE = 192  # pixels: twice a scene, six times its grid
PAPER = (236, 236, 236)  # of the background
_FADED = 0.6  # how much white lies over a photo under seeds


def coloured(labels: Labels, photo: Image) -> Image:
    """Labels of any grid, -1 where there are none, at the size of a tile; the photo shows where there are none."""
    paint = np.array([PAPER, *COLOURS[: len(CLASSES)]], np.uint8)
    size = (TILE, TILE)
    large = cv2.resize(labels.astype(np.int16), size, interpolation=cv2.INTER_NEAREST)
    faded = cv2.resize(photo, size, interpolation=cv2.INTER_LINEAR) * (1 - _FADED) + 255 * _FADED
    return np.where((large < 0)[..., None], faded, paint[large]).astype(np.uint8)


def sheet(photos: Sequence[Image], columns: Mapping[str, Sequence[Labels]]) -> Image:
    """A row for each photo: the photo, and the labels of each column, under the columns' names and a legend.

    Args:
        photos: uint8 [H, W, 3] RGB.
        columns: for each name, of lines separated by newlines, the labels of each photo, see `coloured`.
    """
    size = (TILE, TILE)
    lines = 1 + max(name.count("\n") + 1 for name in columns)
    names = {"scene": None, **columns}
    top = MARGIN + lines * LINE
    picture = np.full(
        (top + len(photos) * (TILE + MARGIN), MARGIN + len(names) * (TILE + MARGIN), 3), BACKGROUND, np.uint8
    )
    at = MARGIN
    for name, colour in zip(("background", *CLASSES), (PAPER, *COLOURS), strict=False):
        cv2.rectangle(picture, (at, MARGIN - 2), (at + 12, MARGIN + 10), colour, cv2.FILLED)
        _write(picture, name, at + 18, MARGIN + 9)
        at += 110
    for column, (name, given) in enumerate(names.items()):
        left = MARGIN + column * (TILE + MARGIN)
        for number, line in enumerate(name.split("\n"), 2):
            _write(picture, line, left, MARGIN + number * LINE - 7)
        for row, photo in enumerate(photos):
            tile = (
                cv2.resize(photo, size, interpolation=cv2.INTER_NEAREST)
                if given is None
                else coloured(given[row], photo)
            )
            place = top + row * (TILE + MARGIN)
            picture[place : place + TILE, left : left + TILE] = tile
    return picture


def _write(picture: Image, text: str, left: int, baseline: int) -> None:
    cv2.putText(picture, text, (left, baseline), FONT, SCALE, INK, 1, cv2.LINE_AA)

"""A plot of few curves over numbered places, in the manner of the contact sheets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

import cv2
import numpy as np

from ..images.files import Image
from .contact_sheet import BACKGROUND, FONT, INK, LINE, SCALE

LEFT, RIGHT, TOP, BOTTOM = 48, 16, 2 * LINE + 8, LINE + 10
GRID, BAND = (220, 220, 220), (244, 244, 244)
# Told apart by most colour-blind people, and by lightness in print (Okabe and Ito 2008).
COLOURS = ((0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (86, 180, 233), (230, 159, 0))
_FINE = 4  # fractional bits of coordinates


def line_plot(
    curves: Mapping[str, Sequence[float]], sections: Sequence[str], *, width: int = 900, height: int = 320
) -> Image:
    """Draws curves of values in [-1, 1].

    Args:
        curves: values at each place by name; NaN where there is none.
        sections: the part of the axis that each place belongs to; neighbours of one section share a band and its name.
        width: pixels.
        height: pixels.

    Returns:
        uint8 [height, width, 3] RGB. The vertical axis begins at 0, or at -1 where a value lies below 0.
    """
    count = len(sections)
    low = -1.0 if any(value < 0 for values in curves.values() for value in values) else 0.0
    picture = np.full((height, width, 3), BACKGROUND, np.uint8)
    step = (width - LEFT - RIGHT) / count

    def x(place: float) -> float:
        return LEFT + (place + 0.5) * step

    def y(value: float) -> float:
        return TOP + (1 - value) / (1 - low) * (height - TOP - BOTTOM)

    start = 0
    for index, (name, places) in enumerate(groupby(sections)):
        end = start + len(list(places))
        left, right = round(x(start - 0.5)), round(x(end - 0.5))
        if index % 2 == 0:
            cv2.rectangle(picture, (left, TOP), (right, height - BOTTOM), BAND, cv2.FILLED)
        _centred(picture, name, (left + right) / 2, TOP - 6, right - left)
        start = end
    for value in np.linspace(low, 1, 5):
        cv2.line(picture, (LEFT, round(y(value))), (width - RIGHT, round(y(value))), GRID, 1)
        _write(picture, f"{value:g}", 8, round(y(value)) + 4)
    for place in range(0, count, max(1, -(-count // 20))):
        _centred(picture, str(place + 1), x(place), height - 8, width)
    for index, (name, values) in enumerate(curves.items()):
        colour = COLOURS[index % len(COLOURS)]
        # Where there is no value, the curve has a gap.
        for known, part in groupby(enumerate(values), lambda point: not np.isnan(point[1])):
            if known:
                points = np.array([(x(place), y(value)) for place, value in part])
                fine = np.rint(points * 2**_FINE).astype(np.int32)
                cv2.polylines(picture, [fine[:, None]], False, colour, 2, cv2.LINE_AA, _FINE)
                for one in fine.tolist():
                    cv2.circle(picture, one, 3 * 2**_FINE, colour, cv2.FILLED, cv2.LINE_AA, _FINE)
        at = LEFT + index * (width - LEFT - RIGHT) // len(curves)
        cv2.line(picture, (at, LINE - 9), (at + 20, LINE - 9), colour, 2, cv2.LINE_AA)
        _write(picture, name, at + 26, LINE - 5)
    return picture


def _write(picture: Image, text: str, left: int, baseline: int) -> None:
    cv2.putText(picture, text, (left, baseline), FONT, SCALE, INK, 1, cv2.LINE_AA)


def _centred(picture: Image, text: str, middle: float, baseline: int, room: int) -> None:
    (width, _), _ = cv2.getTextSize(text, FONT, SCALE, 1)
    if width <= room:
        _write(picture, text, round(middle - width / 2), baseline)

from __future__ import annotations

import numpy as np
from onnxplain.engine.render.line_plot import BOTTOM, COLOURS, LEFT, RIGHT, TOP, line_plot

WIDTH, HEIGHT = 464, 260
STEP = (WIDTH - LEFT - RIGHT) / 4


def marks(picture: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """Whether each pixel of the plot's area has the colour, bool [H, W]."""
    return (picture == colour).all(axis=-1)


def at(place: int, value: float, low: float = 0.0) -> tuple[int, int]:
    """Row and column of a value."""
    room = HEIGHT - TOP - BOTTOM
    return round(TOP + (1 - value) / (1 - low) * room), round(LEFT + (place + 0.5) * STEP)


def test_values_stand_where_the_axes_say() -> None:
    curves = {"one": [0.0, 1.0, 0.25, 0.5], "two": [1.0, 0.5, 0.5, 0.75]}
    picture = line_plot(curves, ["a", "a", "b", "b"], width=WIDTH, height=HEIGHT)
    assert picture.shape == (HEIGHT, WIDTH, 3)
    assert picture.dtype == np.uint8
    for colour, values in zip(COLOURS, curves.values(), strict=False):
        assert all(marks(picture, colour)[at(place, value)] for place, value in enumerate(values))
    assert not marks(picture, COLOURS[0])[at(0, 1.0)]
    assert picture[TOP + 5, LEFT + 3].tolist() == [244, 244, 244]  # the band of a
    assert picture[TOP + 5, round(LEFT + 2.2 * STEP)].tolist() == [255, 255, 255]  # the band of b


def test_negative_values_open_the_axis_down_to_minus_one() -> None:
    picture = line_plot({"one": [-1.0, 0.0, 1.0, -0.5]}, ["a"] * 4, width=WIDTH, height=HEIGHT)
    for place, value in enumerate([-1.0, 0.0, 1.0, -0.5]):
        assert marks(picture, COLOURS[0])[at(place, value, -1.0)]


def test_a_curve_has_a_gap_where_there_is_no_value() -> None:
    gap = line_plot({"one": [0.5, np.nan, 0.5, 0.5]}, ["a"] * 4, width=WIDTH, height=HEIGHT)
    whole = line_plot({"one": [0.5, 0.5, 0.5, 0.5]}, ["a"] * 4, width=WIDTH, height=HEIGHT)
    row, column = at(1, 0.5)
    assert marks(whole, COLOURS[0])[row, column]
    assert not marks(gap, COLOURS[0])[row, column - 30 : column + 30].any()

"""Measures on inputs so small that the answers are worked out by hand."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
from onnxplain.engine.evaluation.measures.perturbation import (
    REMOVED,
    area,
    average_drop,
    blurred,
    curve,
    deletion,
    increase,
    insertion,
    masked,
    road,
)

HEATMAP = np.array([[0.5, 1.0], [0.25, 0.0]])
IMAGE = np.array([[[4.0, 8.0], [2.0, 2.0]]])  # one channel


def total(inputs: Iterable[np.ndarray], count: int) -> np.ndarray:
    """The sum of all pixels over 16, so that the image has the probability 1."""
    found = np.array([one.sum() for one in inputs]) / 16
    assert len(found) == count
    return found


def test_pixels_are_deleted_from_the_hottest_on() -> None:
    # 16, then without 8, 4, 2 and 2.
    assert curve(IMAGE, np.zeros_like(IMAGE), HEATMAP, 0, total, 4).tolist() == [1, 0.5, 0.25, 0.125, 0]
    assert deletion(IMAGE, HEATMAP, 0, total, 4) == (0.5 + 0.5 + 0.25 + 0.125 + 0) / 4
    assert deletion(IMAGE, HEATMAP, 0, total, 2) == (0.5 + 0.25 + 0) / 2
    # Of equal pixels the first goes first; a cold map is the worst.
    assert deletion(IMAGE, np.zeros((2, 2)), 0, total, 4) == (0.5 + 0.75 + 0.25 + 0.125 + 0) / 4


def test_pixels_are_inserted_into_a_blurred_copy() -> None:
    begin = blurred(IMAGE, 0)
    assert begin.std() < 0.1 * IMAGE.std()
    sums = [begin.sum(), begin.sum() + 8 - begin[0, 0, 1], begin.sum() + 12 - begin[0, 0].sum(), 0, 16]
    sums[3] = sums[2] + 2 - begin[0, 1, 0]
    expected = ((np.array(sums[1:]) + sums[:-1]) / 2 / 4 / 16).sum()
    assert insertion(IMAGE, HEATMAP, 0, total, 4) == pytest.approx(expected, rel=1e-12)


def test_channels_last_are_the_same() -> None:
    image = np.random.default_rng(0).random((3, 6, 5))
    heatmap = np.random.default_rng(1).random((6, 5))
    last = np.moveaxis(image, 0, -1)
    for measure in (deletion, insertion):
        assert measure(last, heatmap, 2, total) == pytest.approx(measure(image, heatmap, 0, total), rel=1e-12)
    np.testing.assert_allclose(np.moveaxis(blurred(last, 2), -1, 0), blurred(image, 0), rtol=1e-12)


def test_the_blur_is_the_kernel_of_rise() -> None:
    image = np.zeros((1, 41, 41))
    image[0, 20, 20] = 1
    bell = np.exp(-(np.arange(-5, 6) ** 2) / 50)
    kernel = np.outer(bell, bell) / bell.sum() ** 2
    np.testing.assert_allclose(blurred(image, 0)[0, 15:26, 15:26], kernel, rtol=1e-6)
    assert blurred(image, 0)[0, 14].max() == 0


def test_the_area_is_that_of_trapezoids() -> None:
    assert area(np.array([1.0, 0.5, 0.0])) == 0.5
    assert area(np.array([1.0, 1.0])) == 1
    assert area(np.array([0.0, 1.0, 0.0, 0.0])) == 1 / 3


def test_road_removes_the_hottest_first_and_the_coldest_first() -> None:
    image, heatmap = np.zeros((1, 10, 10)), np.zeros((10, 10))
    image[0, :, 5:], heatmap[:, 5:] = 1, 1
    heatmap += np.linspace(0, 0.1, 10)[:, None]  # from the top, the lowest rows are the hottest

    def right(inputs: Iterable[np.ndarray], count: int) -> np.ndarray:
        return np.array([one[0, :, 5:].mean() for one in inputs])

    hottest, coldest = road(image, heatmap, 0, right)
    assert len(hottest) == len(coldest) == len(REMOVED)
    # Half of the pixels removed: with all of the bright half, what is left is dark; without any of it, it stays.
    assert hottest[REMOVED.index(0.5)] == pytest.approx(0, abs=0.01)
    assert coldest[REMOVED.index(0.5)] == 1
    assert (np.diff(hottest) <= 0.01).all()


def test_the_masked_image_fades_to_black() -> None:
    # A pixel of 0..1 becomes (pixel - 0.5) / 0.25: black is -2.
    pixels = np.array([[[0.5, 1.0], [0.0, 0.25]]])
    image, black = (pixels - 0.5) / 0.25, np.full((1, 2, 2), -2.0)
    wanted = (pixels * [[0.5, 1], [0.25, 0]] - 0.5) / 0.25
    assert masked(image, black, np.array([[0.5, 1.0], [0.25, -3.0]]), 0).tolist() == wanted.tolist()


def test_drops_and_increases_by_hand() -> None:
    pairs = np.array([[0.5, 0.25], [0.5, 0.75], [0.8, 0.8], [0.4, 0.0]])
    assert average_drop(pairs) == (0.5 + 0 + 0 + 1) / 4
    assert increase(pairs) == 1 / 4
    assert average_drop(np.array([[0.0, 0.0]])) == 0

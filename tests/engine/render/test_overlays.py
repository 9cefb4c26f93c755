"""Heatmaps in colour: the colours themselves, the blend by hand, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnxplain.engine.render.overlays import colourise, overlay
from onnxplain.graph_rewrites.errors import UsageError

INFERNO_ENDS = ((0, 0, 4), (252, 255, 164))
BLUE, RED = (33, 102, 172), (178, 24, 43)
IMAGE = np.random.default_rng(0).integers(0, 256, (3, 4, 3), np.uint8)


def test_inferno_runs_from_black_to_pale_yellow_in_rgb() -> None:
    ends = colourise(np.array([[0.0, 1.0]], np.float32))
    assert ends.dtype == np.uint8
    np.testing.assert_allclose(ends[0], INFERNO_ENDS, atol=2)


def test_more_heat_is_always_lighter() -> None:
    colours = colourise(np.linspace(0, 1, 33)[None])[0].astype(float)
    assert (np.diff(colours @ [0.2126, 0.7152, 0.0722]) > 0).all()


def test_signed_maps_run_from_blue_through_white_to_red() -> None:
    colours = colourise(np.array([[-1.0, -0.5, 0.0, 0.5, 1.0]]))
    expected = [BLUE, (144, 178.5, 213.5), (255, 255, 255), (216.5, 139.5, 149), RED]
    np.testing.assert_allclose(colours[0], expected, atol=0.51)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_no_heat_leaves_the_image_as_it_is(alpha: float) -> None:
    np.testing.assert_array_equal(overlay(IMAGE, np.zeros((3, 4), np.float32), alpha), IMAGE)
    signed = np.zeros((3, 4), np.float32)
    signed[0, 0] = -1
    np.testing.assert_array_equal(overlay(IMAGE, signed, alpha)[1:], IMAGE[1:])


def test_full_heat_at_full_opacity_is_the_colour_alone() -> None:
    heat = np.ones((3, 4), np.float32)
    np.testing.assert_array_equal(overlay(IMAGE, heat, 1.0), colourise(heat))
    heat[0] = -1
    np.testing.assert_array_equal(overlay(IMAGE, heat, 1.0), colourise(heat))


def test_the_blend_by_hand() -> None:
    heat = np.full((3, 4), 0.5, np.float32)
    opacity = 0.5 * 0.5 * (2 - 0.5)
    expected = IMAGE * (1 - opacity) + colourise(heat) * opacity
    np.testing.assert_allclose(overlay(IMAGE, heat), expected, atol=0.51)


def test_weak_signed_heat_puts_no_white_on_a_dark_image() -> None:
    heat = np.array([[-0.25, 0.25]])
    opacity = 0.5 * 0.25 * 1.75
    result = overlay(np.zeros((1, 2, 3), np.uint8), heat)
    np.testing.assert_allclose(result[0], np.array([BLUE, RED]) * opacity, atol=0.51)


def test_inputs_are_not_changed() -> None:
    image, heat = IMAGE.copy(), np.linspace(-1, 1, 12).reshape(3, 4)
    before = heat.copy()
    overlay(image, heat)
    np.testing.assert_array_equal(image, IMAGE)
    np.testing.assert_array_equal(heat, before)


def test_rounding_past_one_is_forgiven() -> None:
    np.testing.assert_array_equal(colourise(np.full((1, 1), 1.0005)), colourise(np.ones((1, 1))))
    np.testing.assert_array_equal(colourise(np.full((1, 1), -1.0005)), [[BLUE]])


@pytest.mark.parametrize(
    ("heat", "message"),
    [
        (np.full((3, 4), np.nan), "NaN"),
        (np.where(np.eye(3, 4) > 0, np.nan, 1.0), "NaN"),
        (np.full((3, 4), np.inf), r"\[-1, 1\]"),
        (np.full((3, 4), 1.01), "divide it by its largest magnitude"),
        (np.full((3, 4), -2.0), r"\[-1, 1\]"),
        (np.zeros((3, 4), np.uint8), r"uint8 \[3, 4\]"),
        (np.zeros((1, 3, 4)), r"float64 \[1, 3, 4\]"),
        (np.zeros((0, 4)), r"float64 \[0, 4\]"),
        ([[0.0]], "list"),
    ],
)
def test_other_heatmaps_are_refused(heat: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        colourise(heat)
    with pytest.raises(UsageError, match=message):
        overlay(IMAGE, heat)


def test_overlay_refuses_what_does_not_fit() -> None:
    with pytest.raises(UsageError, match=r"\[4, 3\] over an image of \[3, 4\]"):
        overlay(IMAGE, np.zeros((4, 3)))
    for alpha in (-0.1, 1.1, float("nan")):
        with pytest.raises(UsageError, match="alpha"):
            overlay(IMAGE, np.zeros((3, 4)), alpha)
    fractions: Any = IMAGE / 255
    with pytest.raises(UsageError, match=r"float64 \[3, 4, 3\]"):
        overlay(fractions, np.zeros((3, 4)))

"""Which explanations are shown in the colours of the input, as their papers show them."""

from __future__ import annotations

import numpy as np
import pytest
from onnxplain import Explainer

from .evaluation.colours import PREPROCESS, network

# The left half is red, the right one black: red speaks for the class `red`, green and blue against it.
IMAGE = np.zeros((8, 12, 3), np.uint8)
IMAGE[:, :6, 0] = 255
RED, GREY = [255, 0, 0], [128, 128, 128]


def shown(method: str) -> np.ndarray:
    (explanation,) = Explainer(network(), method=method, preprocess=PREPROCESS)(IMAGE, target=0)
    assert explanation.colours is not None
    signs = np.sign(explanation.colours[:, :6])
    np.testing.assert_array_equal(signs, np.broadcast_to([1, -1, -1], signs.shape))
    return explanation.picture()


def test_a_deconvnet_is_in_colour_wherever_the_input_lay() -> None:
    np.testing.assert_array_equal(shown("deconvnet"), np.full((8, 12, 3), RED))


@pytest.mark.parametrize("method", ["guided-backprop", "guided-grad-cam"])
def test_guided_methods_are_in_colour_where_the_class_is_seen(method: str) -> None:
    picture = shown(method)
    np.testing.assert_array_equal(picture[:, :6], np.full((8, 6, 3), RED))
    np.testing.assert_array_equal(picture[:, 6:], np.full((8, 6, 3), GREY))


@pytest.mark.parametrize("method", ["grad-cam", "gradient", "input-x-gradient", "eigen-cam"])
def test_other_methods_show_one_map_of_all_colours(method: str) -> None:
    (explanation,) = Explainer(network(), method=method, preprocess=PREPROCESS)(IMAGE, target=0)
    assert explanation.colours is None

"""RISE: what its estimate tends to, and its seed."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnxplain import Explainer, UsageError

from ...graph_rewrites.networks import Net, images, small_cnn


def one_pixel(value: float) -> onnx.ModelProto:
    """y = value * (pixel at (1, 2)) of a 4 x 4 image."""
    weights = np.zeros((1, 1, 4, 4))
    weights[0, 0, 1, 2] = value
    net = Net()
    x = net.input("image", ["N", 1, 4, 4])
    weighed = net.add("Mul", x, net.const(weights))
    net.output(net.add("ReduceSum", weighed, net.const([1, 2, 3], np.int64), keepdims=0, out="y"), ["N"])
    return net.model()


def test_the_pixel_that_counts_stands_out() -> None:
    """Of f = m(1, 2) and masks of 4 x 4 cells of one pixel, E[f m] / p is p, and 1 at the pixel itself."""
    options = {"masks": 20000, "cells": 4, "keep": 0.5, "of": "score"}
    got = Explainer(one_pixel(1.0), method="rise", options=options).run({"image": np.ones((1, 1, 4, 4), np.float32)}, 0)
    expected = np.full((4, 4), 0.5)
    expected[1, 2] = 1
    np.testing.assert_allclose(got["cam"][0, 0], expected, atol=0.03)
    assert got["heatmap"][0, 0].min() == 0
    assert got["heatmap"][0, 0, 1, 2] == 1


def test_the_probability_is_what_masks_are_weighed_by() -> None:
    """f = sigmoid(8 m(0, 0) - 4) is 0.982 for an open pixel and 0.018 for a closed one.

    E[f m] / p is 0.982 at that pixel and the mean of both, 1/2, elsewhere.
    """
    net = Net()
    x = net.input("image", ["N", 1, 2, 2])
    weighed = net.add("Mul", x, net.const([[[[8.0, 0], [0, 0]]]]))
    total = net.add("ReduceSum", weighed, net.const([2, 3], np.int64), keepdims=0)
    net.output(net.add("Add", total, net.const(-4.0), out="y"), ["N", 1])
    options = {"masks": 8000, "cells": 2, "keep": 0.5}
    got = Explainer(net.model(), method="rise", options=options).run({"image": np.ones((1, 1, 2, 2), np.float32)}, 0)
    np.testing.assert_allclose(got["cam"], [[[[1 / (1 + np.exp(-4)), 0.5], [0.5, 0.5]]]], atol=0.03)


def test_a_score_that_is_an_expression_weighs_masks_itself() -> None:
    """As the test of a single pixel, of the same score written as an expression of [N, 4, 4]."""
    net = Net()
    net.output(net.add("Squeeze", net.input("image", ["N", 1, 4, 4]), net.const([1], np.int64), out="y"), ["N", 4, 4])
    explain = Explainer(net.model(), method="rise", score="y[:, 1]", options={"masks": 4000, "cells": 4, "keep": 0.5})
    expected = np.full((4, 4), 0.5)
    expected[1, 2] = 1
    got = explain.run({"image": np.ones((1, 1, 4, 4), np.float32)}, 2)
    np.testing.assert_allclose(got["cam"][0, 0], expected, atol=0.06)


def test_the_seed_makes_it_repeatable() -> None:
    model = small_cnn()
    feeds = images(model)
    first, again, other = (
        Explainer(model, method="rise", options={"masks": 50, "seed": seed}).run(feeds, [0, 1])["cam"]
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3


def test_senseless_options_are_refused() -> None:
    for options in ({"masks": 0}, {"cells": 0}, {"keep": 1.0}):
        with pytest.raises(UsageError, match="rise takes"):
            Explainer(small_cnn(), method="rise", options=options).run(images(small_cnn()), 0)

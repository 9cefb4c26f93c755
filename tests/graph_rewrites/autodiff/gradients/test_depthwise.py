"""Which convolution computes a gradient of windows further apart: of a group a channel a plain one, else a transposed.

Both compute the same; the measured times are beside the choice, in `gradients/windows/convolution.py`.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from onnxplain.graph_rewrites.vjp import append_vjp

from .harness import Case, assert_gradient, gradients, runtime_gradients, signed_cotangent

rng = np.random.default_rng(0)


def conv(channels: int, filters: int, group: int, stride: int = 2, axes: int = 2) -> Case:
    """Filters of 3 x 3 over images of 7 x 7, or along one axis, whose padding the gradient of either kind can have."""
    inputs = [rng.normal(size=(2, channels, *[7] * axes)), rng.normal(size=(filters, channels // group, *[3] * axes))]
    attributes = {"group": group, "strides": [stride] * axes, "pads": [1] * (2 * axes)}
    return Case("Conv", inputs, attributes, constant=[1], wrt=[0])


# Of the gradient alone: the model's own Conv is left out. Zeros between values take a Resize.
PLAIN, TRANSPOSED = {"Conv": 1, "Resize": 1}, {"ConvTranspose": 1}
KINDS = {
    "a group a channel": (conv(4, 4, 4), PLAIN),
    "two filters a group of one channel": (conv(4, 8, 4), TRANSPOSED),
    "a filter a group of two channels": (conv(8, 4, 4), TRANSPOSED),
    "a group a channel, along one axis": (conv(4, 4, 4, axes=1), TRANSPOSED),
    "two groups of two": (conv(4, 4, 2), TRANSPOSED),
    "no groups": (conv(4, 4, 1), TRANSPOSED),
    "one channel": (conv(1, 1, 1), TRANSPOSED),
    "two filters a group of one channel, windows one apart": (conv(4, 8, 4, stride=1), {"Conv": 1}),
}


@pytest.mark.parametrize("name", KINDS)
def test_the_gradient_is_right_and_by_the_faster_kind(name: str) -> None:
    case, expected = KINDS[name]
    counts = Counter(node.op_type for node in append_vjp(case.model(np.float32), "y0", "x0").graph.node)
    counts["Conv"] -= 1
    assert {op: counts[op] for op in ("Conv", "ConvTranspose", "Resize") if counts[op]} == expected
    cotangent = signed_cotangent(case)
    exact = gradients(case, cotangent)
    assert_gradient(case, exact, cotangent)
    scale = np.abs(exact[0]).max()
    np.testing.assert_allclose(runtime_gradients(case, cotangent)[0] / scale, exact[0] / scale, atol=2e-5)

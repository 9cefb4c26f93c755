from __future__ import annotations

import onnx
import pytest
from onnxplain import layers
from onnxplain.graph_rewrites.errors import OnnxplainError
from onnxplain.graph_rewrites.targets.blocks import residual_blocks

from ..networks import Net, residual_cnn, small_cnn


def normalised(net: Net, x: str) -> str:
    ones, zeros = (net.const([value] * 4) for value in (1, 0))
    return net.add("BatchNormalization", x, ones, zeros, zeros, ones)


def pre_activated() -> onnx.ModelProto:
    """Two blocks with plain shortcuts, one with a projection of what is normalised already, and a convolution."""
    net = Net(seed=2)
    x = net.conv(net.input("image", [1, 3, 8, 8]), 3, 4)
    for index in range(3):
        ready = net.add("Relu", normalised(net, x), out=f"ready{index}")
        branch = net.conv(net.add("Relu", net.conv(ready, 4, 4)), 4, 4)
        shortcut = x if index < 2 else net.conv(ready, 4, 4)
        x = net.add("Add", branch, shortcut, out=f"sum{index}")
    x = net.add("Relu", normalised(net, x), out="activated")
    net.output(net.head(net.add("Relu", net.conv(x, 4, 4), out="last"), 4, 5), [1, 5])
    return net.model()


def test_a_block_ends_with_its_sum_or_with_what_follows_it_alone() -> None:
    model = pre_activated()
    assert [layer.name for layer in residual_blocks(model)] == ["sum0", "ready2", "activated", "last"]
    assert len(layers(model)) == 10  # with the stem and the activations inside
    assert [layer.name for layer in residual_blocks(residual_cnn())] == ["block"]


def test_a_model_without_blocks_is_refused() -> None:
    with pytest.raises(OnnxplainError, match=r"none of its \d layers ends a residual block; name layers instead"):
        residual_blocks(small_cnn())

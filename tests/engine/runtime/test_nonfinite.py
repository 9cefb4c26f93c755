"""Scores and maps that are no numbers are errors, which name the node where the first one arose."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnxplain.engine.explainer import Explainer
from onnxplain.graph_rewrites.errors import OnnxplainError

from ...graph_rewrites.messages import assert_one_line
from ...graph_rewrites.networks import Net, f32


def model(tail: Any, batch: int | str = "N") -> onnx.ModelProto:
    net = Net()
    x = net.add("Relu", net.conv(net.input("image", [batch, 3, 8, 8]), 3, 4), out="layer")
    net.output(net.add("Identity", tail(net, net.head(x, 4, 5, "scores")), out="out"), [batch, 5])
    return net.model()


def log_of_negative(net: Net, x: str) -> str:
    return net.add("Tanh", net.add("Log", net.add("Sub", net.add("Abs", x), net.const(1e3)), name="the log"))


def overflow(net: Net, x: str) -> str:
    large = net.add("Add", net.add("Abs", x), net.const(100))
    return net.add("Mul", net.add("Exp", large, name="the exp"), net.const(0))


def weight(net: Net, x: str) -> str:
    return net.add("Add", x, net.const([np.nan] * 5, name="broken"))


TAILS = {log_of_negative: "Log (node 'the log') makes the first", overflow: "Exp (node 'the exp')", weight: "'broken'"}


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("batch", ["N", 2])
@pytest.mark.parametrize("method", ["grad-cam", "gradient", "score-cam"])
def test_the_node_that_made_the_first_is_named(tail: Any, batch: int | str, method: str) -> None:
    explainer = Explainer(model(tail, batch), method=method, preprocess="raw,size=8x8")
    pictures = np.random.default_rng(1).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    with pytest.raises(OnnxplainError) as error:
        explainer(pictures, 3)
    assert_one_line(error, "target 3", TAILS[tail])
    feeds = {"image": f32(np.random.default_rng(1).normal(size=(2, 3, 8, 8)))}
    with pytest.raises(OnnxplainError) as error:
        explainer.run(feeds, [1, 3])
    assert_one_line(error, "sample 0, target 1", TAILS[tail])


def test_a_mask_of_minus_infinity_is_no_fault() -> None:
    """A softmax takes it; what is named is what went wrong behind it."""

    def tail(net: Net, x: str) -> str:
        shares = net.add("Softmax", net.add("Add", x, net.const([0, 0, 0, 0, -np.inf])), axis=1)
        return net.add("Log", shares, name="the log")

    explainer = Explainer(model(tail))
    feeds = {"image": f32(np.random.default_rng(1).normal(size=(1, 3, 8, 8)))}
    assert np.isfinite(explainer.run(feeds, 0)["score"]).all()
    with pytest.raises(OnnxplainError) as error:
        explainer.run(feeds, 4)
    assert_one_line(error, "score of sample 0, target 4, is -inf", "Log (node 'the log')")

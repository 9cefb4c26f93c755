"""Tokens beside those of the image: any number where the graph tells which they are."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnxplain.graph_rewrites.rewrite import layers, rewrite

from ..networks import Array, explain, images, run
from ..transformers import TokenNet


def norm_of_tokens(extra: int) -> onnx.ModelProto:
    """Tokens `norm`, of which the last 16 are patches of an 8 x 8 image."""
    net = TokenNet()
    x = net.with_extra(net.patches(net.input("image", ["N", 3, 8, 8])), extra)
    x = net.add("LpNormalization", x, axis=-1)
    return net.classify(net.norm(x, "norm"), "mean", "N")


def tokens_of(model: onnx.ModelProto, feeds: dict[str, Array]) -> Array:
    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    shown.graph.output.append(onnx.ValueInfoProto(name="norm"))
    return run(shown, feeds, check=False)["norm"]


@pytest.mark.parametrize("extra", [5, 16, 17])
def test_the_tokens_after_others_are_maps(extra: int) -> None:
    model = norm_of_tokens(extra)
    feeds = images(model)
    result = explain(rewrite(model, layers="norm", outputs=("cam", "activation")), feeds)
    maps = tokens_of(model, feeds)[:, extra:].reshape(2, 4, 4, -1).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(result["activation"], maps, rtol=1e-5, atol=1e-6)
    assert [layer.name for layer in layers(model) if layer.is_default] == ["norm"]


@pytest.mark.parametrize(("read", "whole"), [(1, False), (12, False), (16, False), (17, True)])
def test_a_score_of_up_to_16_first_tokens_does_not_see_the_last_layers_whole(read: int, whole: bool) -> None:
    """As a class token is read alone; a layer behind the last attention is none then."""
    net = TokenNet()
    x = net.with_extra(net.patches(net.input("image", ["N", 3, 8, 8])), 12)
    x = net.norm(net.block(x, "block"), "final")
    bounds = [net.const([bound], np.int64) for bound in (0, read, 1)]
    model = net.classify(net.add("Slice", x, *bounds), "mean", "N")
    assert ("final" in [layer.name for layer in layers(model)]) == whole

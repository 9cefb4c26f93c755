"""Axes through what exporters write: shapes computed from shapes, shifted windows, shuffled channels, open batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnxplain.graph_rewrites.axes.labels import only_source
from onnxplain.graph_rewrites.axes.trace import trace_axes
from onnxplain.graph_rewrites.errors import OnnxplainError
from onnxplain.graph_rewrites.model.model import read
from onnxplain.graph_rewrites.rewrite import layers, rewrite, survey

from ..messages import assert_one_line
from ..networks import Net, explain, f32
from ..transformers import TokenNet

SIDE, WIDTH, WINDOW, SHIFT = 8, 8, 4, 2


def ints(net: Net, *values: Any) -> list[str]:
    return [net.const(value, np.int64) for value in values]


def size(net: Net, shape: str, axis: int) -> str:
    return net.add("Gather", shape, *ints(net, [axis]), axis=0)


def rolled(net: Net, x: str, by: int) -> str:
    """torch.roll along rows and columns."""
    for axis in (1, 2):
        cut = by if by > 0 else SIDE + by
        parts = [
            net.add("Slice", x, *ints(net, [cut], [2**62], [axis])),
            net.add("Slice", x, *ints(net, [0], [cut], [axis])),
        ]
        x = net.add("Concat", *parts, axis=axis)
    return x


def shifted_windows(batch: int | str) -> onnx.ModelProto:
    """Windows of 4 x 4 of a map that is rolled by 2, all shapes computed at run time, and back."""
    net = TokenNet()
    x = net.conv(net.input("image", [batch, 3, SIDE, SIDE]), 3, WIDTH)
    first = net.add("Transpose", x, perm=[0, 2, 3, 1], out="first")
    x = rolled(net, first, SHIFT)
    shape = net.add("Shape", x)
    rows, columns = (net.add("Div", size(net, shape, axis), *ints(net, [WINDOW])) for axis in (1, 2))
    side, width = ints(net, [WINDOW], [WIDTH])
    split = net.add("Concat", size(net, shape, 0), rows, side, columns, side, width, axis=0)
    x = net.add("Transpose", net.add("Reshape", x, split), perm=[0, 1, 3, 2, 4, 5])
    x = net.add("Reshape", x, *ints(net, [-1, WINDOW * WINDOW, WIDTH]))
    x = net.attention(net.norm(x, "windows"))
    count = size(net, net.add("Shape", x), 0)
    images = net.add("Div", count, net.add("Mul", rows, columns))
    back = net.add("Concat", images, rows, columns, side, side, width, axis=0)
    x = net.add("Transpose", net.add("Reshape", x, back), perm=[0, 1, 3, 2, 4, 5])
    whole = net.add("Concat", images, size(net, shape, 1), size(net, shape, 2), width, axis=0)
    x = net.add("Add", first, rolled(net, net.add("Reshape", x, whole), -SHIFT), out="sum")
    x = net.norm(x, "last")
    pooled = net.add("ReduceMean", x, axes=[1, 2], keepdims=0)
    net.output(net.add("MatMul", pooled, net.random(WIDTH, 5), out="logits"), [batch, 5])
    return net.model()


def shuffled_channels(batch: int | str) -> onnx.ModelProto:
    net = Net(seed=2)
    x = net.add("Relu", net.conv(net.input("image", [batch, 3, SIDE, SIDE]), 3, WIDTH), out="first")
    shape = net.add("Shape", x)
    groups, each = ints(net, [2], [WIDTH // 2])
    split = net.add("Concat", size(net, shape, 0), groups, each, size(net, shape, 2), size(net, shape, 3), axis=0)
    x = net.add("Transpose", net.add("Reshape", x, split), perm=[0, 2, 1, 3, 4])
    joined = net.add(
        "Concat", size(net, shape, 0), *ints(net, [WIDTH]), size(net, shape, 2), size(net, shape, 3), axis=0
    )
    x = net.add("Relu", net.conv(net.add("Reshape", x, joined), WIDTH, WIDTH), out="last")
    net.output(net.head(x, WIDTH, 5), [batch, 5])
    return net.model()


def torch_attention(batch: int | str) -> onnx.ModelProto:
    """As nn.MultiheadAttention: tokens with a class token, folded with the batch into one axis and back."""
    net = TokenNet()
    x = net.with_extra(net.patches(net.input("image", [batch, 3, 8, 8])), 1)
    x = net.add("Transpose", x, perm=[1, 0, 2])  # [tokens, batch, width]
    shape = net.add("Shape", x)
    flat = net.add("Reshape", x, *ints(net, [-1, WIDTH]))
    mixed = net.add("Reshape", net.linear(flat, WIDTH), shape)
    x = net.add("Transpose", net.add("Add", x, mixed), perm=[1, 0, 2])
    return net.classify(net.norm(x, "last"), "mean", batch)


IDIOMS = {"shifted windows": shifted_windows, "shuffled channels": shuffled_channels, "attention": torch_attention}


@pytest.mark.parametrize("name", IDIOMS)
@pytest.mark.parametrize("batch", ["N", 2])
def test_the_last_layer_is_known_behind_it(name: str, batch: int | str) -> None:
    model = IDIOMS[name](batch)
    assert [layer.name for layer in layers(model) if layer.is_default] == ["last"]
    work = read(model)
    (rows, *_) = trace_axes(work).of(work.graph.tensors()["last"])
    source = only_source(rows)
    assert source is not None
    assert source.image == ("image", 0)
    explained = rewrite(model)
    feeds = {"image": f32(np.random.default_rng(3).normal(size=(2, 3, SIDE, SIDE)))}
    together = explain(explained, feeds, [[3]] * 2)
    if batch == "N":
        alone = [explain(explained, {"image": feeds["image"][row : row + 1]}, [[3]])["cam"] for row in (0, 1)]
        np.testing.assert_allclose(together["cam"], np.concatenate(alone), rtol=1e-4, atol=1e-6)


def test_the_map_behind_shifted_windows_lies_where_the_pixels_are() -> None:
    """With the attention's result taken away, what is left at `sum` is `first`."""
    model = shifted_windows(1)
    work = read(model)
    trace, tensors = trace_axes(work), work.graph.tensors()
    assert trace.of(tensors["sum"])[1:3] == trace.of(tensors["first"])[1:3]
    assert "windows" not in [layer.name for layer in layers(model)]


def test_no_early_layer_takes_the_place_of_later_ones_that_are_lost() -> None:
    net = TokenNet()
    x = net.norm(net.patches(net.input("image", ["N", 3, 8, 8])), "early")
    x = net.add("Add", x, net.linear(x), out="sum")
    order = net.const(np.random.default_rng(0).permutation(16).reshape(1, 16, 1) * np.ones((1, 1, 8)), np.int64)
    x = net.add("GatherElements", x, net.add("Expand", order, net.add("Shape", x)), axis=1)
    model = net.classify(net.norm(x, "late"), "mean", "N")
    every = {layer.name: layer.reason for layer in survey(model)}
    assert every["early"] is None
    assert every["late"] is not None
    assert not any(layer.is_default for layer in survey(model))
    with pytest.raises(OnnxplainError) as error:
        rewrite(model)
    assert_one_line(error, "'late'", "placement 'resize'")
    found = rewrite(model, placement="resize", outputs=["cam", "activation"])
    assert explain(found, {"image": f32(np.ones((1, 3, 8, 8)))})["cam"].shape == (1, 1, 4, 4)

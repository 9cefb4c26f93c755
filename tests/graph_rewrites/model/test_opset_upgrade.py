"""Operators in the forms of old operator sets: raised to opset 17, they compute what they did."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from onnxplain.graph_rewrites.errors import OnnxplainError
from onnxplain.graph_rewrites.vjp import append_vjp

from ..networks import Array, Net, run

Build = Callable[[Net, str], str]
X = (2, 3, 8, 8)


def node(op: str, *parameters: Array, **attrs: Any) -> Build:
    """One node on `x` and constants."""
    return lambda net, x: net.add(op, x, *[net.const(p, p.dtype.type) for p in parameters], **attrs)


def values(*shape: int) -> Array:
    return np.random.default_rng(1).uniform(0.5, 1.5, size=shape).astype(np.float32)


def split(net: Net, x: str) -> str:
    net.nodes.append(onnx.helper.make_node("Split", [x], ["a", "b"], axis=1, split=[1, 2]))
    return net.add("Concat", "b", "a", axis=1)


def squeeze(net: Net, x: str) -> str:
    pooled = net.add("Squeeze", net.add("ReduceMean", x, axes=[2, 3], keepdims=1), axes=[2, 3])
    return net.add("Unsqueeze", net.add("ReduceSum", pooled, axes=[1], keepdims=1), axes=[0])


def recurrent(op: str, gates: int) -> Build:
    def build(net: Net, x: str) -> str:
        steps = net.add("Reshape", x, net.const([6, 2, -1], np.int64))
        return net.add(op, steps, net.random(1, gates * 4, 32), net.random(1, gates * 4, 4), hidden_size=4)

    return build


def resize(op: str, scale: float, mode: str) -> Build:
    scales = np.array([1, 1, scale, scale], np.float32)
    return node(op, scales, mode=mode)


ALL = range(7, 17)
CASES: list[tuple[str, Build, Any]] = [
    ("MaxPool", node("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]), ALL),
    ("AveragePool", node("AveragePool", kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4, count_include_pad=1), ALL),
    ("AveragePool same", node("AveragePool", kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER"), ALL),
    ("LpPool", node("LpPool", kernel_shape=[3, 3], p=2), ALL),
    ("GlobalLpPool", node("GlobalLpPool"), ALL),
    ("BatchNormalization", node("BatchNormalization", *[values(3) for _ in range(4)], epsilon=1e-3), ALL),
    *[(f"{op} {axis}", node(op, axis=axis), ALL) for op in ("Softmax", "LogSoftmax", "Hardmax") for axis in (1, 2)],
    *[(op, node(op), ALL) for op in ("Softmax", "LogSoftmax", "Hardmax", "Dropout")],
    ("Dropout with ratio", node("Dropout", ratio=0.3), range(7, 12)),
    *[
        (f"Upsample {mode} {scale}", node("Upsample", mode=mode, scales=[1.0, 1.0, scale, scale]), range(7, 9))
        for mode, scale in (("nearest", 2.0), ("nearest", 1.5), ("linear", 2.0), ("linear", 1.5))
    ],
    *[(f"Upsample {m} {s}", resize("Upsample", s, m), [9]) for m, s in (("nearest", 1.5), ("linear", 2.0))],
    *[
        (f"Resize {mode} {scale}", resize("Resize", scale, mode), [10])
        for mode, scale in (("nearest", 2.0), ("nearest", 1.5), ("linear", 2.0), ("linear", 0.75))
    ],
    ("Slice", node("Slice", starts=[1, 0], ends=[3, -1], axes=[1, 2]), range(7, 10)),
    ("Pad", node("Pad", pads=[0, 0, 1, 1, 0, 0, 2, 1], mode="reflect"), range(7, 11)),
    ("Clip", node("Clip", min=0.0), range(7, 11)),
    ("Split", split, range(7, 13)),
    ("Squeeze", squeeze, range(7, 13)),
    ("TopK", node("TopK", axis=1, k=2), range(7, 10)),
    ("Scatter", node("Scatter", np.zeros((2, 1, 8, 8), np.int64), values(2, 1, 8, 8), axis=1), range(9, 11)),
    ("PRelu", node("PRelu", values(3, 1, 1)), ALL),
    ("LRN", node("LRN", size=3), ALL),
    ("InstanceNormalization", node("InstanceNormalization", values(3), values(3)), ALL),
    ("ConvTranspose", node("ConvTranspose", values(3, 2, 3, 3), strides=[2, 2], output_shape=[16, 16]), ALL),
    ("RNN", recurrent("RNN", 1), ALL),
    ("GRU", recurrent("GRU", 3), ALL),
    ("LSTM", recurrent("LSTM", 4), ALL),
]


@pytest.mark.parametrize(
    ("build", "opset"),
    [pytest.param(build, opset, id=f"{name}@{opset}") for name, build, opsets in CASES for opset in opsets],
)
def test_a_raised_operator_computes_what_it_did(build: Build, opset: int) -> None:
    net = Net(opset)
    y = build(net, net.input("x", list(X)))
    net.nodes[-1].output[0] = "y"
    if net.nodes[-1].op_type == "TopK":
        net.nodes[-1].output.append("indices")
    assert y.startswith("t")
    net.output("y")
    net.outputs[0].type.tensor_type.elem_type = TensorProto.FLOAT
    model = net.model(ir_version=4)
    x = np.random.default_rng(0).normal(size=X).astype(np.float32)
    expected = run(model, {"x": x}, check=False)["y"]
    got = run(append_vjp(model, "y", "x"), {"x": x, "y_cotangent": np.ones_like(expected)}, check=False)
    np.testing.assert_allclose(got["y"], expected, rtol=1e-5, atol=1e-6)
    assert got["x_grad"].shape == X


def test_a_file_of_blocked_channels_is_refused() -> None:
    net = Net()
    x = net.add("ReorderInput", net.input("x", [1, 8, 4, 4]), domain="com.microsoft.nchwc")
    net.output(net.add("Relu", x, out="y"), [1, 8, 4, 4])
    with pytest.raises(OnnxplainError, match="ORT_ENABLE_EXTENDED"):
        append_vjp(net.model(domains=["com.microsoft.nchwc"]), "y", "x")

"""Pooling in ceil mode that drops its last window, for which every runtime infers a window too many."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper
from onnxplain.graph_rewrites.model.model import read
from onnxplain.graph_rewrites.rewrite import rewrite
from onnxplain.graph_rewrites.vjp import append_vjp

# Per axis: kernel, stride, pad at each end, size, dilation.
DROPS = [(2, 3, 0, 9, 1), (2, 2, 1, 7, 1), (3, 4, 1, 6, 1), (1, 3, 0, 5, 1)]
KEEPS = (3, 2, 0, 8, 1)  # the last window starts in the input and ends behind it


def pooled(op: str, axes: Sequence[tuple[int, ...]], opset: int, tail: str, **attrs: int) -> onnx.ModelProto:
    kernel, strides, pads, sizes, dilations = ([int(v) for v in values] for values in zip(*axes, strict=True))
    attributes = {"kernel_shape": kernel, "strides": strides, "pads": pads * 2, "ceil_mode": 1, **attrs}
    if max(dilations) > 1:
        attributes["dilations"] = dilations
    nodes = [helper.make_node(op, ["x"], ["p"], name="pool", **attributes)]
    nodes.append(helper.make_node(tail, ["p", "p"] if tail == "Mul" else ["p"], ["y"]))
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, *sizes])]
    graph = helper.make_graph(nodes, "g", inputs, [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def by_hand(op: str, axes: Sequence[tuple[int, ...]], x: np.ndarray, include_pad: bool = False) -> np.ndarray:
    """The windows one by one, without those that start past the input; what ceil mode pads never counts."""
    positions, declared = [], []
    for kernel, stride, pad, size, dilation in axes:
        starts = list(range(-pad, size, stride))
        longest = size + 2 * pad - ((kernel - 1) * dilation + 1)
        starts = starts[: -(-longest // stride) + 1]
        positions.append([[start + i * dilation for i in range(kernel)] for start in starts])
        declared.append(range(-pad, size + pad))
    y = np.empty((*x.shape[:2], *map(len, positions)))
    for index in np.ndindex(*y.shape[2:]):
        inside = [[at for at in positions[d][i] if 0 <= at < axes[d][3]] for d, i in enumerate(index)]
        window = np.stack([x[(slice(None), slice(None), *place)] for place in itertools.product(*inside)])
        count = np.prod([sum(at in declared[d] for at in positions[d][i]) for d, i in enumerate(index)])
        y[(slice(None), slice(None), *index)] = {
            "MaxPool": lambda w=window: w.max(0),
            "AveragePool": lambda w=window, n=count: w.sum(0) / n if include_pad else w.mean(0),
            "LpPool": lambda w=window: np.sqrt((w**2).sum(0)),
        }[op]()
    return y


def check(
    model: onnx.ModelProto, op: str, axes: Sequence[tuple[int, ...]], tail: str, include_pad: bool = False
) -> None:
    """Output and gradient in ONNX Runtime, against the windows by hand and their central differences."""
    x = np.random.default_rng(0).normal(size=(1, 2, *(axis[3] for axis in axes)))

    def y(x: np.ndarray) -> np.ndarray:
        p = by_hand(op, axes, x, include_pad)
        return {"Mul": p * p, "Neg": -p, "Sigmoid": 1 / (1 + np.exp(-p))}[tail]

    cotangent = np.random.default_rng(1).normal(size=y(x).shape)
    session = ort.InferenceSession(append_vjp(model, "y", "x").SerializeToString(), providers=["CPUExecutionProvider"])
    feeds = {"x": x.astype(np.float32), "y_cotangent": cotangent.astype(np.float32)}
    value, grad = session.run(["y", "x_grad"], feeds)
    np.testing.assert_allclose(value, y(x), rtol=1e-4, atol=1e-5)
    direction = np.random.default_rng(2).normal(size=x.shape)
    slope = np.sum((y(x + 1e-6 * direction) - y(x - 1e-6 * direction)) / 2e-6 * cotangent)
    np.testing.assert_allclose(np.sum(grad * direction), slope, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("opset", [18, 21])
@pytest.mark.parametrize("tail", ["Mul", "Neg", "Sigmoid"])
@pytest.mark.parametrize("op", ["MaxPool", "AveragePool", "LpPool"])
@pytest.mark.parametrize(
    "axes",
    [
        *([axis] * rank for axis in DROPS for rank in (1, 2, 3)),
        [DROPS[0], KEEPS],
        [KEEPS, DROPS[1]],
        [DROPS[0], KEEPS, DROPS[2]],
    ],
    ids=lambda axes: "x".join("-".join(map(str, axis)) for axis in axes),
)
def test_a_model_that_drops_a_window_is_loaded(axes: list[tuple[int, ...]], op: str, tail: str, opset: int) -> None:
    check(pooled(op, axes, opset, tail), op, axes, tail)


@pytest.mark.parametrize("axes", [[DROPS[1]], [DROPS[2], DROPS[1]], [DROPS[0], DROPS[0]]])
def test_declared_padding_is_still_counted(axes: list[tuple[int, ...]]) -> None:
    check(pooled("AveragePool", axes, 19, "Mul", count_include_pad=1), "AveragePool", axes, "Mul", include_pad=True)


def test_dilated_windows_are_dropped_too() -> None:
    axes = [(2, 4, 0, 8, 2)]
    check(pooled("MaxPool", axes, 18, "Mul"), "MaxPool", axes, "Mul")


def test_an_explained_model_loads() -> None:
    """The score of the mean over the windows: each of the pooled maxima has a ninth of the weight."""
    model = pooled("MaxPool", [DROPS[0]] * 2, 18, "Relu")
    nodes = [helper.make_node("GlobalAveragePool", ["y"], ["m"]), helper.make_node("Flatten", ["m"], ["scores"])]
    model.graph.node.extend(nodes)
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("scores", TensorProto.FLOAT, None))
    explained = rewrite(model, method="gradient")
    session = ort.InferenceSession(explained.SerializeToString(), providers=["CPUExecutionProvider"])
    x = np.abs(np.random.default_rng(0).normal(size=(1, 2, 9, 9))).astype(np.float32)
    (grad,) = session.run(["input_gradient"], {"x": x, "target": np.array([[1]])})
    blocks = grad.reshape(2, 3, 3, 3, 3).sum((2, 4))
    np.testing.assert_allclose(blocks, [np.zeros((3, 3)), np.full((3, 3), 1 / 9)], atol=1e-6)


@pytest.mark.parametrize("axes", [[KEEPS], [KEEPS, KEEPS]])
def test_nodes_that_drop_nothing_stay_as_they_are(axes: list[tuple[int, ...]]) -> None:
    model = pooled("MaxPool", axes, 18, "Relu")
    assert read(model).proto.graph.node[0].attribute == model.graph.node[0].attribute

"""A residual network of 200 layers with seeded random weights, as an ONNX model.

He et al. 2016, "Identity Mappings in Deep Residual Networks", section 4: bottlenecks with pre-activation, in four
stages of 3, 24, 36 and 3 blocks. The normalisations are left as training begins; so that the sums stay in range, each
branch is scaled down by the square root of the number of blocks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

BLOCKS = (3, 24, 36, 3)
CLASSES, SIDE = 1000, 224


class _Graph:
    """Nodes and weights, appended one by one; each method returns the name of what it makes."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def node(self, op: str, name: str, *inputs: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op, inputs, [name], name, **attributes))
        return name

    def weight(self, name: str, values: np.ndarray) -> str:
        self.weights.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name

    def convolution(self, name: str, x: str, channels: int, features: int, size: int, stride: int, gain: float) -> str:
        deviation = gain * np.sqrt(2 / (channels * size * size))  # He et al. 2015, equation 10
        kernel = self.rng.standard_normal((features, channels, size, size), np.float32) * np.float32(deviation)
        return self.node(
            "Conv", name, x, self.weight(f"{name}.weight", kernel), strides=[stride] * 2, pads=[size // 2] * 4
        )

    def activated(self, name: str, x: str, channels: int) -> str:
        held = {"scale": np.ones, "shift": np.zeros, "mean": np.zeros, "variance": np.ones}
        values = [self.weight(f"{name}.{what}", make(channels)) for what, make in held.items()]
        return self.node("Relu", name, self.node("BatchNormalization", f"{name}.normalised", x, *values))

    def block(self, name: str, x: str, channels: int, features: int, stride: int) -> str:
        inner, gain = features // 4, 1 / np.sqrt(sum(BLOCKS))
        ready = self.activated(f"{name}.ready", x, channels)
        y = self.convolution(f"{name}.reduce", ready, channels, inner, 1, 1, 1)
        y = self.activated(f"{name}.reduced", y, inner)
        y = self.convolution(f"{name}.middle", y, inner, inner, 3, stride, 1)
        y = self.activated(f"{name}.filtered", y, inner)
        y = self.convolution(f"{name}.expand", y, inner, features, 1, 1, gain)
        if channels != features:
            x = self.convolution(f"{name}.shortcut", ready, channels, features, 1, stride, 1)
        return self.node("Add", name, x, y)


def resnet200(seed: int = 0) -> onnx.ModelProto:
    """The network: `image` float32 [N, 3, 224, 224] to `logits` [N, 1000]."""
    graph = _Graph(seed)
    x = graph.convolution("stem", "image", 3, 64, 7, 2, 1)
    x = graph.node("MaxPool", "pooled", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    channels = 64
    for stage, count in enumerate(BLOCKS):
        features = 256 << stage
        for index in range(count):
            stride = 2 if stage and not index else 1
            x = graph.block(f"stage{stage + 1}.block{index + 1}", x, channels, features, stride)
            channels = features
    x = graph.node("GlobalAveragePool", "mean", graph.activated("last", x, channels))
    head = graph.weight("head.weight", graph.rng.standard_normal((CLASSES, channels)) / np.sqrt(channels))
    graph.node("Gemm", "logits", graph.node("Flatten", "vector", x), head, transB=1)
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, SIDE, SIDE])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", CLASSES])
    made = helper.make_graph(graph.nodes, "resnet200", [image], [logits], graph.weights)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)

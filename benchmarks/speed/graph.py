"""Nodes and seeded weights of a network, appended one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET, IR_VERSION = 17, 8


class Graph:
    """A network under construction; each method returns the name of what it makes."""

    def __init__(self, seed: int = 0) -> None:
        self._rng = np.random.default_rng(seed)
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []

    def node(self, op: str, *inputs: str, **attributes: Any) -> str:
        """A node with one output."""
        name = f"{op.lower()}{len(self._nodes)}"
        self._nodes.append(helper.make_node(op, inputs, [name], name, **attributes))
        return name

    def constant(self, values: np.ndarray) -> str:
        """An initializer."""
        name = f"weight{len(self._weights)}"
        self._weights.append(numpy_helper.from_array(values, name))
        return name

    def normal(self, shape: Sequence[int], deviation: float) -> str:
        """A weight, drawn at random."""
        return self.constant(self._rng.standard_normal(shape, np.float32) * np.float32(deviation))

    def integers(self, values: Sequence[int]) -> str:
        """A vector of integers."""
        return self.constant(np.array(values, np.int64))

    def integer(self, value: int) -> str:
        """One integer."""
        return self.constant(np.array(value, np.int64))

    def conv(
        self,
        x: str,
        channels: int,
        out: int,
        kernel: int,
        stride: int = 1,
        *,
        groups: int = 1,
        pad: int | None = None,
        gain: float = 1.0,
    ) -> str:
        """A convolution with bias; padded by half its kernel where `pad` is not given."""
        inner = channels // groups
        weight = self.normal([out, inner, kernel, kernel], gain * float(np.sqrt(2 / (inner * kernel * kernel))))
        pads = [kernel // 2 if pad is None else pad] * 4
        return self.node(
            "Conv", x, weight, self.normal([out], 0.1), kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=pads,
            group=groups, dilations=[1, 1],
        )  # fmt: skip

    def linear(self, x: str, wide: int, out: int) -> str:
        """A linear layer on [N, wide], as Gemm."""
        return self.node(
            "Gemm", x, self.normal([out, wide], float(np.sqrt(2 / wide))), self.normal([out], 0.1), transB=1
        )

    def dense(self, x: str, wide: int, out: int) -> str:
        """A linear layer along the last axis, as MatMul and Add."""
        product = self.node("MatMul", x, self.normal([wide, out], float(np.sqrt(1 / wide))))
        return self.node("Add", self.normal([out], 0.1), product)

    def relu(self, x: str) -> str:
        """max(x, 0)."""
        return self.node("Relu", x)

    def relu6(self, x: str) -> str:
        """min(max(x, 0), 6)."""
        return self.node("Clip", x, self.constant(np.float32(0).reshape(())), self.constant(np.float32(6).reshape(())))

    def gelu(self, x: str) -> str:
        """x (1 + erf(x / sqrt 2)) / 2, written out as exporters do up to opset 19."""
        half, one, root = (self.constant(np.array(value, np.float32)) for value in (0.5, 1.0, np.sqrt(2)))
        erf = self.node("Erf", self.node("Div", x, root))
        return self.node("Mul", self.node("Mul", x, self.node("Add", erf, one)), half)

    def normalised(self, x: str, channels: int) -> str:
        """Batch normalisation that no convolution before it can take in."""
        ones = np.ones(channels, np.float32)
        scale, shift = self.constant(ones), self.normal([channels], 0.1)
        return self.node("BatchNormalization", x, scale, shift, self.normal([channels], 0.1), self.constant(ones))

    def layer_norm(self, x: str, width: int) -> str:
        """Over the last axis."""
        scale, shift = self.constant(np.ones(width, np.float32)), self.normal([width], 0.1)
        return self.node("LayerNormalization", x, scale, shift, axis=-1, epsilon=1e-6)

    def channels_last(self, x: str) -> str:
        """[N, C, h, w] to [N, h, w, C]."""
        return self.node("Transpose", x, perm=[0, 2, 3, 1])

    def channels_first(self, x: str) -> str:
        """[N, h, w, C] to [N, C, h, w]."""
        return self.node("Transpose", x, perm=[0, 3, 1, 2])

    def reshape(self, x: str, shape: Sequence[int]) -> str:
        """To a shape, 0 where a size stays."""
        return self.node("Reshape", x, self.integers(shape))

    def attention(self, x: str, width: int, heads: int, tokens: int) -> str:
        """Multi-head self-attention of tokens [N, tokens, width], written out."""
        size = width // heads
        split = [0, tokens, heads, size]
        q, k, v = (self.reshape(self.dense(x, width, width), split) for _ in range(3))
        q, v = (self.node("Transpose", one, perm=[0, 2, 1, 3]) for one in (q, v))
        k = self.node("Transpose", k, perm=[0, 2, 3, 1])
        scale = self.constant(np.array(1 / np.sqrt(size), np.float32))
        weights = self.node("Softmax", self.node("Mul", self.node("MatMul", q, k), scale), axis=-1)
        mixed = self.node("Transpose", self.node("MatMul", weights, v), perm=[0, 2, 1, 3])
        return self.dense(self.reshape(mixed, [0, tokens, width]), width, width)

    def classifier(self, x: str, channels: int, classes: int) -> onnx.ModelProto:
        """Global average pooling and a linear layer."""
        x = self.node("Flatten", self.node("GlobalAveragePool", x))
        return self.model(self.linear(x, channels, classes), classes)

    def model(self, logits: str, classes: int) -> onnx.ModelProto:
        """The finished network."""
        self._nodes[-1].output[0] = "logits"
        image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, 224, 224])
        output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", classes])
        graph = helper.make_graph(self._nodes, "network", [image], [output], self._weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)

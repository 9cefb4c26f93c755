"""Small transformers, as exporters write them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx

from .networks import Net

WIDTH = 8
CLASSES = 5


class TokenNet(Net):
    """A `Net` with what transformers are made of; tokens are [N, T, WIDTH]."""

    def linear(self, x: str, c_in: int = WIDTH, c_out: int = WIDTH) -> str:
        """A matrix product over the last axis, and a bias."""
        weight = self.const(self.rng.normal(size=(c_in, c_out)) / np.sqrt(c_in))
        return self.add("Add", self.add("MatMul", x, weight), self.const(self.rng.normal(size=c_out) / 4))

    def norm(self, x: str, out: str = "", in_parts: bool = False) -> str:
        """Layer normalisation, also as exports of opset 16 and before write it."""
        scale, bias = self.const(self.rng.normal(size=WIDTH)), self.const(self.rng.normal(size=WIDTH) / 4)
        if not in_parts:
            return self.add("LayerNormalization", x, scale, bias, axis=-1, out=out)
        centred = self.add("Sub", x, self.add("ReduceMean", x, axes=[-1]))
        variance = self.add("ReduceMean", self.add("Pow", centred, self.const(2.0)), axes=[-1])
        deviation = self.add("Sqrt", self.add("Add", variance, self.const(1e-5)))
        return self.add("Add", self.add("Mul", self.add("Div", centred, deviation), scale), bias, out=out)

    def attention(self, x: str) -> str:
        """Self-attention of one head."""
        query, key, value = (self.linear(x) for _ in range(3))
        weights = self.add("Softmax", self.add("MatMul", query, self.add("Transpose", key, perm=[0, 2, 1])), axis=-1)
        return self.linear(self.add("MatMul", weights, value))

    def block(self, x: str, name: str, in_parts: bool = False) -> str:
        """A transformer's block: `<name>/norm1`, `<name>/sum1`, `<name>/norm2`, `<name>/sum2`."""
        mixed = self.attention(self.norm(x, f"{name}/norm1", in_parts))
        x = self.add("Add", x, mixed, out=f"{name}/sum1")
        hidden = self.add("Relu", self.linear(self.norm(x, f"{name}/norm2", in_parts), WIDTH, 12))
        return self.add("Add", x, self.linear(hidden, 12), out=f"{name}/sum2")

    def patches(self, image: str, patch: int = 2) -> str:
        """The patches of an image [N, 3, H, W] as tokens, by a convolution."""
        maps = self.conv(image, 3, WIDTH, patch, pads=[0] * 4, strides=[patch] * 2)
        flat = self.add("Reshape", maps, self.const([0, 0, -1], np.int64))
        return self.add("Transpose", flat, perm=[0, 2, 1])

    def with_extra(self, x: str, count: int) -> str:
        """Class and register tokens before the tokens."""
        batch = self.add("Slice", self.add("Shape", x), self.const([0], np.int64), self.const([1], np.int64))
        shape = self.add("Concat", batch, self.const([count, WIDTH], np.int64), axis=0)
        return self.add(
            "Concat", self.add("Expand", self.const(self.rng.normal(size=(1, count, WIDTH))), shape), x, axis=1
        )

    def classify(self, x: str, pool: str, batch: int | str | None) -> onnx.ModelProto:
        """The model that classifies by the first token ("class"), or by the mean of all."""
        if pool == "class":
            x = self.add("Gather", x, self.const(0, np.int64), axis=1)
        else:
            x = self.add("ReduceMean", x, axes=[1], keepdims=0)
        weight = self.const(self.rng.normal(size=(WIDTH, CLASSES)))
        self.output(self.add("MatMul", x, weight, out="logits"), [batch, CLASSES])
        return self.model()


def vit(
    extra: int = 1,
    pool: str = "class",
    size: Sequence[int | str] = (8, 8),
    batch: int | str | None = "N",
    in_parts: bool = False,
) -> onnx.ModelProto:
    """Patches of 2 x 2 pixels, extra tokens before them, blocks "a" and "b", a last norm "final", the head."""
    net = TokenNet()
    x = net.patches(net.input("image", [batch, 3, *size]))
    x = net.with_extra(x, extra) if extra else x
    x = net.block(net.block(x, "a", in_parts), "b", in_parts)
    return net.classify(net.norm(x, "final", in_parts), pool, batch)


def mixer(batch: int | str = "N") -> onnx.ModelProto:
    """An MLP-Mixer on patches cut by Reshape and Transpose, without any convolution: 6 x 10 pixels, 3 x 5 patches."""
    net = TokenNet()
    x = net.input("image", [batch, 3, 6, 10])
    x = net.add("Reshape", x, net.const([-1, 3, 3, 2, 5, 2], np.int64))
    x = net.add("Transpose", x, perm=[0, 2, 4, 3, 5, 1])
    x = net.linear(net.add("Reshape", x, net.const([-1, 15, 12], np.int64)), 12)
    turned = net.add("Transpose", net.norm(x, "norm1"), perm=[0, 2, 1])
    x = net.add("Add", net.add("Transpose", net.linear(turned, 15, 15), perm=[0, 2, 1]), x, out="sum1")
    x = net.add("Add", x, net.linear(net.norm(x, "norm2")), out="sum2")
    return net.classify(x, "mean", batch)


def merged_tokens(size: Sequence[int | str] = (8, 12)) -> onnx.ModelProto:
    """As Swin in token form: patches of 2 x 2 pixels, "before", of which 2 x 2 make one token of "merged"."""
    net = TokenNet()
    maps = net.conv(net.input("image", ["N", 3, *size]), 3, WIDTH, 2, pads=[0] * 4, strides=[2, 2])
    grid = net.add("Shape", maps)
    flat = net.add("Reshape", maps, net.const([0, 0, -1], np.int64))
    x = net.norm(net.add("Transpose", flat, perm=[0, 2, 1]), "before")
    back = net.add("Reshape", net.add("Transpose", x, perm=[0, 2, 1]), grid)
    deep = net.add("SpaceToDepth", back, blocksize=2)
    flat = net.add("Reshape", deep, net.const([0, 0, -1], np.int64))
    x = net.linear(net.add("Transpose", flat, perm=[0, 2, 1]), 4 * WIDTH)
    return net.classify(net.norm(x, "merged"), "mean", "N")


def swin(batch: int | str = "N") -> onnx.ModelProto:
    """Maps [N, h, w, C] throughout, two windows' attention, merging of 2 x 2 neighbours: "first", "merged", "last"."""
    net = TokenNet()
    maps = net.conv(net.input("image", [batch, 3, 8, 16]), 3, WIDTH, 2, pads=[0] * 4, strides=[2, 2])
    x = net.norm(net.add("Transpose", maps, perm=[0, 2, 3, 1]), "first")
    windows = net.add("Reshape", x, net.const([-1, 16, WIDTH], np.int64))
    mixed = net.add("Reshape", net.attention(net.norm(windows, "in windows")), net.const([-1, 4, 8, WIDTH], np.int64))
    x = net.add("Add", x, mixed, out="sum")
    axes = net.const([1, 2], np.int64)
    ends, steps = net.const([99, 99], np.int64), net.const([2, 2], np.int64)
    corners = [(0, 0), (1, 0), (0, 1), (1, 1)]
    parts = [net.add("Slice", x, net.const(corner, np.int64), ends, axes, steps) for corner in corners]
    x = net.norm(net.linear(net.add("Concat", *parts, axis=3), 4 * WIDTH), "merged")
    x = net.add("Add", x, net.linear(x), out="last")
    x = net.add("ReduceMean", x, axes=[1, 2], keepdims=0)
    net.output(net.add("MatMul", x, net.const(net.rng.normal(size=(WIDTH, CLASSES))), out="logits"), [batch, CLASSES])
    return net.model()

"""A small network twice: as an ONNX model, and by hand in float64 numpy, its gradients included."""

from __future__ import annotations

import cv2
import numpy as np
import onnx
from onnx import numpy_helper

from ..networks import Array, Net

CLASSES = 5
EPSILON = 1e-3


def network(seed: int = 11) -> onnx.ModelProto:
    """`image` [N, 3, 8, 8], conv1, relu1, pool, conv2, norm (some scales negative), shifted, relu2, mean, `logits`."""
    net = Net(seed=seed)
    rng = np.random.default_rng(seed)
    x = net.input("image", ["N", 3, 8, 8])
    bias = net.const(rng.normal(size=4) / 2, name="b1")
    x = net.add("Conv", x, net.random(4, 3, 3, 3, name="w1"), bias, pads=[1] * 4, out="conv1")
    x = net.add("Relu", x, out="relu1")
    x = net.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2], out="pool")
    x = net.add("Conv", x, net.random(6, 4, 3, 3, name="w2"), pads=[1] * 4, out="conv2")
    scale = net.const(rng.uniform(0.5, 1.5, 6) * [1, 1, -1, 1, -1, 1], name="scale")
    statistics = [net.const(rng.normal(size=6) / 2, name=name) for name in ("shift", "mean")]
    variance = net.const(rng.uniform(0.2, 0.6, 6), name="variance")
    x = net.add("BatchNormalization", x, scale, *statistics, variance, epsilon=EPSILON, out="norm")
    x = net.add("Add", net.const(rng.normal(size=(6, 1, 1)) / 2, name="b2"), x, out="shifted")
    x = net.add("Relu", x, out="relu2")
    x = net.add("Flatten", net.add("GlobalAveragePool", x))
    x = net.add("Gemm", x, net.random(CLASSES, 6, name="w3"), net.random(CLASSES, name="b3"), transB=1, out="logits")
    net.output(x, ["N", CLASSES])
    return net.model()


class Replica:
    """The network in float64, one image at a time: tensors and gradients by the names they have in the model."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.w = {t.name: numpy_helper.to_array(t).astype(np.float64) for t in model.graph.initializer}
        self.slope = self.w["scale"] / np.sqrt(self.w["variance"] + EPSILON)

    def forward(self, image: Array) -> dict[str, Array]:
        """Every tensor, for an image [3, H, W]."""
        w, t = self.w, {"image": image.astype(np.float64)}
        t["conv1"] = conv(t["image"], w["w1"]) + column(w["b1"])
        t["relu1"] = np.maximum(t["conv1"], 0)
        t["pool"] = windows(t["relu1"]).max(axis=-1)
        t["conv2"] = conv(t["pool"], w["w2"])
        t["norm"] = column(self.slope) * (t["conv2"] - column(w["mean"])) + column(w["shift"])
        t["shifted"] = t["norm"] + w["b2"]
        t["relu2"] = np.maximum(t["shifted"], 0)
        t["logits"] = w["w3"] @ t["relu2"].mean(axis=(1, 2)) + w["b3"]
        return t

    def backward(self, t: dict[str, Array], target: int, rules: str = "standard") -> dict[str, Array]:
        """The gradient of one logit at every tensor."""
        w, (h, width) = self.w, t["relu2"].shape[1:]
        g = {"relu2": np.broadcast_to(column(w["w3"][target]) / (h * width), t["relu2"].shape)}
        g["shifted"] = g["norm"] = relu_back(g["relu2"], t["shifted"], rules)
        g["conv2"] = column(self.slope) * g["norm"]
        g["pool"] = conv_back(g["conv2"], w["w2"])
        g["relu1"] = pool_back(g["pool"], t["relu1"])
        g["conv1"] = relu_back(g["relu1"], t["conv1"], rules)
        g["image"] = conv_back(g["conv1"], w["w1"])
        return g


def column(vector: Array) -> Array:
    """A vector along the channel axis."""
    return np.asarray(vector)[:, None, None]


def conv(x: Array, w: Array) -> Array:
    """[C, H, W] and [O, C, 3, 3] to [O, H, W], padded by 1."""
    h, width = x.shape[1:]
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    taps = [(i, j) for i in range(3) for j in range(3)]
    return np.asarray(sum(np.tensordot(w[:, :, i, j], padded[:, i : i + h, j : j + width], 1) for i, j in taps))


def conv_back(g: Array, w: Array) -> Array:
    """The transpose of `conv`: every output's gradient lands on the pixels that its window saw."""
    h, width = g.shape[1:]
    padded = np.zeros((w.shape[1], h + 2, width + 2))
    for i in range(3):
        for j in range(3):
            padded[:, i : i + h, j : j + width] += np.tensordot(w[:, :, i, j].T, g, 1)
    return padded[:, 1:-1, 1:-1]


def windows(x: Array) -> Array:
    """[C, H, W] to [C, H/2, W/2, 4], the pixels of each 2 x 2 window row by row."""
    c, h, w = x.shape
    return x.reshape(c, h // 2, 2, w // 2, 2).transpose(0, 1, 3, 2, 4).reshape(c, h // 2, w // 2, 4)


def pool_back(g: Array, x: Array) -> Array:
    """The gradient at the first largest pixel of each window."""
    c, h, w = g.shape
    spread = g[..., None] * np.eye(4)[windows(x).argmax(axis=-1)]
    return spread.reshape(c, h, w, 2, 2).transpose(0, 1, 3, 2, 4).reshape(c, 2 * h, 2 * w)


def relu_back(g: Array, x: Array, rules: str) -> Array:
    """Standard, guided and deconvnet gradients of ReLU."""
    if rules != "standard":
        g = np.maximum(g, 0)
    return np.asarray(g if rules == "deconvnet" else g * (x > 0))


def upsampled(cam: Array, size: tuple[int, int] = (8, 8)) -> Array:
    """A map [h, w] resized as OpenCV does, over its largest magnitude."""
    large = cv2.resize(cam.astype(np.float64), size[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(large / (np.abs(large).max() or 1))


def close(got: Array, expected: Array, message: str = "") -> None:
    """Equal within float32 rounding, relative to the largest value."""
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=2e-5 * max(np.abs(expected).max(), 1e-9), err_msg=message)

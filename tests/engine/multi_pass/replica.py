"""A small network in plain numpy, float64: the score and its gradient, written without the package."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper

Array = np.ndarray


class Replica:
    """`small_cnn`: conv, relu, 2 x 2 max pooling, conv, relu, global average pooling, linear."""

    def __init__(self, model: onnx.ModelProto) -> None:
        weights = [numpy_helper.to_array(tensor).astype(np.float64) for tensor in model.graph.initializer]
        self.w1, self.b1, self.w2, self.b2, self.w3, self.b3 = weights

    def layer(self, image: Array) -> Array:
        """The last feature maps [6, H/2, W/2]."""
        first = np.maximum(conv(image.astype(np.float64), self.w1, self.b1), 0)
        c, h, w = first.shape
        pooled = first.reshape(c, h // 2, 2, w // 2, 2).max(axis=(2, 4))
        return np.asarray(np.maximum(conv(pooled, self.w2, self.b2), 0))

    def head(self, maps: Array) -> Array:
        """The logits [5] of last feature maps."""
        return np.asarray(self.w3 @ maps.mean(axis=(1, 2)) + self.b3)

    def logits(self, image: Array) -> Array:
        """The logits [5] of an image [3, H, W]."""
        return self.head(self.layer(image))

    def gradient(self, image: Array, index: int, step: float = 1e-6) -> Array:
        """The gradient of a logit with respect to the image, by central differences."""
        image = image.astype(np.float64)
        result = np.zeros_like(image)
        for place in np.ndindex(*image.shape):
            up, down = image.copy(), image.copy()
            up[place] += step
            down[place] -= step
            result[place] = (self.logits(up)[index] - self.logits(down)[index]) / (2 * step)
        return result


def conv(x: Array, w: Array, b: Array) -> Array:
    """A 3 x 3 convolution of one image that keeps the size, as a sum over its nine places."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    h, width = x.shape[1:]
    total = np.zeros((len(w), h, width)) + b[:, None, None]
    for i in range(3):
        for j in range(3):
            total += np.tensordot(w[:, :, i, j], padded[:, i : i + h, j : j + width], axes=1)
    return total


def bilinear(values: Array, height: int, width: int) -> Array:
    """A map [h, w] upsampled with half-pixel centres, pixel by pixel."""
    result = np.zeros((height, width))
    for i in range(height):
        for j in range(width):
            y = min(max((i + 0.5) * values.shape[0] / height - 0.5, 0), values.shape[0] - 1)
            x = min(max((j + 0.5) * values.shape[1] / width - 0.5, 0), values.shape[1] - 1)
            top, left = int(y), int(x)
            bottom, right = min(top + 1, values.shape[0] - 1), min(left + 1, values.shape[1] - 1)
            a, b = y - top, x - left
            upper = values[top, left] * (1 - b) + values[top, right] * b
            lower = values[bottom, left] * (1 - b) + values[bottom, right] * b
            result[i, j] = upper * (1 - a) + lower * a
    return result

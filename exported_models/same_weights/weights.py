"""One small network, described without any framework: its layers, and seeded weights for them.

The export scripts of the folders beside this one build it in their frameworks. It has what exporters write in ways of
their own: padding (of TensorFlow's asymmetric kind, too), stride, a depthwise convolution, batch normalisation, ReLU6,
overlapping maximum pooling and global average pooling. Some scales of the normalisations are negative.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SIZE = 32  # pixels, height and width of the image [N, 3, 32, 32]
CLASSES = 10
EPSILON = 1e-3  # of batch normalisation; frameworks differ in their default
SEED = 278  # one at which no ReLU6 of the two images lies so near its kinks that rounding decides its gradient


class Conv(NamedTuple):
    """A convolution without bias; batch normalisation and ReLU6 follow it."""

    name: str
    inputs: int
    outputs: int
    kernel: int = 3
    stride: int = 1
    padding: tuple[int, int] = (1, 1)  # zeros before and after, along height and width alike
    groups: int = 1


class MaxPool(NamedTuple):
    """Maximum pooling.

    It follows ReLU6, so that zeros after the end do what minus infinity does, down to which of equal maxima is first.
    """

    name: str
    kernel: int = 3
    stride: int = 2
    padding: tuple[int, int] = (0, 1)


LAYERS = (
    Conv("stem", 3, 8, stride=2, padding=(0, 1)),
    Conv("depthwise", 8, 8, groups=8),
    Conv("pointwise", 8, 16, kernel=1, padding=(0, 0)),
    MaxPool("pool1"),
    Conv("last", 16, 16),
    MaxPool("pool2"),
)
FEATURES = 16  # channels that global average pooling leaves to the linear layer, "classifier"


def weights() -> dict[str, NDArray[np.float32]]:
    """The weights by `<layer>.<what>`.

    Of each `Conv`: `kernel` [outputs, inputs / groups, height, width] and, all [outputs], `scale`, `bias`, `mean` and
    `variance` of the normalisation; of the classifier `kernel` [classes, features] and `bias` [classes].
    """
    random = np.random.RandomState(SEED)  # numpy keeps this generator's stream as it is (NEP 19)
    drawn: dict[str, NDArray[np.float64]] = {}
    for conv in (layer for layer in LAYERS if isinstance(layer, Conv)):
        shape = (conv.outputs, conv.inputs // conv.groups, conv.kernel, conv.kernel)
        drawn[f"{conv.name}.kernel"] = random.normal(size=shape) / np.sqrt(np.prod(shape[1:]))
        signs = np.where(np.arange(conv.outputs) % 4 == 1, -1, 1)
        drawn[f"{conv.name}.scale"] = random.uniform(0.5, 1.5, conv.outputs) * signs
        drawn[f"{conv.name}.bias"] = random.normal(1, 1, conv.outputs)
        drawn[f"{conv.name}.mean"] = random.normal(0, 0.5, conv.outputs)
        drawn[f"{conv.name}.variance"] = random.uniform(0.5, 2, conv.outputs)
    drawn["classifier.kernel"] = random.normal(size=(CLASSES, FEATURES)) / np.sqrt(FEATURES)
    drawn["classifier.bias"] = random.normal(size=CLASSES)
    return {name: values.astype(np.float32) for name, values in drawn.items()}


def images() -> NDArray[np.float32]:
    """Two images of normal noise, each about a colour of its own, [2, 3, 32, 32]."""
    random = np.random.RandomState(SEED + 1)
    colours = random.normal(size=(2, 3, 1, 1))
    return (colours + random.normal(size=(2, 3, SIZE, SIZE))).astype(np.float32)

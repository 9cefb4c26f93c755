"""Cases for `gradients/convolution.py`."""

from typing import Any

import numpy as np

from .harness import Case

rng = np.random.default_rng(0)


def conv(sizes: tuple[int, ...], kernel: tuple[int, ...], group: int = 1, bias: bool = True, **attrs: Any) -> Case:
    """A Conv of 2 samples, 2 channels in and 3 out per group."""
    inputs = [
        rng.normal(size=(2, 2 * group, *sizes)),
        rng.normal(size=(3 * group, 2, *kernel)),
        rng.normal(size=3 * group),
    ]
    opset = attrs.pop("opset", 17)
    return Case("Conv", inputs[: 2 + bias], {"group": group, **attrs}, opset=opset)


def transpose(sizes: tuple[int, ...], kernel: tuple[int, ...], group: int = 1, bias: bool = True, **attrs: Any) -> Case:
    """A ConvTranspose of 2 samples, 2 channels in and 3 out per group."""
    inputs = [
        rng.normal(size=(2, 2 * group, *sizes)),
        rng.normal(size=(2 * group, 3, *kernel)),
        rng.normal(size=3 * group),
    ]
    opset = attrs.pop("opset", 17)
    return Case("ConvTranspose", inputs[: 2 + bias], {"group": group, **attrs}, opset=opset)


def depthwise(multiplier: int, **attrs: Any) -> Case:
    """A depthwise Conv of 3 channels."""
    inputs = [
        rng.normal(size=(2, 3, 7, 6)),
        rng.normal(size=(3 * multiplier, 1, 3, 3)),
        rng.normal(size=3 * multiplier),
    ]
    return Case("Conv", inputs, {"group": 3, **attrs}, note=f"depthwise{multiplier}{attrs}")


CASES = [
    # Conv: ranks, strides with every remainder, dilations, padding
    conv((7,), (3,)),
    conv((7, 6), (3, 2)),
    conv((5, 4, 6), (2, 3, 1), strides=[2, 1, 3], pads=[1, 0, 0, 0, 1, 0]),
    *[conv((size, 7), (3, 3), strides=[3, 2], pads=[1, 1, 1, 1]) for size in (6, 7, 8)],
    *[conv((size,), (2,), strides=[3]) for size in (5, 6, 7)],
    conv((9, 9), (3, 3), dilations=[2, 3], pads=[2, 3, 2, 3]),
    conv((9, 8), (3, 2), dilations=[2, 3], strides=[2, 2], pads=[0, 1, 2, 1]),
    conv((7, 6), (3, 3), pads=[0, 2, 1, 0]),
    conv((7, 6), (3, 3), pads=[2, 1, 0, 0], strides=[2, 2]),
    conv((8, 8), (3, 3), pads=[0, 0, 1, 1], strides=[2, 2]),
    conv((7, 6), (3, 3), kernel_shape=[3, 3], bias=False),
    conv((7, 6), (1, 1), strides=[2, 2]),
    conv((1, 5), (1, 3), pads=[0, 1, 0, 1]),
    conv((3, 3), (3, 3)),
    *[conv((7, 6), (3, 2), auto_pad=pad) for pad in ("SAME_UPPER", "SAME_LOWER", "VALID")],
    *[conv((7, 6), (4, 3), auto_pad=pad, strides=[2, 3]) for pad in ("SAME_UPPER", "SAME_LOWER", "VALID")],
    *[conv((5,), (1,), auto_pad=pad, strides=[3]) for pad in ("SAME_UPPER", "SAME_LOWER")],
    conv((7, 6), (3, 3), auto_pad="VALID", dilations=[2, 2]),
    # ONNX Runtime refuses SAME padding together with dilations.
    # Conv: groups
    conv((7, 6), (3, 3), group=2, pads=[1, 1, 1, 1]),
    conv((8,), (3,), group=3, strides=[2], pads=[1, 0], dilations=[2]),
    depthwise(1, pads=[1, 1, 1, 1]),
    depthwise(2, pads=[1, 1, 0, 0], strides=[2, 2]),
    depthwise(1, auto_pad="SAME_UPPER", strides=[2, 2]),
    depthwise(1, pads=[1, 1, 1, 1], strides=[2, 2]),
    depthwise(1, strides=[3, 2]),
    depthwise(1, pads=[2, 2, 2, 1], strides=[2, 1], dilations=[2, 2]),
    depthwise(2, pads=[1, 0, 1, 0], strides=[2, 3]),
    Case("Conv", [rng.normal(size=(2, 2, 5, 5)), rng.normal(size=(3, 2, 3, 3)), rng.normal(size=3)], constant=[1, 2]),
    Case(
        "Conv", [rng.normal(size=(1, 2, 5, 5)), rng.normal(size=(3, 2, 3, 3))], {"strides": [2, 2]}, note="one sample"
    ),
    *[conv((7, 6), (3, 3), pads=[1, 1, 1, 1], strides=[2, 2], opset=opset) for opset in (18, 22)],
    # ConvTranspose
    transpose((5,), (3,)),
    transpose((4, 5), (3, 2), bias=False),
    transpose((2, 3, 4), (2, 3, 1), strides=[2, 1, 3], pads=[1, 0, 0, 0, 1, 0]),
    transpose((4, 5), (3, 3), strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1]),
    transpose((4, 5), (3, 3), strides=[3, 2], pads=[0, 1, 2, 0], output_padding=[2, 0]),
    transpose((4, 5), (3, 2), strides=[2, 2], dilations=[2, 3], pads=[1, 0, 0, 2]),
    Case(
        "ConvTranspose",
        [rng.normal(size=(2, 2, 4)), rng.normal(size=(2, 3, 2))],
        {"strides": [2], "dilations": [4], "output_padding": [3]},
        no_runtime="refuses an output_padding larger than the stride",
    ),
    transpose((4, 5), (3, 3), strides=[2, 2], output_shape=[8, 10]),
    transpose((4, 5), (3, 3), strides=[2, 2], output_shape=[8, 10], auto_pad="SAME_UPPER"),
    transpose((4, 5), (3, 3), strides=[2, 2], output_shape=[8, 10], auto_pad="SAME_LOWER"),
    transpose((4, 5), (3, 3), strides=[2, 2], output_shape=[10, 11], output_padding=[1, 0]),
    *[transpose((4, 5), (3, 4), strides=[2, 3], auto_pad=pad) for pad in ("SAME_UPPER", "SAME_LOWER", "VALID")],
    # SAME together with output_padding is left out: onnx infers a larger output than ONNX Runtime computes.
    transpose((4, 5), (1, 1), strides=[2, 2]),
    transpose((4, 5), (2, 2), group=2, strides=[2, 2]),
    transpose((4, 5), (3, 3), group=3, strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1]),
    transpose((4, 5), (3, 3), strides=[2, 2], pads=[1, 1, 1, 1], opset=22),
    Case(
        "ConvTranspose",
        [rng.normal(size=(2, 3, 4, 4)), rng.normal(size=(3, 1, 2, 2))],
        {"group": 3, "strides": [2, 2]},
        note="depthwise",
    ),
]

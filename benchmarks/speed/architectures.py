"""The networks that are timed, as their exporters write them for inference, with seeded random weights.

Batch normalisation right behind a convolution is folded into it, as exporters do; weights are drawn so that values stay
in range through all layers (He et al. 2015, equation 10). All take `image` float32 [N, 3, 224, 224] and give `logits`
[N, 1000].
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import onnx

from .graph import Graph

SIDE, CLASSES = 224, 1000
BOTTLENECKS = (3, 4, 6, 3)
DENSE_LAYERS = (6, 12, 24, 16)
# Channels of VGG-16's convolutions, by stage.
VGG_STAGES = ((64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3)
# MobileNetV2's stages: expansion, channels, blocks, stride (Sandler et al. 2018, table 2).
INVERTED = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
# EfficientNet-Lite0's: expansion, channels, blocks, stride, kernel (Tan and Le 2019, table 1, without squeezing).
LITE = (
    (1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3), (6, 112, 3, 1, 5), (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)  # fmt: skip
CONVNEXT_DEPTHS, CONVNEXT_WIDTHS = (3, 3, 9, 3), (96, 192, 384, 768)
VIT_DEPTH, VIT_WIDTH, VIT_HEADS, VIT_PATCH = 12, 768, 12, 16


def resnet50() -> onnx.ModelProto:
    """He et al. 2016, table 1, the strides in the 3x3 convolutions as torchvision has them."""
    net = Graph()
    x = net.relu(net.conv("image", 3, 64, 7, 2))
    x, channels = net.node("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]), 64
    for stage, count in enumerate(BOTTLENECKS):
        inner, out = 64 << stage, 256 << stage
        for index in range(count):
            stride = 2 if stage and not index else 1
            y = net.relu(net.conv(x, channels, inner, 1))
            y = net.relu(net.conv(y, inner, inner, 3, stride))
            y = net.conv(y, inner, out, 1, gain=0.5)
            shortcut = net.conv(x, channels, out, 1, stride, gain=0.7) if channels != out else x
            x, channels = net.relu(net.node("Add", y, shortcut)), out
    return net.classifier(x, channels, CLASSES)


def vgg16() -> onnx.ModelProto:
    """Simonyan and Zisserman 2015, table 1, column D."""
    net = Graph()
    x, channels = "image", 3
    for stage in VGG_STAGES:
        for out in stage:
            x, channels = net.relu(net.conv(x, channels, out, 3)), out
        x = net.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = net.node("Flatten", x)
    for wide, out in ((512 * 7 * 7, 4096), (4096, 4096)):
        x = net.relu(net.linear(x, wide, out))
    return net.model(net.linear(x, 4096, CLASSES), CLASSES)


def mobilenet_v2() -> onnx.ModelProto:
    """Sandler et al. 2018: inverted residuals, ReLU6."""
    return _inverted_residuals([(*stage, 3) for stage in INVERTED], 32, 1280)


def efficientnet_lite0() -> onnx.ModelProto:
    """EfficientNet-Lite0: EfficientNet-B0 without squeeze-and-excitation, with ReLU6."""
    return _inverted_residuals(LITE, 32, 1280)


def densenet121() -> onnx.ModelProto:
    """Huang et al. 2017, table 1: normalisation before each convolution, and concatenation."""
    net = Graph()
    x = net.relu(net.conv("image", 3, 64, 7, 2))
    x, channels = net.node("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]), 64
    for block, count in enumerate(DENSE_LAYERS):
        for _ in range(count):
            y = net.relu(net.conv(net.relu(net.normalised(x, channels)), channels, 128, 1))
            x, channels = net.node("Concat", x, net.conv(y, 128, 32, 3), axis=1), channels + 32
        if block < len(DENSE_LAYERS) - 1:
            x = net.conv(net.relu(net.normalised(x, channels)), channels, channels // 2, 1)
            x, channels = net.node("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2]), channels // 2
    return net.classifier(net.relu(net.normalised(x, channels)), channels, CLASSES)


def convnext_t() -> onnx.ModelProto:
    """Liu et al. 2022: depthwise 7x7, layer normalisation and two linear layers on channels last, layer scale."""
    net = Graph()
    x = net.channels_first(net.layer_norm(net.channels_last(net.conv("image", 3, 96, 4, 4, pad=0)), 96))
    width = 96
    for count, out in zip(CONVNEXT_DEPTHS, CONVNEXT_WIDTHS, strict=True):
        if out != width:
            x = net.channels_first(net.layer_norm(net.channels_last(x), width))
            x, width = net.conv(x, width, out, 2, 2, pad=0), out
        for _ in range(count):
            y = net.layer_norm(net.channels_last(net.conv(x, width, width, 7, groups=width)), width)
            y = net.dense(net.gelu(net.dense(y, width, 4 * width)), 4 * width, width)
            y = net.channels_first(net.node("Mul", y, net.normal([width], 0.3)))
            x = net.node("Add", x, y)
    x = net.node("GlobalAveragePool", x)
    x = net.node("Flatten", net.channels_first(net.layer_norm(net.channels_last(x), width)))
    return net.model(net.linear(x, width, CLASSES), CLASSES)


def vit_b16() -> onnx.ModelProto:
    """Dosovitskiy et al. 2021, table 1: normalisation before attention and MLP, a class token."""
    net = Graph()
    count = (SIDE // VIT_PATCH) ** 2
    x = net.conv("image", 3, VIT_WIDTH, VIT_PATCH, VIT_PATCH, pad=0)
    x = net.node("Transpose", net.reshape(x, [0, VIT_WIDTH, count]), perm=[0, 2, 1])
    batch = net.node("Shape", x, start=0, end=1)
    shape = net.node("Concat", batch, net.integers([1, VIT_WIDTH]), axis=0)
    token = net.node("Expand", net.normal([1, 1, VIT_WIDTH], 1.0), shape)
    x = net.node("Add", net.node("Concat", token, x, axis=1), net.normal([1, count + 1, VIT_WIDTH], 0.02))
    for _ in range(VIT_DEPTH):
        x = net.node("Add", x, net.attention(net.layer_norm(x, VIT_WIDTH), VIT_WIDTH, VIT_HEADS, count + 1))
        y = net.gelu(net.dense(net.layer_norm(x, VIT_WIDTH), VIT_WIDTH, 4 * VIT_WIDTH))
        x = net.node("Add", x, net.dense(y, 4 * VIT_WIDTH, VIT_WIDTH))
    x = net.node("Gather", net.layer_norm(x, VIT_WIDTH), net.integer(0), axis=1)
    return net.model(net.linear(x, VIT_WIDTH, CLASSES), CLASSES)


ARCHITECTURES: dict[str, Callable[[], onnx.ModelProto]] = {
    "ResNet-50": resnet50,
    "VGG-16": vgg16,
    "MobileNetV2": mobilenet_v2,
    "EfficientNet-Lite0": efficientnet_lite0,
    "DenseNet-121": densenet121,
    "ConvNeXt-T": convnext_t,
    "ViT-B/16": vit_b16,
}


def _inverted_residuals(stages: Iterable[Sequence[int]], stem: int, last: int) -> onnx.ModelProto:
    """A stem, inverted residuals (expand, filter each channel, project), a last 1x1 convolution, the head; ReLU6."""
    net = Graph()
    x, channels = net.relu6(net.conv("image", 3, stem, 3, 2)), stem
    for expansion, out, count, first, kernel in stages:
        for index in range(count):
            stride, wide = (first if not index else 1), channels * expansion
            y = net.relu6(net.conv(x, channels, wide, 1)) if expansion > 1 else x
            y = net.relu6(net.conv(y, wide, wide, kernel, stride, groups=wide))
            y = net.conv(y, wide, out, 1, gain=0.7)
            x = net.node("Add", x, y) if stride == 1 and channels == out else y
            channels = out
    return net.classifier(net.relu6(net.conv(x, channels, last, 1)), last, CLASSES)

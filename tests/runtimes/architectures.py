"""Small seeded networks of the architectures that other runtimes are tried with."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import onnx

from ..graph_rewrites.networks import Net
from ..graph_rewrites.transformers import vit

Size = int | str
CLASSES = 5


def _normalised(net: Net, x: str, channels: int) -> str:
    """Batch normalisation with statistics of its own."""
    scale, bias, mean = (net.const(net.rng.normal(size=channels) / 2 + shift) for shift in (1, 0, 0))
    variance = net.const(net.rng.uniform(0.5, 1.5, channels))
    return net.add("BatchNormalization", x, scale, bias, mean, variance)


def _finish(net: Net, logits: str, batch: Size) -> onnx.ModelProto:
    net.output(net.add("Softmax", logits, axis=1, out="probabilities"), [batch, CLASSES])
    return net.model()


def resnet(batch: Size, size: Sequence[Size]) -> onnx.ModelProto:
    """A strided stem, overlapping max pooling, and two residual blocks, the second strided with a projection."""
    net = Net(seed=1)
    x = net.input("image", [batch, 3, *size])
    x = net.add("Relu", _normalised(net, net.conv(x, 3, 6, strides=[2, 2]), 6))
    x = net.add("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    for index, (c_in, c_out, stride) in enumerate([(6, 6, 1), (6, 8, 2)]):
        inner = net.add("Relu", _normalised(net, net.conv(x, c_in, c_out, strides=[stride] * 2), c_out))
        inner = _normalised(net, net.conv(inner, c_out, c_out), c_out)
        x = x if stride == 1 else net.conv(x, c_in, c_out, 1, strides=[2, 2])
        x = net.add("Relu", net.add("Add", inner, x), out=f"block{index}")
    return _finish(net, net.head(x, 8, CLASSES), batch)


def vgg(batch: Size, size: Sequence[Size]) -> onnx.ModelProto:
    """Convolutions, max pooling, adaptive average pooling written as a mean, and two linear layers."""
    net = Net(seed=2)
    x = net.input("image", [batch, 3, *size])
    for index, (c_in, c_out) in enumerate([(3, 6), (6, 8)]):
        x = net.add("Relu", net.conv(x, c_in, c_out), out=f"relu{index}")
        x = net.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = net.add("ReduceMean", x, axes=[3], keepdims=0)
    x = net.add("Flatten", net.add("ReduceMax", x, axes=[2], keepdims=1), axis=1)
    x = net.add("Relu", net.add("Gemm", x, net.random(7, 8), net.random(7), transB=1))
    return _finish(net, net.add("Gemm", x, net.random(CLASSES, 7), transB=1), batch)


def densenet(batch: Size, size: Sequence[Size]) -> onnx.ModelProto:
    """Two dense blocks of normalisation, ReLU, convolution and concatenation, with average pooling between them."""
    net = Net(seed=3)
    x = net.conv(net.input("image", [batch, 3, *size]), 3, 4)
    channels = 4
    for block in range(2):
        for _ in range(2):
            grown = net.conv(net.add("Relu", _normalised(net, x, channels)), channels, 4)
            x, channels = net.add("Concat", x, grown, axis=1), channels + 4
        x = net.conv(net.add("Relu", _normalised(net, x, channels)), channels, 6, 1, out=f"transition{block}")
        x, channels = net.add("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2]), 6
    return _finish(net, net.head(net.add("Relu", _normalised(net, x, 6)), 6, CLASSES), batch)


def mobilenet(batch: Size, size: Sequence[Size]) -> onnx.ModelProto:
    """A depthwise block with ReLU6, squeeze-and-excitation and hard swish, as in MobileNetV3."""
    net = Net(seed=4)
    x = net.input("image", [batch, 3, *size])
    x = net.add("HardSwish", net.conv(x, 3, 6, strides=[2, 2]))
    depthwise = net.add("Conv", x, net.random(6, 1, 3, 3), net.random(6), group=6, pads=[1] * 4)
    x = net.add("Clip", depthwise, net.const(0.0), net.const(6.0), out="depthwise")
    gate = net.add("Relu", net.conv(net.add("GlobalAveragePool", x), 6, 3, 1))
    x = net.add("Mul", x, net.add("HardSigmoid", net.conv(gate, 3, 6, 1)))
    x = net.add("Relu", net.conv(x, 6, 8, 1), out="last")
    return _finish(net, net.head(x, 8, CLASSES), batch)


def channels_last(batch: Size, size: Sequence[Size]) -> onnx.ModelProto:
    """An NHWC network as written by TensorFlow's exporter: transposes around each convolution."""
    net = Net(seed=5)
    x = net.input("image", [batch, *size, 3])
    for index, (c_in, c_out) in enumerate([(3, 6), (6, 8)]):
        x = net.conv(net.add("Transpose", x, perm=[0, 3, 1, 2]), c_in, c_out, strides=[2, 2])
        x = net.add("Relu", net.add("Transpose", x, perm=[0, 2, 3, 1]), out=f"relu{index}")
    x = net.add("ReduceMean", x, axes=[1, 2], keepdims=0)
    return _finish(net, net.add("MatMul", x, net.random(8, CLASSES)), batch)


def lstm_head(batch: Size, size: Sequence[Size]) -> onnx.ModelProto:
    """A convolution, and a bidirectional LSTM that reads its columns from left to right, as in text recognition."""
    net = Net(seed=6)
    x = net.add("Relu", net.conv(net.input("image", [batch, 3, *size]), 3, 6, strides=[2, 2]), out="maps")
    x = net.add("Transpose", net.add("ReduceMean", x, axes=[2], keepdims=0), perm=[2, 0, 1])
    weights = [net.random(2, 16, 6), net.random(2, 16, 4), net.random(2, 32)]
    x = net.add("LSTM", x, *weights, hidden_size=4, direction="bidirectional")
    x = net.add("ReduceMean", x, axes=[0, 1], keepdims=0)
    return _finish(net, net.add("MatMul", x, net.random(4, CLASSES)), batch)


def transformer(batch: Size, size: Sequence[Size]) -> onnx.ModelProto:
    """A vision transformer with a class token."""
    return vit(size=size, batch=batch)


ARCHITECTURES: dict[str, Callable[[Size, Sequence[Size]], onnx.ModelProto]] = {
    "resnet": resnet,
    "vgg": vgg,
    "densenet": densenet,
    "mobilenet": mobilenet,
    "nhwc": channels_last,
    "vit": transformer,
    "lstm": lstm_head,
}

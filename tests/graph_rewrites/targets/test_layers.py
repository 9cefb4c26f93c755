from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from onnxplain.graph_rewrites.errors import OnnxplainError, UsageError
from onnxplain.graph_rewrites.model.model import read
from onnxplain.graph_rewrites.rewrite import layers, rewrite
from onnxplain.graph_rewrites.targets.axes import channel_axis, spatial_axes
from onnxplain.graph_rewrites.targets.layers import choose_layers

from ..networks import Net, Shape, small_cnn


def default(model: onnx.ModelProto, score: str | None = None) -> str:
    (name,) = [layer.name for layer in layers(model, score=score) if layer.is_default]
    return name


def image_net(shape: Shape = ("N", 3, 16, 16)) -> tuple[Net, str]:
    net = Net()
    return net, net.input("image", shape)


def finish(net: Net, x: str, channels: int) -> onnx.ModelProto:
    net.output(net.head(x, channels, 5), ["N", 5])
    return net.model()


def vgg_like() -> onnx.ModelProto:
    net, x = image_net()
    x = net.add("Relu", net.conv(x, 3, 4), out="relu1")
    x = net.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2], out="pool1")
    x = net.add("Relu", net.conv(x, 4, 4), out="relu2")
    x = net.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2], out="pool2")
    x = net.add("Relu", net.add("Gemm", net.add("Flatten", x), net.random(8, 64), transB=1))
    net.output(net.add("Gemm", x, net.random(5, 8), transB=1, out="logits"), ["N", 5])
    return net.model()


def pre_activation() -> onnx.ModelProto:
    net, x = image_net()
    x = net.conv(x, 3, 4)
    normal = [net.const(np.ones(4)) for _ in range(4)]
    y = net.add("Relu", net.add("BatchNormalization", x, *normal), out="inner_relu")
    x = net.add("Add", x, net.conv(y, 4, 4), out="sum")
    x = net.add("Relu", net.add("BatchNormalization", x, *normal), out="final_relu")
    return finish(net, x, 4)


def inception_like() -> onnx.ModelProto:
    net, x = image_net()
    x = net.add("Relu", net.conv(x, 3, 4), out="stem")
    branches = [net.add("Relu", net.conv(x, 4, 3, size), out=f"branch{size}") for size in (1, 3, 5)]
    pooled = net.add("MaxPool", x, kernel_shape=[3, 3], pads=[1, 1, 1, 1], out="pooled")
    x = net.add("Concat", *branches, pooled, axis=1, out="concat")
    return finish(net, x, 13)


def silu(squeeze: bool) -> onnx.ModelProto:
    net, x = image_net()
    x = net.conv(x, 3, 4)
    x = net.add("Mul", x, net.add("Sigmoid", x), out="silu1")
    if squeeze:
        gate = net.add("Relu", net.conv(net.add("GlobalAveragePool", x), 4, 2, 1), out="squeezed")
        gate = net.add("Sigmoid", net.conv(gate, 2, 4, 1), out="gate")
        x = net.add("Mul", x, gate, out="excited")
    x = net.conv(x, 4, 6)
    x = net.add("Mul", x, net.add("Sigmoid", x), out="silu2")
    return finish(net, x, 6)


def squeeze_last(size: int | str = 16) -> onnx.ModelProto:
    """A squeeze-and-excite block directly before the head."""
    net, x = image_net(("N", 3, size, size))
    x = net.add("Relu", net.conv(x, 3, 4), out="relu")
    gate = net.conv(net.add("GlobalAveragePool", x), 4, 4, 1)
    x = net.add("Mul", x, net.add("HardSigmoid", gate, out="gate"), out="excited")
    return finish(net, x, 4)


def fully_convolutional(size: int | str = 16) -> onnx.ModelProto:
    """Scores by a 1x1 convolution on the pooled features, the output [N, 5, 1, 1]."""
    net, x = image_net(("N", 3, size, size))
    x = net.add("Relu", net.conv(x, 3, 4), out="relu")
    x = net.conv(net.add("GlobalAveragePool", x), 4, 5, 1)
    net.output(x, ["N", 5, 1, 1])
    return net.model()


def conv_head(size: int | str = 16) -> onnx.ModelProto:
    """SqueezeNet's head: class maps by a convolution, then pooling."""
    net, x = image_net(("N", 3, size, size))
    x = net.add("Relu", net.conv(x, 3, 4), out="relu1")
    x = net.add("Relu", net.conv(x, 4, 5, 1), out="class_maps")
    net.output(net.add("Flatten", net.add("GlobalAveragePool", x), out="logits"), ["N", 5])
    return net.model()


def pooled_channels_last() -> onnx.ModelProto:
    """tf2onnx's mean over the last pooling from opset 18 on: the channels moved last, then averaged."""
    net, x = image_net()
    x = net.add("Relu", net.conv(x, 3, 4), out="relu")
    x = net.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2], out="pool")
    x = net.add("Transpose", net.add("Identity", x), perm=[0, 2, 3, 1], out="pool_nhwc")
    x = net.add("ReduceMean", x, axes=[1, 2], keepdims=0)
    net.output(net.add("MatMul", x, net.random(4, 5), out="logits"), ["N", 5])
    return net.model()


def padded_channels_last() -> onnx.ModelProto:
    """jax2onnx's pooling with padding: rectified and padded with the channels last, pooled with the channels first."""
    net, x = image_net()
    x = net.add("Transpose", net.conv(x, 3, 4), perm=[0, 2, 3, 1])
    x = net.add("Pad", net.add("Relu", x, out="relu"), net.const([0, 0, 0, 0, 0, 1, 1, 0], np.int64), out="padded")
    x = net.add("Transpose", x, perm=[0, 3, 1, 2], out="padded_nchw")
    x = net.add("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], out="pool")
    return finish(net, x, 4)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (vgg_like(), "relu2"),
        (pre_activation(), "final_relu"),
        (inception_like(), "concat"),
        (silu(squeeze=False), "silu2"),
        (silu(squeeze=True), "silu2"),
        (squeeze_last(), "excited"),
        (squeeze_last("S"), "excited"),
        (fully_convolutional(), "relu"),
        (fully_convolutional("S"), "relu"),
        (conv_head(), "class_maps"),
        (conv_head("S"), "class_maps"),
        (small_cnn(size=(16,)), "relu2"),
        (small_cnn(size=(8, 8, 8)), "relu2"),
        (small_cnn(size=("H", "W")), "relu2"),
        (pooled_channels_last(), "relu"),
        (padded_channels_last(), "relu"),
    ],
    ids=[
        *("vgg", "pre-activation", "inception", "silu", "squeeze inside", "squeeze last", "squeeze last, open size"),
        *("fully convolutional", "fully convolutional, open size", "conv head", "conv head, open size"),
        *("1-D", "3-D", "open size", "pooled, channels last", "padded, channels last"),
    ],
)
def test_the_default_is_the_last_layer_with_spatial_axes(model: onnx.ModelProto, expected: str) -> None:
    assert default(model) == expected
    assert "onnxplain" in {entry.key for entry in rewrite(model).metadata_props}


def test_layers_are_listed_in_graph_order_with_operator_and_shape() -> None:
    listed = layers(vgg_like())
    assert [(layer.name, layer.op_type) for layer in listed] == [
        ("relu1", "Relu"),
        ("pool1", "MaxPool"),
        ("relu2", "Relu"),
        ("pool2", "MaxPool"),
    ]
    assert [layer.shape for layer in listed] == [("N", 4, 16, 16), ("N", 4, 8, 8), ("N", 4, 8, 8), ("N", 4, 4, 4)]
    assert [layer.is_default for layer in listed] == [False, False, True, False]


def test_a_residual_sum_counts_after_its_activation() -> None:
    net, x = image_net()
    stem = net.add("Relu", net.conv(x, 3, 4), out="stem")
    branch = net.conv(net.add("Relu", net.conv(stem, 4, 4), out="inner"), 4, 4)
    x = net.add("Relu", net.add("Add", branch, stem), out="block")
    assert [layer.name for layer in layers(finish(net, x, 4))] == ["stem", "inner", "block"]


def test_a_layer_with_a_border_is_no_layer_of_its_own() -> None:
    assert [layer.name for layer in layers(padded_channels_last())] == ["relu", "pool"]


def test_a_branch_off_the_path_to_the_score_is_not_listed() -> None:
    net, x = image_net()
    a = net.add("Relu", net.conv(x, 3, 4), out="a")
    b = net.add("Relu", net.conv(a, 4, 4), out="b")
    net.output(net.head(a, 4, 5, out="first"), ["N", 5])
    net.output(net.head(b, 4, 5, out="second"), ["N", 5])
    model = net.model()
    assert default(model, "first") == "a"
    assert [layer.name for layer in layers(model, score="first")] == ["a"]
    assert default(model, "second") == "b"
    with pytest.raises(OnnxplainError, match=r"layer 'b' is not on the path to the score 'first'"):
        rewrite(model, layers="b", score="first")


def test_a_layer_is_chosen_by_tensor_or_by_node_name() -> None:
    work = read(small_cnn())
    (by_node,) = choose_layers(work, "logits", ["last_relu"])
    (by_tensor,) = choose_layers(work, "logits", ["relu2"])
    assert by_node is by_tensor
    assert [t.name for t in choose_layers(work, "logits", ["relu2", "pool1"])] == ["relu2", "pool1"]


def test_an_unknown_layer_names_the_closest() -> None:
    with pytest.raises(UsageError) as error:
        rewrite(small_cnn(), layers="rleu2")
    assert str(error.value) == "net: no layer 'rleu2'; did you mean 'relu2' or 'relu1'?"


@pytest.mark.parametrize("name", ["t6", "logits", "w0"], ids=["flattened", "score", "weight"])
def test_a_tensor_without_spatial_axes_is_refused(name: str) -> None:
    with pytest.raises(OnnxplainError) as error:
        rewrite(small_cnn(), layers=name)
    assert "\n" not in str(error.value)
    assert repr(name) in str(error.value)


def test_a_model_without_convolution_says_so() -> None:
    net = Net()
    x = net.input("x", ["N", 4])
    net.output(net.add("Gemm", x, net.random(3, 4), transB=1, out="y"), ["N", 3])
    assert layers(net.model()) == []
    with pytest.raises(OnnxplainError, match="no convolutional layer with spatial axes"):
        rewrite(net.model())


def nhwc(shape_first: bool = False, inside: bool = True) -> onnx.ModelProto:
    """As TensorFlow exporters write: NHWC at the ends, transposed around convolutions."""
    net = Net()
    x = net.input("image", ["N", 8, 8, 3])
    if shape_first:
        net.output(net.add("Shape", x, out="shape"), [4], TensorProto.INT64)
    x = net.conv(net.add("Transpose", x, perm=[0, 3, 1, 2], out="nchw"), 3, 4)
    x = net.add("Relu", net.add("Transpose", x, perm=[0, 2, 3, 1]) if inside else x, out="layer")
    axes = [1, 2] if inside else [2, 3]
    x = net.add("ReduceMean", x, axes=axes, keepdims=0)
    net.output(net.add("MatMul", x, net.random(4, 5), out="logits"), ["N", 5])
    return net.model()


@pytest.mark.parametrize("shape_first", [False, True], ids=["plain", "input also read by Shape"])
@pytest.mark.parametrize("inside", [False, True], ids=["NCHW layer", "NHWC layer"])
def test_the_channel_axis_is_carried_through_transposes(inside: bool, shape_first: bool) -> None:
    tensors = read(nhwc(shape_first, inside)).graph.tensors()
    assert channel_axis(tensors["image"]) == 3
    assert spatial_axes(tensors["image"]) == [1, 2]
    assert channel_axis(tensors["nchw"]) == 1
    assert channel_axis(tensors["layer"]) == (3 if inside else 1)


def test_the_channel_axis_of_an_nchw_input_that_starts_with_arithmetic_is_1() -> None:
    net, x = image_net()
    x = net.add("Div", net.add("Sub", x, net.const(np.ones((1, 3, 1, 1)))), net.const(2.0))
    model = finish(net, net.add("Relu", net.conv(x, 3, 4), out="layer"), 4)
    tensors = read(model).graph.tensors()
    assert (channel_axis(tensors["image"]), channel_axis(tensors["layer"])) == (1, 1)


def test_a_large_constant_beside_the_layer_does_not_mislead_the_channel_axis() -> None:
    net = Net()
    x = net.input("image", ["N", 8, 8, 3])
    x = net.add("Transpose", net.conv(net.add("Transpose", x, perm=[0, 3, 1, 2]), 3, 300), perm=[0, 2, 3, 1])
    x = net.add("Add", net.const(np.ones((1, 1, 1, 300))), x, out="layer")  # too large to stay in the graph
    x = net.add("ReduceMean", x, axes=[1, 2], keepdims=0)
    net.output(net.add("MatMul", x, net.random(300, 5), out="logits"), ["N", 5])
    assert channel_axis(read(net.model()).graph.tensors()["layer"]) == 3


def segmentation(upsampled: bool, squash: bool) -> onnx.ModelProto:
    net = Net()
    x = net.add("Relu", net.conv(net.input("image", ["N", 3, 8, 8]), 3, 4), out="features")
    x = net.conv(x, 4, 3, size=1)
    if upsampled:
        x = net.add("Resize", x, "", net.const([1.0, 1, 2, 2]), mode="linear")
    x = net.add("Softmax", x, axis=1) if squash else x
    net.output(net.add("Identity", x, out="classes"), ["N", 3, None, None])
    return net.model()


@pytest.mark.parametrize("upsampled", [False, True])
@pytest.mark.parametrize("squash", [False, True])
@pytest.mark.parametrize("score", ["predicted(classes)", "masked(classes)", "classes[:, :, 2, 2]"])
def test_of_segmentation_the_layer_before_the_class_maps_is_the_default(
    score: str, squash: bool, upsampled: bool
) -> None:
    found = layers(segmentation(upsampled, squash), score=score)
    assert [layer.name for layer in found if layer.is_default] == ["features"]
    assert len(found) >= 2


def test_maps_that_are_averaged_to_class_scores_stay_the_default() -> None:
    """As of SqueezeNet: a convolution to classes, then global pooling; the model gives no maps."""
    net = Net()
    x = net.add("Relu", net.conv(net.input("image", ["N", 3, 8, 8]), 3, 4))
    x = net.add("Relu", net.conv(x, 4, 3, size=1), out="class_maps")
    net.output(net.add("Flatten", net.add("GlobalAveragePool", x), out="logits"), ["N", 3])
    assert [layer.name for layer in layers(net.model()) if layer.is_default] == ["class_maps"]

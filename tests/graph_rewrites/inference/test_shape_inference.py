"""Shapes that exporters compute with operators which onnx's own inference does not follow."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from onnxplain.graph_rewrites.model.model import read
from onnxplain.graph_rewrites.vjp import append_vjp

from ..networks import Net, run


def unflattened() -> onnx.ModelProto:
    """`Tensor.unflatten` as exported: the last axis of 6 as [2, 3], the axis counted from the end by `Mod`."""
    net = Net()
    x = net.input("x", [4, 6])
    axis = net.add("Mod", net.const([1], np.int64), net.const([2], np.int64))
    lead = net.add("Slice", net.add("Shape", x), net.const([0], np.int64), axis)
    shape = net.add("Concat", lead, net.const([2, 3], np.int64), axis=0)
    net.add("Relu", net.add("Reshape", x, shape, out="folded"), out="y")
    net.output("y", [4, 2, 3])
    return net.model()


def test_arithmetic_on_constant_integers_is_followed() -> None:
    model = unflattened()
    work = read(model)
    assert work.graph.tensors()["folded"].shape == [4, 2, 3]
    assert [node.op for node in work.graph.nodes] == [node.op_type for node in model.graph.node]


def test_floats_and_long_vectors_are_left_alone() -> None:
    net = Net()
    x = net.input("x", [2])
    net.add("Add", net.const([1.0, 2.0]), net.const([3.0, 4.0]), out="floats")
    net.add("ConstantOfShape", net.const([1000], np.int64), out="long")
    net.output(net.add("Add", x, "floats", out="y"), [2])
    net.output("long", [1000], TensorProto.FLOAT)
    tensors = read(net.model()).graph.tensors()
    assert tensors["floats"].shape == [2]
    assert tensors["long"].shape == [1000]


def test_sizes_that_contradict_the_inputs_are_not_believed() -> None:
    """As jax2onnx leaves them where it moves a Transpose past a node; those of `custom` only the file tells."""
    net = Net()
    x = net.add("Relu", net.conv(net.input("image", ["N", 3, 8, 6]), 3, 4), out="relu")
    x = net.add("Custom", net.add("Neg", net.add("Exp", x, out="exp"), out="neg"), domain="example", out="custom")
    net.output(net.add("Relu", x, out="y"), ["N", 2, 5])
    model = net.model(domains=["example"])
    for name, told in (("relu", ["N", 8, 6, 4]), ("exp", []), ("neg", ["M", 4, 8, 6]), ("custom", ["N", 2, 5])):
        model.graph.value_info.append(onnx.helper.make_tensor_value_info(name, TensorProto.FLOAT, told))
    tensors = read(model).graph.tensors()
    shapes = {name: tensors[name].shape for name in ("relu", "exp", "neg", "custom", "y")}
    maps, rest = ["N", 4, 8, 6], ["N", 2, 5]
    assert shapes == {"relu": maps, "exp": maps, "neg": ["M", 4, 8, 6], "custom": rest, "y": rest}


def test_a_number_is_not_believed_where_the_size_is_an_inputs_open_one() -> None:
    """onnx cannot say 2 T in symbols; what else the file tells stays."""
    net = Net()
    x = net.input("x", ["N", "T", 4])
    net.output(net.add("Relu", net.add("Concat", x, x, axis=1, out="twice"), out="y"), ["M", 10, 4])
    model = net.model()
    model.graph.value_info.append(onnx.helper.make_tensor_value_info("twice", TensorProto.FLOAT, ["N", 10, 4]))
    tensors = read(model).graph.tensors()
    for name in ("twice", "y"):
        assert [tensors[name].shape[0], tensors[name].shape[2]] == ["N", 4]
        assert not isinstance(tensors[name].shape[1], int)
    assert read(model).proto.graph.output[0] == model.graph.output[0]


def test_attention_of_opset_23_is_differentiated_by_its_body() -> None:
    """Its body computes ranks and shapes; the same attention from single operators is the reference."""
    rng = np.random.default_rng(7)
    query, key, value, cotangent = (rng.normal(size=(2, 2, 3, 4)).astype(np.float32) for _ in range(4))

    def attention(fused: bool) -> onnx.ModelProto:
        net = Net(23 if fused else 17)
        q, k, v = (net.input(name, ["N", 2, 3, 4]) for name in "qkv")
        if fused:
            net.add("Attention", q, k, v, out="y")
        else:
            logits = net.add("MatMul", q, net.add("Transpose", k, perm=[0, 1, 3, 2]))
            weights = net.add("Softmax", net.add("Mul", logits, net.const(0.5)), axis=-1)
            net.add("MatMul", weights, v, out="y")
        net.output("y", ["N", 2, 3, 4])
        return append_vjp(net.model(ir_version=10), "y", ["q", "k", "v"])

    feeds = {"q": query, "k": key, "v": value, "y_cotangent": cotangent}
    expected, result = run(attention(False), feeds), run(attention(True), feeds)
    for name in ("y", "q_grad", "k_grad", "v_grad"):
        np.testing.assert_allclose(result[name], expected[name], rtol=1e-4, atol=1e-5)


def opened(axes: dict[int, str | None], forget: bool) -> onnx.ModelProto:
    """A network for images of 32 x 32 with axes opened afterwards; the sizes of before stay in the file."""
    net = Net()
    x = net.conv(net.input("x", [1, 3, 32, 32]), 3, 4, strides=[2, 2])
    x = net.add("MaxPool", net.add("Relu", x, out="relu"), kernel_shape=[2, 2], strides=[2, 2], out="pooled")
    x = net.add("Relu", net.conv(x, 4, 4), out="maps")
    net.output("maps", [1, 4, 8, 8])
    net.output(net.add("Flatten", net.add("GlobalAveragePool", x, out="mean"), out="y"), [1, 4])
    model = onnx.shape_inference.infer_shapes(net.model())
    for axis, name in axes.items():
        dim = model.graph.input[0].type.tensor_type.shape.dim[axis]
        dim.Clear()
        if name:
            dim.dim_param = name
    if forget:
        del model.graph.value_info[:]
        for value in model.graph.output:
            value.type.tensor_type.ClearField("shape")
    return model


@pytest.mark.parametrize(
    "axes", [{2: None}, {3: None}, {2: None, 3: None}, {0: None}, {0: None, 2: None, 3: None}, {0: "N", 3: None}]
)
def test_sizes_of_before_an_axis_was_opened_are_not_believed(axes: dict[int, str | None]) -> None:
    stale, bare = (read(opened(axes, forget)).tensors for forget in (False, True))
    for name in ("relu", "pooled", "maps", "mean", "y"):
        for told, inferred in zip(stale[name].shape, bare[name].shape, strict=True):
            # What is open without the file's sizes is no number with them.
            assert isinstance(told, int) == isinstance(inferred, int)
            if isinstance(told, int):
                assert told == inferred


@pytest.mark.parametrize("axes", [{2: None, 3: None}, {0: None, 3: None}])
def test_a_model_with_sizes_of_before_runs_on_other_sizes(axes: dict[int, str | None]) -> None:
    shape = [2 if 0 in axes else 1, 3, 48 if 2 in axes else 32, 80]
    feeds = {"x": np.random.default_rng(0).normal(size=shape).astype(np.float32)}
    cotangent = {"y_cotangent": np.ones((shape[0], 4), np.float32)}
    stale, bare = (
        run(append_vjp(opened(axes, forget), "y", ["x", "relu"]), {**feeds, **cotangent}) for forget in (False, True)
    )
    for name in ("y", "x_grad", "relu_grad"):
        np.testing.assert_allclose(stale[name], bare[name], rtol=1e-5, atol=1e-7)
    assert bare["x_grad"].any()


def test_a_symbol_that_stands_for_two_sizes_is_believed_once() -> None:
    """The file's symbol says that two tensors are equally long; that follows otherwise from the inputs."""
    net = Net()
    a, b = net.input("a", ["N", None]), net.input("b", ["N", None])
    net.output(net.add("Relu", a, out="left"), ["N", "T"])
    net.output(net.add("Relu", b, out="right"), ["N", "T"])
    model = net.model()
    for name in ("left", "right"):
        model.graph.value_info.append(onnx.helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", "T"]))
    tensors = read(model).tensors
    assert tensors["left"].shape[1] is None or tensors["left"].shape[1] != tensors["right"].shape[1]

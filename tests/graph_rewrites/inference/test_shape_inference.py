"""Shapes that exporters compute with operators which onnx's own inference does not follow."""

from __future__ import annotations

import numpy as np
import onnx
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

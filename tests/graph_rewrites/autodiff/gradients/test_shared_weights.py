"""Square weights, which a node and its gradient would read in the same sizes, are two tensors at run time."""

from __future__ import annotations

from collections.abc import Callable

import onnx
import pytest
from onnxplain.graph_rewrites.vjp import append_vjp

from ...networks import Net


def conv(net: Net, c_in: int, c_out: int, group: int = 1) -> str:
    weight = net.random(c_out, c_in // group, 3, 3, name="weight")
    return net.add("Conv", net.input("x", [2, c_in, 6, 6]), weight, pads=[1] * 4, strides=[2, 2], group=group, out="y")


def matmul(net: Net, c_in: int, c_out: int) -> str:
    return net.add("MatMul", net.input("x", [2, 3, c_in]), net.random(c_in, c_out, name="weight"), out="y")


def transposed(net: Net, c_in: int, c_out: int) -> str:
    weight = net.add("Transpose", net.random(c_out, c_in, name="weight"), perm=[1, 0])
    return net.add("MatMul", net.input("x", [2, 3, c_in]), weight, out="y")


def gemm(net: Net, c_in: int, c_out: int) -> str:
    return net.add("Gemm", net.input("x", [2, c_in]), net.random(c_out, c_in, name="weight"), transB=1, out="y")


def copies(model: onnx.ModelProto) -> list[list[str]]:
    """What the Max nodes of the gradient read."""
    return [list(node.input) for node in model.graph.node if node.op_type == "Max"]


@pytest.mark.parametrize("layer", [conv, matmul, transposed, gemm])
def test_the_gradient_reads_a_square_weight_as_a_tensor_of_its_own(layer: Callable[..., str]) -> None:
    for c_in, c_out, expected in ((20, 20, 1), (20, 12, 0)):
        net = Net()
        net.output(layer(net, c_in, c_out))
        model = append_vjp(net.model(), "y", ["x"])
        assert len(copies(model)) == expected
        assert [tensor.name for tensor in model.graph.initializer].count("weight") == 1


@pytest.mark.parametrize(("group", "expected"), [(1, 1), (4, 1), (20, 0)])
def test_of_a_convolution_in_groups_the_sizes_within_a_group_count(group: int, expected: int) -> None:
    # In depthwise convolutions, a group's weight is one number a position: swapping its axes changes nothing.
    net = Net()
    net.output(conv(net, 20, 20, group))
    assert len(copies(append_vjp(net.model(), "y", ["x"]))) == expected


def test_what_is_no_weight_is_read_as_it_is() -> None:
    net = Net()
    net.output(net.add("MatMul", net.input("a", [4, 4]), net.input("b", [4, 4]), out="y"))
    assert not copies(append_vjp(net.model(), "y", ["a", "b"]))

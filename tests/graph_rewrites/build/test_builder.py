from __future__ import annotations

import itertools

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import pytest
from onnx import TensorProto, helper
from onnxplain.graph_rewrites.autodiff.cotangents import sum_to
from onnxplain.graph_rewrites.build.emitter import Emitter
from onnxplain.graph_rewrites.errors import OnnxplainError
from onnxplain.graph_rewrites.graph.tensors import Tensor, dtype_of, value_of
from onnxplain.graph_rewrites.model.model import read
from onnxplain.graph_rewrites.model.writing import write
from onnxplain.graph_rewrites.vjp import append_vjp

from ..networks import Net, Shape, f32, run

Sizes = tuple[int | str, ...]


def emitter(shape: Shape = ("N", 3), dtype: int = TensorProto.FLOAT, opset: int = 17) -> tuple[Emitter, Tensor]:
    """An emitter on the model y = -x, and its x."""
    net = Net(opset=opset)
    net.output(net.add("Neg", net.input("x", shape, dtype), out="y"), shape, dtype)
    op = Emitter(read(net.model()))
    return op, op.model.graph.inputs[0]


def finish(op: Emitter, result: Tensor) -> onnx.ModelProto:
    op.model.graph.outputs.append(result)
    return write(op.model)


def test_names_are_unique_when_the_model_uses_the_prefix_already() -> None:
    net = Net()
    x = net.add("Neg", net.input("onnxplain/Mul", [2]), out="onnxplain/Mul_1", name="onnxplain/Mul_2")
    net.output(net.add("Neg", x, out="y"), [2])
    op = Emitter(read(net.model()))
    product = op.Mul(op.model.graph.inputs[0], 2.0)
    assert product.name == "onnxplain/Mul_3"
    assert op.Mul(product, 2.0).name == "onnxplain/Mul_4"
    onnx.checker.check_model(write(op.model), full_check=True)


def test_a_twice_differentiated_model_has_unique_names() -> None:
    net = Net()
    x = net.input("x", [2])
    net.output(net.add("Mul", net.add("Mul", x, x), x, out="y"), [2])
    twice = append_vjp(append_vjp(net.model(), "y", "x"), "y", "x")
    onnx.checker.check_model(twice, full_check=True)
    made = [name for node in twice.graph.node for name in node.output]
    assert len(made) == len(set(made))


def test_scopes_nest_and_end() -> None:
    op, x = emitter()
    with op.scope("outer"), op.scope("/inner/"):
        assert op.Neg(x).name == "onnxplain/outer/inner/Neg"
    with pytest.raises(ZeroDivisionError), op.scope("failing"):
        raise ZeroDivisionError
    assert op.Neg(x).name == "onnxplain/Neg"


def test_a_claimed_name_is_prefixed_until_it_is_free() -> None:
    op, _ = emitter()
    assert [op.claim("x"), op.claim("x"), op.claim("z")] == ["onnxplain_x", "onnxplain_onnxplain_x", "z"]


def test_a_static_shape_is_a_constant_and_an_open_one_a_shared_node() -> None:
    op, x = emitter((2, 3))
    assert value_of(op.shape(x)).tolist() == [2, 3]  # type: ignore[union-attr]
    assert len(op.nodes) == 1
    op, x = emitter(("N", 3))
    assert op.shape(x) is op.shape(x)
    assert value_of(op.sizes(x, [1])).tolist() == [3]  # type: ignore[union-attr]
    assert value_of(op.sizes(x, [-1])).tolist() == [3]  # type: ignore[union-attr]
    assert [node.op for node in op.nodes] == ["Neg", "Shape"]
    both = finish(op, op.sizes(x, [1, 0, -2]))
    np.testing.assert_array_equal(list(run(both, {"x": np.ones((7, 3), np.float32)}).values())[1], [3, 7, 7])


def test_constants_are_shared_by_dtype_shape_and_value() -> None:
    op, _ = emitter()
    same = [op.constant(np.array([1, 2])), op.constant(np.array([1, 2]))]
    assert same[0] is same[1]
    others = [np.array([1, 2], np.int32), np.array([[1, 2]]), np.array([1, 3]), np.array([1.0, 2.0])]
    assert len({op.constant(values).name for values in others} | {same[0].name}) == 5
    assert op.constant(np.array(0.0)) is not op.constant(np.array(-0.0))


@pytest.mark.parametrize("dtype", [TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.INT64])
def test_a_number_takes_the_dtype_of_the_tensor_beside_it(dtype: int) -> None:
    op, x = emitter(dtype=dtype)
    for result in (op.Mul(x, 3), op.Sub(1, x)):
        assert dtype_of(result) == dtype
        assert result.shape == ["N", 3]
    assert value_of(op.tensor(3, x)).dtype == helper.tensor_dtype_to_np_dtype(dtype)  # type: ignore[union-attr]
    with pytest.raises(TypeError, match="needs a tensor beside it"):
        op.Neg(1.0)


def test_bfloat16_is_carried() -> None:
    op, x = emitter(dtype=TensorProto.BFLOAT16)
    assert dtype_of(op.Mul(x, 3)) == TensorProto.BFLOAT16
    onnx.checker.check_model(finish(op, op.Mul(x, 3)), full_check=True)


def test_nodes_inserted_at_a_place_keep_the_topological_order() -> None:
    net = Net()
    x = net.add("Neg", net.input("x", ["N", 3]), out="a")
    net.output(net.add("Exp", x, out="y"), ["N", 3])
    op = Emitter(read(net.model()))
    a = op.model.graph.tensors()["a"]
    (consumer,) = a.outputs
    op.shape(a)
    with op.inserting_at(1):
        moved = op.Reshape(op.Add(a, 1.0), op.shape(a))
    consumer.inputs[0] = moved
    assert [node.op for node in op.model.graph.nodes] == ["Neg", "Add", "Shape", "Reshape", "Exp", "Shape"]
    model = write(op.model)
    feeds = {"x": f32([[1, 2, 3]])}
    np.testing.assert_allclose(run(model, feeds)["y"], np.exp(1 - feeds["x"]))


def test_an_impossible_emission_names_operator_place_and_shapes() -> None:
    op, x = emitter((2, 3))
    with pytest.raises(OnnxplainError) as error, op.scope("somewhere"):
        op.MatMul(x, x)
    assert "cannot emit MatMul at 'onnxplain/somewhere/MatMul'" in str(error.value)
    assert "x [2, 3]" in str(error.value)
    assert "\n" not in str(error.value)


def test_lower_case_attributes_are_no_operators() -> None:
    op, _ = emitter()
    with pytest.raises(AttributeError):
        _ = op.relu


SUMS = [
    ((2, 3, 4), (2, 3, 4)),
    ((2, 3, 4), (1, 3, 4)),
    ((2, 3, 4), (2, 1, 1)),
    ((2, 3, 4), (4,)),
    ((2, 3, 4), (3, 1)),
    ((2, 3, 4), (1,)),
    ((2, 3, 4), ()),
    ((2, 1, 4), (2, 1, 1)),
    ((1, 3, 4), (3, 4)),
    ((1, 1), (1, 1)),
]


@pytest.mark.parametrize(("big", "small"), SUMS)
@pytest.mark.parametrize("openness", ["static", "big open", "small open", "both open", "same symbols"])
def test_sum_to_undoes_broadcasting(big: tuple[int, ...], small: tuple[int, ...], openness: str) -> None:
    def declared(shape: tuple[int, ...], prefix: str, is_open: bool) -> list[int | str]:
        return [f"{prefix}{size}" if is_open else size for size in shape]

    same = openness == "same symbols"
    net = Net()
    x = net.input("x", declared(big, "s" if same else "x", openness in ("big open", "both open", "same symbols")))
    # A symbol may stand for any size, 1 included; one symbol for both says that the sizes are equal.
    small_declared: list[int | str] = declared(small, "y", openness in ("small open", "both open"))
    if same:
        small_declared = [f"s{size}" if size != 1 else 1 for size in small]
    y = net.input("y", small_declared)
    net.output(net.add("Add", x, y, out="sum"))
    op = Emitter(read(net.model()))
    first, second = op.model.graph.inputs
    result = op.Identity(sum_to(op, first, second))
    model = finish(op, result)
    values = np.random.default_rng(0).normal(size=big).astype(np.float32)
    (total,) = itertools.islice(run(model, {"x": values, "y": np.zeros(small, np.float32)}).values(), 1, None)
    lead = values.ndim - len(small)
    axes = (*range(lead), *(lead + i for i, size in enumerate(small) if size == 1))
    assert total.shape == small
    np.testing.assert_allclose(total, values.sum(axis=axes, keepdims=True).reshape(small), rtol=1e-5, atol=1e-6)


def test_sum_to_of_equal_static_shapes_emits_nothing() -> None:
    op, x = emitter((2, 3))
    assert sum_to(op, x, x) is x
    assert len(op.nodes) == 1


@pytest.mark.parametrize("opset", [17, 20])  # ReduceMax and ReduceMin, or what CUDA has in their place
@pytest.mark.parametrize("axes", [(1,), (0, 2), (0, 1, 2)])
@pytest.mark.parametrize("keepdims", [True, False])
def test_extremes_over_axes(opset: int, axes: tuple[int, ...], keepdims: bool) -> None:
    op, x = emitter(("N", 3, "W"), opset=opset)
    values = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    results = [op.reduce(name, x, axes, keepdims=keepdims) for name in ("ReduceMax", "ReduceMin")]
    op.model.graph.outputs.extend(results)
    _, largest, smallest = run(write(op.model), {"x": values}).values()
    np.testing.assert_array_equal(largest, values.max(axis=axes, keepdims=keepdims))
    np.testing.assert_array_equal(smallest, values.min(axis=axes, keepdims=keepdims))


def test_value_of_sees_initializers_constants_and_their_identities() -> None:
    net = Net()
    x = net.input("x", [2])
    constant = net.add("Constant", value_floats=[1.0, 2.0], out="constant")
    integer = net.add("Constant", value_int=3, out="integer")
    alias = net.add("Identity", constant, out="alias")
    for other in (constant, alias, net.const([5.0, 6.0], name="initializer")):
        x = net.add("Add", x, other)
    net.output(net.add("Pow", x, integer, out="y"), [2])
    tensors = read(net.model()).graph.tensors()
    for name, expected in (("constant", [1, 2]), ("alias", [1, 2]), ("initializer", [5, 6]), ("integer", 3)):
        np.testing.assert_array_equal(value_of(tensors[name]), expected)
    assert value_of(tensors["x"]) is None
    assert value_of(None) is None
    assert isinstance(tensors["initializer"], gs.Constant)

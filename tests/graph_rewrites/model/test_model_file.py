from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxplain.graph_rewrites.model.model import read
from onnxplain.graph_rewrites.model.writing import write
from onnxplain.graph_rewrites.rewrite import rewrite
from onnxplain.graph_rewrites.vjp import append_vjp

from ..networks import Net, explain, images, names_of, run, small_cnn

# --- the caller's model ---


def test_the_callers_model_is_not_changed() -> None:
    model = small_cnn(squash="Softmax")
    before = model.SerializeToString(deterministic=True)
    rewrite(model)
    append_vjp(model, "logits", ["image", "relu1"])
    assert model.SerializeToString(deterministic=True) == before


def test_the_callers_old_model_is_not_changed() -> None:
    model = small_cnn(opset=11)
    before = model.SerializeToString(deterministic=True)
    rewrite(model)
    assert model.SerializeToString(deterministic=True) == before


# --- nothing is lost ---


def rich_model() -> onnx.ModelProto:
    """A model with everything that a graph library may drop."""
    net = Net()
    x = net.input("image", ["N", 3, 8, 8])
    a = net.add("Relu", net.conv(x, 3, 4), out="a", name="relu")
    net.output(net.head(a, 4, 5), ["N", 5])
    model = net.model(domains=["com.example"])
    model.producer_name, model.producer_version, model.domain, model.model_version = "maker", "1.2", "org.example", 7
    model.doc_string, model.graph.doc_string = "the model", "the graph"
    helper.set_model_props(model, {"author": "someone", "classes": "a,b"})
    model.graph.metadata_props.add(key="graph_key", value="graph_value")
    model.graph.node[0].doc_string = "a convolution"
    model.graph.node[0].metadata_props.add(key="namespace", value="features.0")
    model.graph.input[0].doc_string = "an image"
    annotation = model.graph.quantization_annotation.add(tensor_name="a")
    annotation.quant_parameter_tensor_names.add(key="SCALE_TENSOR", value="w0")
    return model


def test_a_round_trip_keeps_everything() -> None:
    model = rich_model()
    result = write(read(model))
    assert list(result.graph.node) == list(model.graph.node)
    assert list(result.graph.input) == list(model.graph.input)
    assert list(result.graph.output) == list(model.graph.output)
    assert result.metadata_props == model.metadata_props
    assert result.graph.metadata_props == model.graph.metadata_props
    assert result.graph.quantization_annotation == model.graph.quantization_annotation
    assert result.opset_import == model.opset_import
    for field in ("producer_name", "producer_version", "domain", "model_version", "doc_string", "ir_version"):
        assert getattr(result, field) == getattr(model, field), field
    assert result.graph.doc_string == "the graph"
    before = {t.name: t for t in model.graph.initializer}
    assert {t.name: t for t in result.graph.initializer} == before


def test_an_explained_model_keeps_everything() -> None:
    model = rich_model()
    result = rewrite(model)
    nodes = {node.output[0]: node for node in result.graph.node}
    assert nodes["t0"] == model.graph.node[0]
    assert nodes["a"] == model.graph.node[1]
    props = {entry.key: entry.value for entry in result.metadata_props}
    assert props["author"] == "someone"
    assert set(props) == {"author", "classes", "onnxplain"}
    assert result.graph.quantization_annotation == model.graph.quantization_annotation
    assert result.producer_name == "maker"
    assert result.opset_import == model.opset_import


def test_an_old_model_keeps_its_metadata() -> None:
    model = rich_model()
    model.opset_import[0].version = 13
    model.graph.ClearField("quantization_annotation")
    result = rewrite(model)
    props = {entry.key: entry.value for entry in result.metadata_props}
    assert (props["author"], props["classes"]) == ("someone", "a,b")
    assert (result.producer_name, result.producer_version) == ("maker", "1.2")
    assert (result.doc_string, result.graph.name) == ("the model", "net")
    assert {o.domain: o.version for o in result.opset_import}[""] == 17


def test_attributes_of_every_kind_survive() -> None:
    sparse = helper.make_sparse_tensor(
        helper.make_tensor("", TensorProto.FLOAT, [1], [2.0]), helper.make_tensor("", TensorProto.INT64, [1], [3]), [5]
    )
    optional = helper.make_optional_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, [2]))
    nodes = [
        helper.make_node("Constant", [], ["sparse"], sparse_value=sparse),
        helper.make_node("Optional", [], ["nothing"], type=optional),
        helper.make_node("Constant", [], ["text"], value_string="text"),
        helper.make_node("Constant", [], ["tensor"], value=numpy_helper.from_array(np.ones((2, 2), np.float32), "t")),
        helper.make_node("Conv", ["x", "w"], ["y"], auto_pad="SAME_UPPER", dilations=[1, 1]),
    ]
    graph = helper.make_graph(
        nodes,
        "attributes",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 4, 4])],
        [numpy_helper.from_array(np.ones((1, 1, 3, 3), np.float32), "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    assert list(write(read(model)).graph.node) == nodes
    assert list(append_vjp(model, "y", "x").graph.node)[: len(nodes)] == nodes


def with_branches() -> onnx.ModelProto:
    """An If after the layer; its branches use an outer initializer, and one of their own."""
    net = Net()
    x = net.input("image", ["N", 3, 8, 8])
    flag = net.input("flag", [], TensorProto.BOOL)
    outer = net.const([2.0], name="outer")
    out = helper.make_tensor_value_info("score", TensorProto.FLOAT, [1])
    branches = [
        helper.make_graph(
            [
                helper.make_node("Add", ["outer", "inner"], ["cam"]),
                helper.make_node("Mul", ["cam", "outer"], ["score"]),
            ],
            name,
            [],
            [out],
            [numpy_helper.from_array(np.array([value], np.float32), "inner")],
        )
        for name, value in (("then", 1.0), ("else", 3.0))
    ]
    net.add("If", flag, then_branch=branches[0], else_branch=branches[1], out="factor")
    a = net.add("Relu", net.conv(net.add("Mul", x, "factor"), 3, 4), out="a")
    net.output(net.add("Mul", net.head(a, 4, 5, out="head"), outer, out="logits"), ["N", 5])
    return net.model()


@pytest.mark.parametrize("flag", [True, False])
def test_subgraphs_survive_and_their_names_are_not_shadowed(flag: bool) -> None:
    model = with_branches()
    feeds = {"image": np.random.default_rng(0).normal(size=(2, 3, 8, 8)).astype(np.float32), "flag": np.array(flag)}
    explained = rewrite(model, outputs=["score", "cam", "heatmap", "logits"])
    got, plain = explain(explained, feeds), run(model, feeds)
    np.testing.assert_array_equal(got["logits"], plain["logits"])
    assert got["cam"].shape == (2, 1, 8, 8)
    assert names_of(explained.graph.output) == ["logits", "onnxplain_score", "onnxplain_cam", "heatmap"]


def test_an_unused_initializer_keeps_its_name() -> None:
    net = Net()
    x = net.input("image", ["N", 3, 8, 8])
    net.const([1], np.int64, name="target")
    net.const([1.0], name="cam")
    net.output(net.head(net.add("Relu", net.conv(x, 3, 4)), 4, 5), ["N", 5])
    model = net.model()
    explained = rewrite(model)
    names = names_of(explained.graph.input) + names_of(explained.graph.output)
    assert "onnxplain_target" in names
    assert "onnxplain_cam" in names
    assert {"target", "cam"} <= {t.name for t in explained.graph.initializer}
    assert explain(explained, images(model))["cam"].shape == (2, 1, 8, 8)


def test_a_sparse_initializer_survives() -> None:
    values = numpy_helper.from_array(np.array([2.0, 3.0], np.float32), "scale")
    indices = numpy_helper.from_array(np.array([1, 3], np.int64), "indices")
    net = Net()
    x = net.input("image", ["N", 3, 2, 2])
    a = net.add("Relu", net.conv(x, 3, 4), out="a")
    net.output(net.add("Mul", net.head(a, 4, 5, out="head"), "scale", out="logits"), ["N", 5])
    model = net.model()
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [5]))
    explained = rewrite(model)
    assert explained.graph.sparse_initializer == model.graph.sparse_initializer
    assert "scale" not in {t.name for t in explained.graph.initializer}
    # ONNX Runtime takes a sparse initializer for a dense operand; onnx's full check does not.
    feeds = images(model) | {"target": np.array([[0, 1], [2, 3]])}
    got, plain = run(explained, feeds, check=False), run(model, images(model), check=False)
    np.testing.assert_allclose(got["logits"], plain["logits"], rtol=1e-6)
    # dy^c/dA is scale_c times the weights of class c: zero where the sparse scale has no entry.
    assert np.abs(got["cam"][:, 0]).max() == 0
    assert np.abs(got["score"][0, 1]) > 0


@pytest.mark.parametrize("large", [False, True], ids=["small weight", "large weight"])
def test_a_weight_that_is_also_an_input_stays_overridable(large: bool) -> None:
    channels = 64 if large else 4
    net = Net()
    x = net.input("image", ["N", 3, 8, 8])
    a = net.add("Relu", net.conv(x, 3, channels), out="a")
    net.output(net.head(a, channels, 5), ["N", 5])
    weight = next(t for t in net.initializers if list(t.dims) == [5, channels])
    net.input(weight.name, [5, channels])
    model = net.model()
    explained = rewrite(model)
    assert set(names_of(explained.graph.input)) == {"image", weight.name, "target"}
    feeds = images(model)
    override = {weight.name: np.full([5, channels], 0.5, np.float32)}
    default, changed = explain(explained, feeds, [[0], [1]]), explain(explained, feeds | override, [[0], [1]])
    assert np.abs(default["cam"] - changed["cam"]).max() > 1e-3
    np.testing.assert_allclose(changed["logits"], run(model, feeds | override)["logits"], rtol=1e-6)
    np.testing.assert_allclose(default["logits"], run(model, feeds)["logits"], rtol=1e-6)


def test_an_ir_3_file_lists_its_weights_as_inputs_and_the_explained_model_does_not() -> None:
    model = small_cnn(opset=8)
    model.ir_version = 3
    listed = [helper.make_tensor_value_info(t.name, t.data_type, list(t.dims)) for t in model.graph.initializer]
    model.graph.input.extend(listed)
    explained = rewrite(model)
    assert names_of(explained.graph.input) == ["image", "target"]
    feeds = images(model)
    np.testing.assert_allclose(explain(explained, feeds)["logits"], run(model, feeds)["logits"], rtol=1e-6)


# --- functions ---


def test_model_local_functions_are_inlined_also_nested_ones() -> None:
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]
    inner = helper.make_function(
        "local", "Activate", ["x"], ["y"], [helper.make_node("Relu", ["x"], ["y"])], opsets[:1]
    )
    outer = helper.make_function(
        "local",
        "Block",
        ["x", "w", "b"],
        ["y"],
        [
            helper.make_node("Conv", ["x", "w", "b"], ["c"], pads=[1, 1, 1, 1]),
            helper.make_node("Activate", ["c"], ["y"], domain="local"),
        ],
        opsets,
    )
    net = Net()
    x = net.input("image", ["N", 3, 8, 8])
    for channels in (3, 4):
        x = net.add("Block", x, net.random(4, channels, 3, 3), net.random(4), domain="local", out=f"block{channels}")
    net.output(net.head(x, 4, 5), ["N", 5])
    model = net.model(domains=["local"])
    model.functions.extend([inner, outer])
    explained = rewrite(model)
    assert not explained.functions
    assert {node.domain for node in explained.graph.node} == {""}
    feeds = images(model)
    got, plain = explain(explained, feeds, [[0, 1], [2, 3]]), run(model, feeds, check=False)
    np.testing.assert_allclose(got["logits"], plain["logits"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(got["score"], [plain["logits"][0, :2], plain["logits"][1, 2:4]], rtol=1e-5, atol=1e-6)

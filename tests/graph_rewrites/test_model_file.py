from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxplain.graph_rewrites import model_file
from onnxplain.graph_rewrites.errors import OnnxplainError
from onnxplain.graph_rewrites.model_file import load, read, save, write
from onnxplain.graph_rewrites.rewrite import rewrite
from onnxplain.graph_rewrites.vjp import append_vjp

from .networks import Net, explain, images, names_of, run, small_cnn


def assert_one_line(error: pytest.ExceptionInfo[OnnxplainError], *parts: str) -> None:
    message = str(error.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


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


# --- external data ---


def external(folder: Path, location: str = "weights.bin") -> Path:
    path = folder / "model.onnx"
    onnx.save(small_cnn(), path, save_as_external_data=True, location=location, size_threshold=0)
    return path


def test_external_data_is_read(tmp_path: Path) -> None:
    path = external(tmp_path)
    feeds = images(small_cnn())
    got, expected = explain(rewrite(path), feeds, [[0], [1]]), explain(rewrite(small_cnn()), feeds, [[0], [1]])
    for name, value in expected.items():
        np.testing.assert_array_equal(got[name], value, err_msg=name)
    assert not any(t.external_data for t in load(path).graph.initializer)


def test_missing_external_data_is_an_error(tmp_path: Path) -> None:
    path = external(tmp_path)
    (tmp_path / "weights.bin").unlink()
    for action in (rewrite, load):
        with pytest.raises(OnnxplainError) as error:
            action(path)
        assert_one_line(error, str(path), "weights.bin", "missing")


@pytest.mark.parametrize("kind", ["parent", "absolute", "symlink"])
def test_external_data_outside_the_folder_is_refused(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "inside"
    folder.mkdir()
    path = external(folder)
    outside = tmp_path / "outside.bin"
    (folder / "weights.bin").rename(outside)
    location = {"parent": "../outside.bin", "absolute": str(outside), "symlink": "link.bin"}[kind]
    if kind == "symlink":
        (folder / "link.bin").symlink_to(outside)
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = location
    path.write_bytes(model.SerializeToString())
    for action in (rewrite, load):
        with pytest.raises(OnnxplainError) as error:
            action(path)
        assert_one_line(error, str(path), "outside the model's folder", location)


def test_external_data_that_is_too_short_is_an_error(tmp_path: Path) -> None:
    path = external(tmp_path)
    data = tmp_path / "weights.bin"
    data.write_bytes(data.read_bytes()[:100])
    for action in (rewrite, load):
        with pytest.raises(OnnxplainError) as error:
            action(path)
        assert_one_line(error, str(path))


def test_external_data_whose_stated_length_does_not_fit_the_shape_is_an_error(tmp_path: Path) -> None:
    path = external(tmp_path)
    model = onnx.load(path, load_external_data=False)
    for entry in model.graph.initializer[0].external_data:
        if entry.key == "length":
            entry.value = str(int(entry.value) - 8)
    path.write_bytes(model.SerializeToString())
    for action in (rewrite, load):
        with pytest.raises(OnnxplainError) as error:
            action(path)
        assert_one_line(error, str(path))


# --- old operator sets ---


def old_cnn(opset: int) -> onnx.ModelProto:
    """A CNN in the forms of its operator set: parameters that are attributes there and inputs today."""
    net = Net(opset, seed=opset)
    x = net.input("image", [2, 3, 8, 8])
    x = net.conv(x, 3, 4)
    positive = [net.const(net.rng.uniform(0.5, 1.5, 4)) for _ in range(4)]
    x = net.add("BatchNormalization", x, *positive, epsilon=1e-3)
    if opset < 11:
        x = net.add("Clip", x, min=0.0, max=6.0)
        x = net.add("Pad", x, mode="constant", pads=[0, 0, 1, 1, 0, 0, 1, 1], value=0.25)
    else:
        x = net.add("Clip", x, net.const(0.0), net.const(6.0))
        x = net.add("Pad", x, net.const([0, 0, 1, 1, 0, 0, 1, 1], np.int64), net.const(0.25))
    if opset < 9:
        x = net.add("Upsample", x, mode="nearest", scales=[1.0, 1.0, 2.0, 2.0])
    elif opset < 10:
        x = net.add("Upsample", x, net.const([1.0, 1.0, 2.0, 2.0]), mode="nearest")
    elif opset < 11:
        x = net.add("Resize", x, net.const([1.0, 1.0, 2.0, 2.0]), mode="nearest")
    else:
        x = net.add("Resize", x, net.const([], np.float32), net.const([1.0, 1.0, 2.0, 2.0]), mode="nearest")
    x = net.add("Relu", net.conv(x, 4, 4), out="features")
    if opset < 13:
        x = net.add("ReduceSum", x, axes=[2, 3], keepdims=1)
        x = net.add("Squeeze", x, axes=[2, 3])
    else:
        x = net.add("ReduceSum", x, net.const([2, 3], np.int64), keepdims=1)
        x = net.add("Squeeze", x, net.const([2, 3], np.int64))
    x = net.add("Dropout", x)
    x = net.add("Gemm", x, net.random(5, 4), net.random(5), transB=1)
    net.output(net.add("Softmax", x, axis=1, out="probabilities"), [2, 5])
    return net.model(ir_version=3 if opset < 9 else 6)


@pytest.mark.parametrize("opset", [7, 8, 9, 10, 11, 12, 13, 15])
def test_an_old_model_is_raised_and_computes_the_same(opset: int) -> None:
    model = old_cnn(opset)
    if model.ir_version == 3:
        weights = [helper.make_tensor_value_info(t.name, t.data_type, list(t.dims)) for t in model.graph.initializer]
        model.graph.input.extend(weights)
    explained = rewrite(model, outputs=["score", "cam", "heatmap", "logits"])
    assert {o.domain: o.version for o in explained.opset_import}[""] == 17
    feeds = {"image": np.random.default_rng(2).normal(size=(2, 3, 8, 8)).astype(np.float32)}
    plain, got = run(model, feeds, check=False), explain(explained, feeds, [[1], [4]])
    np.testing.assert_allclose(got["probabilities"], plain["probabilities"], rtol=1e-5, atol=1e-6)
    logits = got["logits"]
    exponentials = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    softmax = exponentials / exponentials.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(softmax, plain["probabilities"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(got["score"][:, 0], [logits[0, 1], logits[1, 4]], rtol=1e-6)
    assert got["cam"].max() > 0


@pytest.mark.parametrize("opset", [17, 18, 19, 20, 21, 22])
def test_a_newer_model_keeps_its_opset(opset: int) -> None:
    model = small_cnn(opset=opset)
    model.ir_version = 10
    explained = rewrite(model)
    assert explained.opset_import[0].version == opset
    assert explained.ir_version == 10
    reference = explain(rewrite(small_cnn()), images(model), [[0, 1], [2, 3]])
    got = explain(explained, images(model), [[0, 1], [2, 3]])
    for name in ("logits", "score", "cam", "heatmap"):
        np.testing.assert_allclose(got[name], reference[name], rtol=1e-5, atol=1e-6)


# --- files that are no models ---


def _truncated(path: Path) -> None:
    path.write_bytes(small_cnn().SerializeToString()[:-40])


@pytest.mark.parametrize(
    "make",
    [
        lambda path: None,
        lambda path: path.mkdir(),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_text("not a model, but a text\n"),
        lambda path: path.write_bytes(bytes(range(256)) * 10),
        _truncated,
    ],
    ids=["missing", "directory", "empty", "text", "bytes", "truncated"],
)
def test_a_file_that_is_no_model_is_a_one_line_error(tmp_path: Path, make: Callable[[Path], object]) -> None:
    path = tmp_path / "model.onnx"
    make(path)
    with pytest.raises(OnnxplainError) as error:
        rewrite(path)
    assert_one_line(error, str(path))


def test_an_inconsistent_model_is_a_one_line_error() -> None:
    net = Net()
    x = net.input("image", [1, 3, 8, 8])
    net.output(net.add("NoSuchOperator", net.conv(x, 3, 4), out="y"), [1, 4, 8, 8])
    with pytest.raises(OnnxplainError) as error:
        append_vjp(net.model(), "y", "image")
    assert_one_line(error, "NoSuchOperator")


# --- writing files ---


def test_a_saved_model_is_read_back(tmp_path: Path) -> None:
    model = rewrite(small_cnn())
    save(model, tmp_path / "explained.onnx")
    assert onnx.load(tmp_path / "explained.onnx") == model
    assert [path.name for path in tmp_path.iterdir()] == ["explained.onnx"]


def test_a_large_model_is_saved_with_its_weights_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_file, "MAX_PROTO_BYTES", 1000)
    net = Net()
    x = net.input("image", ["N", 3, 8, 8])
    net.output(net.head(net.add("Relu", net.conv(x, 3, 64)), 64, 5), ["N", 5])
    model = rewrite(net.model())
    before = model.SerializeToString(deterministic=True)
    path = tmp_path / "explained.onnx"
    for _ in range(2):  # a second time over the first
        save(model, path)
    assert sorted([path.name for path in tmp_path.iterdir()]) == ["explained.onnx", "explained.onnx.data"]
    assert model.SerializeToString(deterministic=True) == before
    feeds = images(net.model()) | {"target": np.array([[0, 1], [2, 3]])}
    got, expected = run(str(path), feeds), run(model, feeds)
    for name, value in expected.items():
        np.testing.assert_array_equal(got[name], value)
    assert read(path).name == str(path)


@pytest.mark.parametrize("large", [False, True])
def test_a_failed_write_leaves_the_folder_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large: bool
) -> None:
    path, data = tmp_path / "explained.onnx", tmp_path / "explained.onnx.data"
    path.write_bytes(b"old model")
    data.write_bytes(b"old data")
    real = onnx.save

    def failing(*args: object, **options: object) -> None:
        real(*args, **options)  # type: ignore[arg-type]
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(onnx, "save", failing)
    if large:
        monkeypatch.setattr(model_file, "MAX_PROTO_BYTES", 10)
    with pytest.raises(OnnxplainError) as error:
        save(rewrite(small_cnn()), path)
    assert_one_line(error, str(path), "No space left on device")
    assert (path.read_bytes(), data.read_bytes()) == (b"old model", b"old data")
    assert sorted([path.name for path in tmp_path.iterdir()]) == ["explained.onnx", "explained.onnx.data"]


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OnnxplainError) as error:
        save(small_cnn(), tmp_path / "none" / "explained.onnx")
    assert_one_line(error, "explained.onnx", "choose a writable folder")


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        if os.access(tmp_path, os.W_OK):
            pytest.skip("this user may write everywhere")
        with pytest.raises(OnnxplainError) as error:
            save(small_cnn(), tmp_path / "explained.onnx")
        assert_one_line(error, "Permission denied", "choose a writable folder")
    finally:
        tmp_path.chmod(stat.S_IRWXU)

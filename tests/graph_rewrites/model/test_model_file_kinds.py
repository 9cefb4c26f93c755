"""Reading files of other kinds (external data, old opsets, broken ones), and saving."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper
from onnxplain.graph_rewrites.errors import OnnxplainError
from onnxplain.graph_rewrites.model import model_file
from onnxplain.graph_rewrites.model.model import load, read
from onnxplain.graph_rewrites.model.model_file import save
from onnxplain.graph_rewrites.rewrite import rewrite
from onnxplain.graph_rewrites.vjp import append_vjp

from ..messages import assert_one_line
from ..networks import Net, explain, images, run, small_cnn

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


# --- other domains and forms that the version converter gets wrong ---


def test_a_scan_with_a_batch_axis_is_refused() -> None:
    """onnx 1.23's converter drops the batch axis of a Scan of opset 8, from the graph's inputs too."""
    model = onnx.parser.parse_model(
        """<ir_version: 3, opset_import: ["" : 8]>
        g (float[1,2] start, float[1,3,2] x) => (float[1,2] y, float[1,3,2] z) {
            y, z = Scan ("", start, x) <num_scan_inputs: int = 1, body: graph = b (float[2] s, float[2] v)
                => (float[2] t, float[2] u) { t = Add (s, v) u = Identity (t) }>
        }"""
    )
    with pytest.raises(OnnxplainError) as error:
        append_vjp(model, "y", "x")
    assert_one_line(error, "change the shape of input 'start'")


def test_a_model_without_the_default_domain() -> None:
    opsets = [helper.make_opsetid("ai.onnx.ml", 3)]
    node = helper.make_node("ArrayFeatureExtractor", ["x", "i"], ["y"], domain="ai.onnx.ml")
    x, i, y = (
        helper.make_tensor_value_info(name, kind, shape)
        for name, kind, shape in (("x", 1, [2, 3]), ("i", 7, [1]), ("y", 1, [2, 1]))
    )
    model = helper.make_model(helper.make_graph([node], "g", [x, i], [y]), opset_imports=opsets, ir_version=8)
    explained = append_vjp(model, "y", "x")
    feeds = {"x": np.zeros((2, 3), np.float32), "i": np.array([1]), "y_cotangent": np.ones((2, 1), np.float32)}
    np.testing.assert_array_equal(run(explained, feeds)["x_grad"], [[0, 1, 0]] * 2)

"""Triton model repositories: folders, versions, and a configuration that says what ONNX Runtime says of the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from onnxplain import OnnxplainError, rewrite
from onnxplain.engine.runtime import session, triton
from onnxplain.engine.runtime.triton import write_triton_model
from onnxplain.graph_rewrites.model import model_file
from onnxplain.graph_rewrites.model.metadata import add_metadata, read_metadata

from ...graph_rewrites.messages import assert_one_line
from ...graph_rewrites.networks import Net, images, run, small_cnn
from .triton_schema import parse

TARGETS = np.array([[0, -1], [3, 2]])


def config_of(model: onnx.ModelProto, folder: Path, name: str = "net") -> dict[str, Any]:
    """The configuration that is written for a model."""
    write_triton_model(model, folder, name)
    return parse((folder / name / "config.pbtxt").read_text(encoding="utf-8"))


def tensors(config: dict[str, Any], kind: str = "input") -> dict[str, tuple[str, list[int]]]:
    """Data type and dims by name."""
    return {one["name"]: (one["data_type"], one["dims"]) for one in config[kind]}


def with_ports(*outputs: tuple[str, int, list[Any]], batch: str | int = "N") -> onnx.ModelProto:
    """A small network explained that hands further inputs, `in_<name>`, on to further outputs."""
    net = Net(seed=2)
    x = net.add("Relu", net.conv(net.input("image", [batch, 3, 8, 8]), 3, 4))
    net.output(net.head(x, 4, 5), [batch, 5])
    for name, dtype, shape in outputs:
        net.output(net.add("Identity", net.input(f"in_{name}", shape, dtype), out=name), shape, dtype)
    return rewrite(net.model(), score="logits")


def test_the_embedded_model(efficientnet: Path, tmp_path: Path) -> None:
    explained = rewrite(efficientnet)
    assert write_triton_model(explained, tmp_path / "models", "cat") == tmp_path / "models" / "cat" / "1" / "model.onnx"
    folder = tmp_path / "models" / "cat"
    assert sorted(path.name for path in folder.iterdir()) == ["1", "config.pbtxt", "labels.txt"]
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["cat"]
    config = parse((folder / "config.pbtxt").read_text())
    assert config == {
        "name": "cat",
        "backend": "onnxruntime",
        "max_batch_size": 8,
        "dynamic_batching": {},
        "input": [
            {"name": "image", "data_type": "TYPE_FP32", "dims": [3, 224, 224]},
            {"name": "target", "data_type": "TYPE_INT64", "dims": [-1]},
        ],
        "output": [
            {"name": "logits", "data_type": "TYPE_FP32", "dims": [1000], "label_filename": "labels.txt"},
            {"name": "score", "data_type": "TYPE_FP32", "dims": [-1]},
            {"name": "cam", "data_type": "TYPE_FP32", "dims": [-1, 7, 7]},
            {"name": "heatmap", "data_type": "TYPE_FP32", "dims": [-1, 224, 224]},
        ],
    }
    assert (folder / "labels.txt").read_text().splitlines() == read_metadata(explained)["labels"]  # type: ignore[index]
    assert onnx.load(folder / "1" / "model.onnx") == explained


def test_the_model_runs_from_there_and_requests_run_together_as_alone(tmp_path: Path) -> None:
    explained = rewrite(small_cnn())
    served = str(write_triton_model(explained, tmp_path, "net"))
    feeds = {**images(explained), "target": TARGETS}
    expected = run(explained, feeds)
    for name, value in run(served, feeds).items():
        np.testing.assert_array_equal(value, expected[name])
    alone = [run(served, {name: value[row : row + 1] for name, value in feeds.items()}) for row in range(2)]
    for name, value in expected.items():
        np.testing.assert_allclose(np.concatenate([one[name] for one in alone]), value, atol=1e-6)


def test_a_fixed_batch_is_not_batched_by_triton(tmp_path: Path) -> None:
    config = config_of(rewrite(small_cnn(batch=1)), tmp_path)
    assert config["max_batch_size"] == 0
    assert "dynamic_batching" not in config
    assert tensors(config) == {"image": ("TYPE_FP32", [1, 3, 8, 8]), "target": ("TYPE_INT64", [1, 1])}
    assert tensors(config, "output") == {
        "logits": ("TYPE_FP32", [1, 5]),
        "score": ("TYPE_FP32", [1, 1]),
        "cam": ("TYPE_FP32", [1, 1, 4, 4]),
        "heatmap": ("TYPE_FP32", [1, 1, 8, 8]),
    }


def test_open_sides(tmp_path: Path) -> None:
    config = config_of(rewrite(small_cnn(size=("H", "W"))), tmp_path)
    assert config["max_batch_size"] == 8
    assert tensors(config)["image"] == ("TYPE_FP32", [3, -1, -1])
    assert tensors(config, "output")["heatmap"] == ("TYPE_FP32", [-1, -1, -1])


@pytest.mark.parametrize("shape", [["boxes", 4], [None, 4], [1, 4], []], ids=str)
def test_one_output_without_the_batch_in_front_and_nothing_is_batched(tmp_path: Path, shape: list[Any]) -> None:
    config = config_of(with_ports(("other", TensorProto.FLOAT, shape)), tmp_path)
    assert config["max_batch_size"] == 0
    assert "dynamic_batching" not in config
    dims = [size if isinstance(size, int) else -1 for size in shape] or [1]
    assert tensors(config, "output")["other"] == tensors(config)["in_other"] == ("TYPE_FP32", dims)
    assert tensors(config)["image"] == ("TYPE_FP32", [-1, 3, 8, 8])
    assert tensors(config)["target"] == ("TYPE_INT64", [-1, -1])


def test_a_tensor_of_nothing_but_the_batch_is_reshaped(tmp_path: Path) -> None:
    config = config_of(with_ports(("ids", TensorProto.INT64, ["N"])), tmp_path)
    assert config["max_batch_size"] == 8
    for one in (config["input"][1], config["output"][1]):
        assert (one["dims"], one["reshape"]) == ([1], {})
    assert not any("reshape" in one for one in (config["input"][0], *config["output"][2:]))


def test_every_data_type(tmp_path: Path) -> None:
    names = ["BOOL", "STRING", "FLOAT16", "FLOAT", "DOUBLE"]
    names += [f"{sign}INT{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)]
    ports = [(name, getattr(TensorProto, name), ["N", 2]) for name in names]
    found = tensors(config_of(with_ports(*ports), tmp_path), "output")
    triton_names = {"FLOAT16": "FP16", "FLOAT": "FP32", "DOUBLE": "FP64"}
    for name in names:
        assert found[name] == (f"TYPE_{triton_names.get(name, name)}", [2])


def test_dims_are_those_that_onnx_runtime_infers(tmp_path: Path) -> None:
    model = small_cnn()
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_param = "classes"
    assert tensors(config_of(rewrite(model), tmp_path), "output")["logits"] == ("TYPE_FP32", [5])


def test_several_layers_and_names_that_need_quoting(tmp_path: Path) -> None:
    model = small_cnn()
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = ['späte "Karte"\\2' if name == "relu2" else name for name in names]
    config = config_of(rewrite(model, layers=["relu1", 'späte "Karte"\\2']), tmp_path)
    assert tensors(config, "output") == {
        "logits": ("TYPE_FP32", [5]),
        "score": ("TYPE_FP32", [-1]),
        "cam@relu1": ("TYPE_FP32", [-1, 8, 8]),
        "heatmap@relu1": ("TYPE_FP32", [-1, 8, 8]),
        'cam@späte "Karte"\\2': ("TYPE_FP32", [-1, 4, 4]),
        'heatmap@späte "Karte"\\2': ("TYPE_FP32", [-1, 8, 8]),
    }


def labelled(labels: list[str], **options: Any) -> onnx.ModelProto:
    explained = rewrite(small_cnn(), **options)
    add_metadata(explained, labels=labels)
    return explained


def test_labels_stand_at_the_output_that_ranks_the_classes_alone(tmp_path: Path) -> None:
    assert "labels.txt" in str(config_of(labelled(["a", "b c", "d\ne", "f", "g"]), tmp_path, "all"))
    assert (tmp_path / "all" / "labels.txt").read_text() == "a\nb c\nd e\nf\ng\n"
    for name, model in {
        "another score": labelled(["a", "b", "c"], score="logits[:, :3]"),
        "too few": labelled(["a", "b", "c"]),
    }.items():
        assert "labels.txt" not in str(config_of(model, tmp_path, name))
        assert not (tmp_path / name / "labels.txt").exists()


def test_the_next_version_keeps_the_configuration(tmp_path: Path) -> None:
    write_triton_model(rewrite(small_cnn()), tmp_path, "net")
    config = tmp_path / "net" / "config.pbtxt"
    tuned = config.read_text().replace("max_batch_size: 8", "max_batch_size: 32") + "instance_group [{ count: 2 }]\n"
    config.write_text(tuned)
    for name in ("07", "draft"):  # Triton takes neither for a version
        (tmp_path / "net" / name).mkdir()
    (tmp_path / "net" / "1").rename(tmp_path / "net" / "9")
    retrained = rewrite(small_cnn(seed=1))
    assert write_triton_model(retrained, tmp_path, "net") == tmp_path / "net" / "10" / "model.onnx"
    assert config.read_text() == tuned
    assert onnx.load(tmp_path / "net" / "10" / "model.onnx") == retrained
    assert sorted(path.name for path in (tmp_path / "net").iterdir()) == ["07", "10", "9", "config.pbtxt", "draft"]


def test_another_model_under_the_same_name_is_refused(tmp_path: Path) -> None:
    write_triton_model(labelled(list("abcde")), tmp_path, "net")
    (tmp_path / "notes").mkdir()
    (tmp_path / "file").write_text("notes")
    (tmp_path / "torn" / "1").mkdir(parents=True)
    (tmp_path / "torn" / "1" / "model.onnx").write_bytes(b"torn")
    before = sorted(tmp_path.rglob("*"))
    for model, name, words in (
        (rewrite(small_cnn(classes=6)), "net", ["other inputs or outputs"]),
        (rewrite(small_cnn(batch=1)), "net", ["other inputs or outputs"]),
        (rewrite(small_cnn(), layers=["relu1", "relu2"]), "net", ["other inputs or outputs"]),
        (labelled(list("abcdf")), "net", ["other class names"]),
        (rewrite(small_cnn()), "notes", ["no Triton model"]),
        (rewrite(small_cnn()), "file", ["no Triton model"]),
        (rewrite(small_cnn()), "torn", ["not an ONNX file"]),
    ):
        with pytest.raises(OnnxplainError) as error:
            write_triton_model(model, tmp_path, name)
        assert_one_line(error, str(tmp_path / name), *words)
    assert sorted(tmp_path.rglob("*")) == before


def bfloat16() -> onnx.ModelProto:
    return with_ports(("half", TensorProto.BFLOAT16, ["N", 2]))


def sequence() -> onnx.ModelProto:
    model = small_cnn()
    model.graph.node.append(onnx.helper.make_node("SequenceConstruct", ["logits"], ["list"]))
    model.graph.output.append(onnx.helper.make_tensor_sequence_value_info("list", TensorProto.FLOAT, None))
    return rewrite(model, score="logits")


def unknown_rank() -> onnx.ModelProto:
    return with_ports(("any", TensorProto.FLOAT, None))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (bfloat16, ["'in_half'", "tensor(bfloat16)"]),
        (sequence, ["'list'", "seq(tensor(float))"]),
        (unknown_rank, ["'in_any'", "number of axes"]),
    ],
)
def test_what_triton_cannot_serve_is_refused(tmp_path: Path, build: Any, words: list[str]) -> None:
    with pytest.raises(OnnxplainError) as error:
        write_triton_model(build(), tmp_path / "models", "net")
    assert_one_line(error, "net", *words)
    assert not (tmp_path / "models").exists()


def test_a_file_in_place_of_the_repository(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("notes")
    for repository, words in (("models", "is a file"), ("models/deeper", "cannot be written")):
        with pytest.raises(OnnxplainError) as error:
            write_triton_model(rewrite(small_cnn()), tmp_path / repository, "net")
        assert_one_line(error, str(tmp_path / repository), words)


def test_nothing_is_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill_the_disk(model: onnx.ModelProto, path: Path) -> None:
        path.write_bytes(model.SerializeToString()[:100])
        raise OSError(28, "No space left on device")

    explained = rewrite(small_cnn())
    write_triton_model(explained, tmp_path, "old")
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setattr(triton, "save", fill_the_disk)
    for name in ("old", "new"):
        with pytest.raises(OnnxplainError) as error:
            write_triton_model(explained, tmp_path, name)
        assert_one_line(error, str(tmp_path / name), "No space left")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_model_past_two_gigabytes_is_a_folder_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = Net(seed=1)
    maps = net.add("Relu", net.conv(net.input("image", ["N", 3, 8, 8]), 3, 40))
    net.output(net.head(maps, 40, 5), ["N", 5])
    explained = rewrite(net.model())
    for module in (triton, model_file, session):
        monkeypatch.setattr(module, "MAX_PROTO_BYTES", 1000)
    path = write_triton_model(explained, tmp_path, "net")
    assert path == tmp_path / "net" / "1" / "model.onnx" / "model.onnx"
    assert sorted(file.name for file in path.parent.iterdir()) == ["model.onnx", "model.onnx.data"]
    feeds = {**images(explained), "target": TARGETS}
    for name, value in run(str(path), feeds).items():
        np.testing.assert_array_equal(value, run(explained, feeds)[name])

"""The command `rewrite`, run as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from ..graph_rewrites.networks import small_cnn
from .command_line import Run, assert_refused


def test_an_explained_model_needs_no_flags(tmp_path: Path, convnet: Path, photo: Path, run_here: Run) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("ant\nbee\ncat\ndog\n")
    given = ["--preprocess", "raw,scale=1/255", "--labels", "labels.txt"]
    assert run_here(tmp_path, "rewrite", "convnet.onnx", "-o", "explained.onnx", *given).returncode == 0
    direct = run_here(tmp_path, "explain", "convnet.onnx", "photo.png", *given, "-t", "top5", "--json")
    assert_refused(direct, 2, "top5", "4")
    direct = run_here(
        tmp_path, "explain", "convnet.onnx", "photo.png", *given, "-t", "bee", "-t", "-1", "--npy", "--json"
    )
    again = run_here(
        tmp_path, "explain", "explained.onnx", "photo.png", "-t", "bee", "-t", "-1", "-o", "again", "--npy", "--json"
    )
    first, second = json.loads(direct.stdout), json.loads(again.stdout)
    assert [row["label"] for row in first] == [row["label"] for row in second]
    assert first[0]["label"] == "bee"
    for one, other in zip(first, second, strict=True):
        assert one["score"] == pytest.approx(other["score"], rel=1e-6)
        names = [Path(row["overlay"]).with_suffix(".npy") for row in (one, other)]
        np.testing.assert_allclose(*(np.load(tmp_path / name) for name in names), atol=1e-6)


def test_an_explained_model_at_the_input_needs_no_flags(folder: Path, run_here: Run) -> None:
    given = ["--preprocess", "raw,scale=1/255"]
    run_here(folder, "rewrite", "vgg.onnx", "-o", "guided.onnx", "--method", "guided-grad-cam", *given)
    result = run_here(folder, "explain", "guided.onnx", "photo.png", "-t", "2", "--npy", "--json")
    assert result.returncode == 0, result.stderr
    direct = run_here(
        folder, "explain", "vgg.onnx", "photo.png", *given, "--method", "guided-grad-cam", "-t", "2", "--npy"
    )
    assert direct.returncode == 0, direct.stderr
    assert json.loads(result.stdout)[0]["method"] == "guided-grad-cam"
    assert np.load(folder / "explanations" / "photo_2.npy").max() > 0.5


def test_a_method_of_many_runs_is_no_file(folder: Path, run_here: Run) -> None:
    result = run_here(folder, "rewrite", "vgg.onnx", "--method", "occlusion")
    assert_refused(result, 2, "occlusion", "many times", "Explainer")


def test_rewrite_adds_a_model_to_a_triton_repository(tmp_path: Path, run_here: Run) -> None:
    onnx.save(small_cnn(), tmp_path / "net.onnx")
    for version in (1, 2):
        result = run_here(tmp_path, "rewrite", "net.onnx", "--triton", "models", "--json")
        assert result.returncode == 0, result.stderr
        file = f"models/net/{version}/model.onnx"
        summary = json.loads(result.stdout)
        assert (summary["path"], summary["triton"]) == (file, file)
        assert summary["bytes"] == (tmp_path / file).stat().st_size
    assert sorted(path.name for path in tmp_path.iterdir()) == ["models", "net.onnx"]

    result = run_here(tmp_path, "rewrite", "net.onnx", "--triton", "models", "-o", "cat.onnx")
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "cat.onnx").read_bytes() == (tmp_path / "models/cat/1/model.onnx").read_bytes()
    assert 'name: "cat"\n' in (tmp_path / "models/cat/config.pbtxt").read_text()

    other = run_here(tmp_path, "rewrite", "net.onnx", "--triton", "models", "--method", "gradient", "-o", "cat.onnx")
    assert_refused(other, 1, "models/cat/1/model.onnx", "other inputs or outputs")
    assert_refused(run_here(tmp_path, "rewrite", "net.onnx", "--triton", "net.onnx"), 1, "net.onnx", "folder")
    assert sorted(path.name for path in (tmp_path / "models/cat").iterdir()) == ["1", "config.pbtxt"]

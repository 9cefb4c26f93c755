"""`onnxplain rewrite --triton`, run as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import onnx

from ..graph_rewrites.networks import small_cnn
from .test_cli import assert_refused, run


def test_rewrite_adds_a_model_to_a_triton_repository(tmp_path: Path) -> None:
    onnx.save(small_cnn(), tmp_path / "net.onnx")
    for version in (1, 2):
        result = run(tmp_path, "rewrite", "net.onnx", "--triton", "models", "--json")
        assert result.returncode == 0, result.stderr
        file = f"models/net/{version}/model.onnx"
        summary = json.loads(result.stdout)
        assert (summary["path"], summary["triton"]) == (file, file)
        assert summary["bytes"] == (tmp_path / file).stat().st_size
    assert sorted(path.name for path in tmp_path.iterdir()) == ["models", "net.onnx"]

    result = run(tmp_path, "rewrite", "net.onnx", "--triton", "models", "-o", "cat.onnx")
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "cat.onnx").read_bytes() == (tmp_path / "models/cat/1/model.onnx").read_bytes()
    assert 'name: "cat"\n' in (tmp_path / "models/cat/config.pbtxt").read_text()

    other = run(tmp_path, "rewrite", "net.onnx", "--triton", "models", "--method", "gradient", "-o", "cat.onnx")
    assert_refused(other, 1, "models/cat/1/model.onnx", "other inputs or outputs")
    assert_refused(run(tmp_path, "rewrite", "net.onnx", "--triton", "net.onnx"), 1, "net.onnx", "folder")
    assert sorted(path.name for path in (tmp_path / "models/cat").iterdir()) == ["1", "config.pbtxt"]

"""The command `layers`, run as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

from .command_line import Run


def test_layers_marks_the_default(tmp_path: Path, convnet: Path, run_here: Run) -> None:
    found = json.loads(run_here(tmp_path, "layers", "convnet.onnx", "--json").stdout)
    assert [(layer["name"], layer["is_default"]) for layer in found] == [("features", True)]
    assert "features" in run_here(tmp_path, "layers", "convnet.onnx").stdout

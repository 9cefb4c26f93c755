"""The command `layers`, run as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

from .command_line import run


def test_layers_marks_the_default(tmp_path: Path, convnet: Path) -> None:
    found = json.loads(run(tmp_path, "layers", "convnet.onnx", "--json").stdout)
    assert [(layer["name"], layer["is_default"]) for layer in found] == [("features", True)]
    assert "features" in run(tmp_path, "layers", "convnet.onnx").stdout

"""The command `check`, run as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

from .command_line import Run


def test_check_certifies_a_model_with_open_sizes(tmp_path: Path, convnet: Path, run_here: Run) -> None:
    result = run_here(tmp_path, "check", "convnet.onnx", "--json")
    assert result.returncode == 0, result.stdout + result.stderr
    certificate = json.loads(result.stdout)
    names = [finding["name"] for finding in certificate["findings"]]
    assert names == [
        *("original outputs", "finite", "images apart", "classes apart", "placement"),
        *("runtime gradient", "layer gradient", "input gradient"),
    ]
    assert certificate["passed"]
    assert ["Conv", 1, "rule"] in certificate["to_input"]

"""The command `sweep`, run as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest

from .command_line import Run, assert_refused

RAW = ["--preprocess", "raw,scale=1/255,size=8x8"]


def test_sweep_explains_every_layer(folder: Path, run_here: Run) -> None:
    command = ["sweep", "residual.onnx", "photo.png", *RAW, "-t", "3"]
    result = run_here(folder, *command, "--json")
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    layers = [layer["name"] for layer in json.loads(run_here(folder, "layers", "residual.onnx", "--json").stdout)]
    assert [row["layer"] for row in found["layers"]] == layers
    assert {row["target"] for row in found["layers"]} == {3}
    assert found["layers"][-1]["rank_correlation"] == pytest.approx(1)
    assert found["memory"] > 2**20
    assert cv2.imread(str(folder / "sweep.png")).std() > 20
    printed = run_here(folder, *command, "--layers", "blocks", "-o", "blocks.jpg").stdout
    assert "block" in printed
    assert "stem" not in printed
    assert "rewriting" in printed
    assert (folder / "blocks.jpg").is_file()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["plain.onnx", "photo.png", "--layers", "blocks"], 1, ["none of its 3 layers", "residual block"]),
        (["plain.onnx", "photo.png", "--method", "gradient"], 2, ["explains the input"]),
        (["plain.onnx", "photo.png", "--layer", "relu3"], 2, ["'relu3'", "relu2"]),
        (["plain.onnx"], 2, ["no image given"]),
    ],
)
def test_a_sweep_that_cannot_be_is_one_line(
    folder: Path, run_here: Run, arguments: list[str], code: int, words: list[str]
) -> None:
    assert_refused(run_here(folder, "sweep", *arguments, *RAW), code, *words)
    assert not (folder / "sweep.png").exists()

"""The command `compare`, run as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest
from onnxplain.engine.multi_pass.registry import MULTI_PASS
from onnxplain.graph_rewrites.maps.registry import METHODS

from .command_line import Run, assert_refused

RAW = ["--preprocess", "raw,scale=1/255,size=16x16"]
ALL = [*METHODS, *MULTI_PASS]


@pytest.mark.parametrize("model", ["vgg", "residual"])
def test_every_method_explains_the_model(folder: Path, run_here: Run, model: str) -> None:
    size = RAW if model == "vgg" else ["--preprocess", "raw,scale=1/255,size=8x8"]
    methods = [name for name in ALL if (model, name) != ("vgg", "cam")]
    result = run_here(folder, "compare", f"{model}.onnx", "photo.png", *size, "--methods", ",".join(methods), "--json")
    assert result.returncode == 0, result.stderr
    rows = json.loads(result.stdout)
    assert [row["row"] for row in rows] == methods
    assert len({row["target"] for row in rows}) == 1
    assert len({round(row["score"], 4) for row in rows}) == 1
    assert cv2.imread(str(folder / "comparison.png")).std() > 20


def test_a_method_that_the_model_does_not_allow_is_named_and_the_others_drawn(folder: Path, run_here: Run) -> None:
    result = run_here(folder, "compare", "vgg.onnx", "photo.png", *RAW, "--methods", "cam,grad-cam", "--json")
    assert result.returncode == 1
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("error: cam: vgg.onnx: CAM needs global average pooling")
    assert [row["row"] for row in json.loads(result.stdout)] == ["grad-cam"]
    assert_refused(run_here(folder, "compare", "vgg.onnx", "photo.png", *RAW, "--methods", "cam"), 1, "CAM needs")


def test_all_layers_by_two_methods(folder: Path, run_here: Run) -> None:
    command = ["compare", "vgg.onnx", "photo.png", *RAW, "--methods", "grad-cam,gradient", "--layers", "all", "--json"]
    rows = json.loads(run_here(folder, *command).stdout)
    layers = [layer["name"] for layer in json.loads(run_here(folder, "layers", "vgg.onnx", "--json").stdout)]
    assert [row["layer"] for row in rows] == [*layers, None]
    assert rows[-1]["column"] == "input"

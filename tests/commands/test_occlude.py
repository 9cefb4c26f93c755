"""The command `occlude`, run as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from onnxplain.engine.evaluation.measures.rank_correlation import rank_correlation

from .command_line import Run, assert_refused

RAW = ["--preprocess", "raw,scale=1/255,size=16x16"]


def test_occlude_draws_a_row_for_each_size(folder: Path, run_here: Run) -> None:
    command = ["occlude", "vgg.onnx", "photo.png", *RAW, "--size", "3", "--size", "6", "--stride", "4", "-t", "0"]
    rows = json.loads(run_here(folder, *command, "-o", "o.png", "--json").stdout)
    assert [row["row"] for row in rows] == ["3 pixels", "6 pixels"]
    assert cv2.imread(str(folder / "o.png")).std() > 20
    assert "rank_correlation" not in rows[0]
    assert_refused(run_here(folder, *command, "--fill", "black"), 2, "'fill'", "mean, zero, blur")


def test_occlude_compares_each_size_with_another_method(folder: Path, run_here: Run) -> None:
    command = ["occlude", "vgg.onnx", "photo.png", *RAW, "--size", "3", "--stride", "4", "-t", "0", "-t", "top1"]
    rows = json.loads(run_here(folder, *command, "--against", "gradient", "--json").stdout)
    assert [row["row"] for row in rows] == ["gradient", "gradient", "3 pixels", "3 pixels"]
    base = ["--preprocess", RAW[1], "--npy", "-t", "0"]
    run_here(folder, "explain", "vgg.onnx", "photo.png", *base, "--method", "gradient", "-o", "gradient")
    patches = ["--option", "size=3", "--option", "stride=4"]
    run_here(folder, "explain", "vgg.onnx", "photo.png", *base, "--method", "occlusion", *patches, "-o", "occlusion")
    maps = [np.load(folder / method / "photo_0.npy") for method in ("gradient", "occlusion")]
    assert rows[2]["rank_correlation"] == pytest.approx(rank_correlation(*maps), abs=1e-12)
    assert "rank_correlation" not in rows[0]
    assert_refused(run_here(folder, *command, "--against", "grad-camm"), 2, "'grad-camm'", "grad-cam")

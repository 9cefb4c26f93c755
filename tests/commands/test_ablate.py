"""The command `ablate`, run as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from onnxplain.engine.evaluation.measures.pointing import energy_inside
from onnxplain.engine.experiments.ablation import ABLATIONS

from .command_line import Run, assert_refused

RAW = ["--preprocess", "raw,scale=1/255,size=8x8"]


def test_ablate_draws_what_each_part_of_grad_cam_does(folder: Path, run_here: Run) -> None:
    command = ["ablate", "residual.onnx", "photo.png", *RAW, "--layer", "stem"]
    result = run_here(folder, *command, "-t", "3", "-t", "top1", "--json")
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert [row["ablation"] for row in found["drawn"]] == 2 * list(ABLATIONS)
    assert found["measured"] == 0
    assert cv2.imread(str(folder / "ablation.png")).std() > 20
    assert "1 x 6 maps" in run_here(folder, *command).stdout
    plain = run_here(folder, "ablate", "plain.onnx", "photo.png", *RAW)
    assert plain.returncode == 0
    assert "guided ReLU: left out" in plain.stderr
    assert "1 x 4 maps" in plain.stdout


def test_ablate_draws_the_first_images_and_names_what_fails(folder: Path, run_here: Run) -> None:
    (folder / "broken.png").write_bytes(b"\x89PNG")
    given = ["photo.png", "broken.png"]
    result = run_here(folder, "ablate", "residual.onnx", *given, *RAW)
    assert result.returncode == 1
    assert "broken.png" in result.stderr
    assert (folder / "ablation.png").is_file()
    assert "the first 1 of 2 images" in run_here(folder, "ablate", "residual.onnx", *given, *RAW, "--draw", "1").stderr
    assert_refused(run_here(folder, "ablate", "residual.onnx"), 2, "no images given")


def test_ablate_measures_where_boxes_are_given(folder: Path, run_here: Run) -> None:
    (folder / "photos").mkdir()
    (folder / "photo.png").rename(folder / "photos" / "photo.png")
    lines = ["image,label,x0,y0,x1,y1", "photo.png,cat,2,3,20,18", "photo.png,dog,0,0,9,9", "gone.png,cat,0,0,5,5"]
    (folder / "boxes.csv").write_text("\n".join(lines))
    (folder / "classes.csv").write_text("cat,3\ndog,\n")
    command = ["ablate", "residual.onnx", "photos", *RAW, "--layer", "stem", "--annotations", "boxes.csv"]
    result = run_here(folder, *command, "--mapping", "classes.csv", "--json")
    assert result.returncode == 1
    assert "gone.png" in result.stderr
    found = json.loads(result.stdout)
    assert found["measured"] == 1
    assert list(found["measures"]) == list(ABLATIONS)
    assert {row["target"] for row in found["drawn"]} == {3}
    run_here(folder, "explain", "residual.onnx", "photos", *RAW, "--layer", "stem", "-t", "3", "--npy")
    (path,) = (folder / "explanations").glob("*.npy")
    region = np.zeros((20, 24), np.bool_)
    region[3:18, 2:20] = True
    inside = energy_inside(np.load(path), region)
    assert found["measures"]["Grad-CAM"]["energy inside"] == pytest.approx(inside, abs=1e-6)
    assert "guided ReLU" in run_here(folder, *command, "--mapping", "classes.csv").stdout
    assert_refused(run_here(folder, *command), 2, "'cat'", "--labels")
    assert_refused(run_here(folder, *command, "-t", "1"), 2, "--target or --annotations")
    assert_refused(run_here(folder, *command, "--annotations", "none.csv"), 1, "none.csv", "no such")

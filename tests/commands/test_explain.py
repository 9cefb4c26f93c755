"""The command `explain`, run as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

from ..graph_rewrites.networks import Net
from .command_line import Run, assert_refused

RAW = ["--preprocess", "raw,scale=1/255,size=16x16"]


def test_explain_without_arguments_lights_the_cat(tmp_path: Path, run_here: Run) -> None:
    result = run_here(tmp_path, "explain", "--json", "--npy")
    assert result.returncode == 0, result.stderr
    (row,) = json.loads(result.stdout)
    assert (row["target"], row["label"]) == (285, "Egyptian cat")
    heatmap = np.load(tmp_path / "explanations" / "chelsea_285_Egyptian-cat.npy")
    picture = cv2.imread(str(tmp_path / row["overlay"]))
    assert heatmap.shape == picture.shape[:2] == (300, 451)
    # The face fills the middle of the photo; the background lies along its right edge.
    assert heatmap[60:280, 60:350].mean() > 3 * heatmap[:, 400:].mean()
    assert heatmap.max() == pytest.approx(1, abs=0.02)


def test_a_folder_is_explained_and_the_broken_file_named(
    tmp_path: Path, convnet: Path, photo: Path, run_here: Run
) -> None:
    (tmp_path / "in").mkdir()
    photo.rename(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "b.png").write_text("no picture")
    result = run_here(tmp_path, "explain", "convnet.onnx", "in", "--preprocess", "raw", "--json")
    assert result.returncode == 1
    assert "b.png" in result.stderr
    assert [Path(row["image"]).name for row in json.loads(result.stdout)] == ["a.png"]


def test_a_finished_run_is_not_repeated_and_another_one_says_that_it_takes_the_folder(
    folder: Path, run_here: Run
) -> None:
    command = ["explain", "plain.onnx", "photo.png", "--preprocess", "raw,scale=1/255", "-t", "1", "--json"]
    first = run_here(folder, *command)
    picture = folder / "explanations" / "photo_1.png"
    written = picture.stat().st_mtime_ns
    again = run_here(folder, *command)
    assert (again.stdout, again.stderr, again.returncode) == (first.stdout, "", 0)
    assert picture.stat().st_mtime_ns == written
    other = run_here(folder, *command, "--method", "layer-cam")
    assert other.returncode == 0
    assert " ".join(other.stderr.split()).startswith(
        "note: explanations/explanations.jsonl: belonged to another run, which differs in arguments"
    )
    assert picture.stat().st_mtime_ns != written


def test_integrated_gradients_report_their_completeness(folder: Path, run_here: Run) -> None:
    command = ["explain", "vgg.onnx", "photo.png", *RAW, "--method", "integrated-gradients"]
    (row,) = json.loads(run_here(folder, *command, "--option", "steps=200", "--json").stdout)
    assert abs(row["completeness_gap"]) < 0.02 * abs(row["score_difference"])
    assert "completeness" in run_here(folder, *command).stdout


def test_a_mask_is_given_as_a_picture(folder: Path, run_here: Run) -> None:
    net = Net(seed=4)
    x = net.add("Relu", net.conv(net.input("image", ["N", 3, 8, 8]), 3, 4), out="features")
    net.output(net.add("Softmax", net.conv(x, 4, 3), axis=1, out="classes"), ["N", 3, 8, 8])
    onnx.save(net.model(), folder / "segment.onnx")
    mask = np.zeros((8, 8), np.uint8)
    mask[2:4, 5:8] = 255
    cv2.imwrite(str(folder / "mask.png"), mask)
    base = ["explain", "segment.onnx", "photo.png", "--preprocess", "raw,scale=1/255", "-t", "1", "--npy", "--json"]
    (masked,) = json.loads(run_here(folder, *base, "--score", "masked(classes)", "--input", "mask=mask.png").stdout)
    region = "mean(classes[:, :, 2:4, 5:8], axis=(2, 3))"
    (same,) = json.loads(run_here(folder, *base, "--score", region, "-o", "same").stdout)
    assert masked["score"] == pytest.approx(same["score"], rel=1e-5)
    maps = [np.load(folder / name / "photo_1.npy") for name in ("explanations", "same")]
    np.testing.assert_allclose(*maps, atol=1e-5)
    assert_refused(run_here(folder, *base, "--score", "masked(classes)"), 2, "mask", "--input")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--method", "occlusion", "--option", "sise=3"], 2, ["'sise'", "'size'"]),
        (["--method", "occlusion", "--option", "size=big"], 2, ["'size'", "whole number"]),
        (["--method", "occlusion", "--option", "size"], 2, ["name=value"]),
        (["--method", "occlusion", "--rules", "guided"], 2, ["no backward rules"]),
        (["--method", "score-cam", "--layers", "all"], 2, ["one layer at a time"]),
        (["--input", "mask=mask.npy"], 1, ["mask.npy"]),
        (["--score", "max(probabilities[:, 9])"], 2, ["out of range"]),
        (["--score", "median(probabilities)"], 2, ["median"]),
        (["--score", "none.onnx"], 1, ["none.onnx", "no such file"]),
    ],
)
def test_bad_input_is_one_line(folder: Path, run_here: Run, arguments: list[str], code: int, words: list[str]) -> None:
    assert_refused(run_here(folder, "explain", "vgg.onnx", "photo.png", *RAW, *arguments), code, *words)

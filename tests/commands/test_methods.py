"""The command line's methods, comparisons and scores, run as a user runs them."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnxplain.engine.evaluation.metrics.rank_correlation import rank_correlation
from onnxplain.engine.multi_pass.registry import MANY_RUNS
from onnxplain.graph_rewrites.maps.registry import METHODS

from ..graph_rewrites.networks import Net, residual_cnn
from .test_cli import assert_refused, run

RAW = ["--preprocess", "raw,scale=1/255,size=16x16"]
ALL = [*METHODS, *MANY_RUNS]


def vgg_like() -> onnx.ModelProto:
    """Pairs of convolutions with max pooling behind, then two linear layers and a softmax."""
    net = Net(seed=1)
    x, channels = net.input("image", ["N", 3, 16, 16]), 3
    for width in (4, 8):
        x = net.add("Relu", net.conv(x, channels, width))
        x = net.add("Relu", net.conv(x, width, width), out=f"block{width}")
        x, channels = net.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2]), width
    x = net.add("Relu", net.add("Gemm", net.add("Flatten", x), net.random(12, 128), net.random(12), transB=1))
    logits = net.add("Gemm", x, net.random(5, 12), net.random(5), transB=1)
    net.output(net.add("Softmax", logits, out="probabilities"), ["N", 5])
    return net.model()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A photo, a VGG-like and a residual model."""
    cv2.imwrite(str(tmp_path / "photo.png"), np.random.default_rng(1).integers(0, 256, (20, 24, 3), np.uint8))
    onnx.save(vgg_like(), tmp_path / "vgg.onnx")
    onnx.save(residual_cnn(), tmp_path / "residual.onnx")
    return tmp_path


@pytest.mark.parametrize("model", ["vgg", "residual"])
def test_every_method_explains_the_model(folder: Path, model: str) -> None:
    size = RAW if model == "vgg" else ["--preprocess", "raw,scale=1/255,size=8x8"]
    methods = [name for name in ALL if (model, name) != ("vgg", "cam")]
    result = run(folder, "compare", f"{model}.onnx", "photo.png", *size, "--methods", ",".join(methods), "--json")
    assert result.returncode == 0, result.stderr
    rows = json.loads(result.stdout)
    assert [row["row"] for row in rows] == methods
    assert len({row["target"] for row in rows}) == 1
    assert len({round(row["score"], 4) for row in rows}) == 1
    assert cv2.imread(str(folder / "comparison.png")).std() > 20


def test_a_method_that_the_model_does_not_allow_is_named_and_the_others_drawn(folder: Path) -> None:
    result = run(folder, "compare", "vgg.onnx", "photo.png", *RAW, "--methods", "cam,grad-cam", "--json")
    assert result.returncode == 1
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("error: cam: vgg.onnx: CAM needs global average pooling")
    assert [row["row"] for row in json.loads(result.stdout)] == ["grad-cam"]
    assert_refused(run(folder, "compare", "vgg.onnx", "photo.png", *RAW, "--methods", "cam"), 1, "CAM needs")


def test_all_layers_by_two_methods(folder: Path) -> None:
    command = ["compare", "vgg.onnx", "photo.png", *RAW, "--methods", "grad-cam,gradient", "--layers", "all", "--json"]
    rows = json.loads(run(folder, *command).stdout)
    layers = [layer["name"] for layer in json.loads(run(folder, "layers", "vgg.onnx", "--json").stdout)]
    assert [row["layer"] for row in rows] == [*layers, None]
    assert rows[-1]["column"] == "input"


def test_occlude_draws_a_row_for_each_size(folder: Path) -> None:
    command = ["occlude", "vgg.onnx", "photo.png", *RAW, "--size", "3", "--size", "6", "--stride", "4", "-t", "0"]
    rows = json.loads(run(folder, *command, "-o", "o.png", "--json").stdout)
    assert [row["row"] for row in rows] == ["3 pixels", "6 pixels"]
    assert cv2.imread(str(folder / "o.png")).std() > 20
    assert "rank_correlation" not in rows[0]
    assert_refused(run(folder, *command, "--fill", "black"), 2, "'fill'", "mean, zero, blur")


def test_occlude_compares_each_size_with_another_method(folder: Path) -> None:
    command = ["occlude", "vgg.onnx", "photo.png", *RAW, "--size", "3", "--stride", "4", "-t", "0", "-t", "top1"]
    rows = json.loads(run(folder, *command, "--against", "gradient", "--json").stdout)
    assert [row["row"] for row in rows] == ["gradient", "gradient", "3 pixels", "3 pixels"]
    base = ["--preprocess", RAW[1], "--npy", "-t", "0"]
    run(folder, "explain", "vgg.onnx", "photo.png", *base, "--method", "gradient", "-o", "gradient")
    patches = ["--option", "size=3", "--option", "stride=4"]
    run(folder, "explain", "vgg.onnx", "photo.png", *base, "--method", "occlusion", *patches, "-o", "occlusion")
    maps = [np.load(folder / method / "photo_0.npy") for method in ("gradient", "occlusion")]
    assert rows[2]["rank_correlation"] == pytest.approx(rank_correlation(*maps), abs=1e-12)
    assert "rank_correlation" not in rows[0]
    assert_refused(run(folder, *command, "--against", "grad-camm"), 2, "'grad-camm'", "grad-cam")


def test_an_explained_model_at_the_input_needs_no_flags(folder: Path) -> None:
    given = ["--preprocess", "raw,scale=1/255"]
    run(folder, "rewrite", "vgg.onnx", "-o", "guided.onnx", "--method", "guided-grad-cam", *given)
    result = run(folder, "explain", "guided.onnx", "photo.png", "-t", "2", "--npy", "--json")
    assert result.returncode == 0, result.stderr
    direct = run(folder, "explain", "vgg.onnx", "photo.png", *given, "--method", "guided-grad-cam", "-t", "2", "--npy")
    assert direct.returncode == 0, direct.stderr
    assert json.loads(result.stdout)[0]["method"] == "guided-grad-cam"
    assert np.load(folder / "explanations" / "photo_2.npy").max() > 0.5


def test_integrated_gradients_report_their_completeness(folder: Path) -> None:
    command = ["explain", "vgg.onnx", "photo.png", *RAW, "--method", "integrated-gradients"]
    (row,) = json.loads(run(folder, *command, "--option", "steps=200", "--json").stdout)
    assert abs(row["completeness_gap"]) < 0.02 * abs(row["score_difference"])
    assert "completeness" in run(folder, *command).stdout


def test_a_mask_is_given_as_a_picture(folder: Path) -> None:
    net = Net(seed=4)
    x = net.add("Relu", net.conv(net.input("image", ["N", 3, 8, 8]), 3, 4), out="features")
    net.output(net.add("Softmax", net.conv(x, 4, 3), axis=1, out="classes"), ["N", 3, 8, 8])
    onnx.save(net.model(), folder / "segment.onnx")
    mask = np.zeros((8, 8), np.uint8)
    mask[2:4, 5:8] = 255
    cv2.imwrite(str(folder / "mask.png"), mask)
    base = ["explain", "segment.onnx", "photo.png", "--preprocess", "raw,scale=1/255", "-t", "1", "--npy", "--json"]
    (masked,) = json.loads(run(folder, *base, "--score", "masked(classes)", "--input", "mask=mask.png").stdout)
    region = "mean(classes[:, :, 2:4, 5:8], axis=(2, 3))"
    (same,) = json.loads(run(folder, *base, "--score", region, "-o", "same").stdout)
    assert masked["score"] == pytest.approx(same["score"], rel=1e-5)
    maps = [np.load(folder / name / "photo_1.npy") for name in ("explanations", "same")]
    np.testing.assert_allclose(*maps, atol=1e-5)
    assert_refused(run(folder, *base, "--score", "masked(classes)"), 2, "mask", "--input")


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
def test_bad_input_is_one_line(folder: Path, arguments: list[str], code: int, words: list[str]) -> None:
    assert_refused(run(folder, "explain", "vgg.onnx", "photo.png", *RAW, *arguments), code, *words)


def test_a_method_of_many_runs_is_no_file(folder: Path) -> None:
    result = run(folder, "rewrite", "vgg.onnx", "--method", "occlusion")
    assert_refused(result, 2, "occlusion", "many times", "Explainer")

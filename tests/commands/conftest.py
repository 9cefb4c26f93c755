"""What the tests of several commands run on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnxplain.cli import main

from ..graph_rewrites.networks import Net, residual_cnn, small_cnn
from .command_line import Run

CONVNET = """
<ir_version: 8, opset_import: ["": 17]>
convnet (float[N, 3, H, W] image) => (float[N, 4] scores)
<float[4, 6] classifier = {CLASSIFIER}, float[6, 3, 3, 3] kernel = {KERNEL}>
{
    maps = Conv <pads = [1, 1, 1, 1], strides = [2, 2]> (image, kernel)
    features = Relu (maps)
    pooled = GlobalAveragePool (features)
    vector = Flatten (pooled)
    logits = Gemm <transB = 1> (vector, classifier)
    scores = Softmax (logits)
}
"""


def listed(values: np.ndarray) -> str:
    """Values as ONNX text."""
    return "{" + ", ".join(f"{value:.6f}" for value in values.ravel()) + "}"


@pytest.fixture
def convnet(tmp_path: Path) -> Path:
    """A small seeded network with symbolic batch, height and width."""
    rng = np.random.default_rng(0)
    text = CONVNET.replace("{CLASSIFIER}", listed(rng.normal(size=(4, 6))))
    model = onnx.parser.parse_model(text.replace("{KERNEL}", listed(rng.normal(size=(6, 3, 3, 3)))))
    onnx.save(model, tmp_path / "convnet.onnx")
    return tmp_path / "convnet.onnx"


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A small random picture."""
    cv2.imwrite(str(tmp_path / "photo.png"), np.random.default_rng(1).integers(0, 256, (40, 50, 3), np.uint8))
    return tmp_path / "photo.png"


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
    """A photo, and a VGG-like, a residual and a plain model."""
    cv2.imwrite(str(tmp_path / "photo.png"), np.random.default_rng(1).integers(0, 256, (20, 24, 3), np.uint8))
    onnx.save(vgg_like(), tmp_path / "vgg.onnx")
    onnx.save(residual_cnn(), tmp_path / "residual.onnx")
    onnx.save(small_cnn(), tmp_path / "plain.onnx")
    return tmp_path


@pytest.fixture
def run_here(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """`command_line.run` in this process, which spares the second that a start takes."""

    def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "argv", ["onnxplain", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        output = capfd.readouterr()
        return subprocess.CompletedProcess(arguments, int(ended.value.code or 0), output.out, output.err)

    return run

"""Builds and runs the C++ host, and makes what it is given."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxplain
import pytest
from onnx import TensorProto
from onnxplain.engine.images.preprocess import parse_preprocess
from onnxplain.graph_rewrites.model.metadata import add_metadata

from ..graph_rewrites.networks import Net, Shape, small_cnn

SOURCE = Path(__file__).parents[2] / "examples" / "cpp"
Run = subprocess.CompletedProcess[str]
Program = Callable[..., Run]


def build(folder: Path, sanitizers: str = "") -> Program:
    """Builds the program with warnings as errors; returns a function that runs it and expects an exit code."""
    for tool, package in (("cmake", "cmake"), ("c++", "g++")):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed; on Debian: apt install {package}")
    if not os.environ.get("ONNXRUNTIME_ROOT"):
        pytest.skip("ONNXRUNTIME_ROOT is not set; unpack a release of ONNX Runtime and set it to that folder")
    settings = {
        "EXPLAIN_WARNINGS_AS_ERRORS": "ON",
        "EXPLAIN_SANITIZE": sanitizers,
        "CMAKE_DISABLE_FIND_PACKAGE_OpenCV": "ON",  # what is tested must not depend on the machine
    }
    configure = [
        "cmake",
        "-S",
        str(SOURCE),
        "-B",
        str(folder),
        *(f"-D{key}={value}" for key, value in settings.items()),
    ]
    for command in (configure, ["cmake", "--build", str(folder), "--parallel", "2"]):
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    probe = subprocess.run([str(folder / "explain"), "--help"], capture_output=True, text=True)
    if "unexpected memory mapping" in probe.stderr:  # GCC's thread sanitizer on kernels that place code at random
        pytest.skip(f"the {sanitizers} sanitizer does not run on this kernel; lower vm.mmap_rnd_bits to 28")

    def run(*arguments: Any, code: int = 0) -> Run:
        command = [str(folder / "explain"), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert "Sanitizer" not in done.stderr, done.stderr
        assert done.returncode == code, done.stderr
        return done

    return run


def write_ppm(path: Path, image: np.ndarray) -> Path:
    path.write_bytes(b"P6\n# a comment\n%d %d\n255\n" % (image.shape[1], image.shape[0]) + image.tobytes())
    return path


def read_ppm(path: Path) -> np.ndarray:
    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    assert bgr is not None
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def save(model: onnx.ModelProto, path: Path, preprocess: str | None = None, **record: Any) -> Path:
    recorded = parse_preprocess(preprocess).to_json() if preprocess else None
    add_metadata(model, preprocessing=recorded, **record)
    onnx.save(model, path)
    return path


def small(path: Path, preprocess: str | None = "raw,scale=1/255", labels: Any = None, **options: Any) -> Path:
    """A small network explained; its input is 24 x 24."""
    return save(onnxplain.rewrite(small_cnn(size=(24, 24)), **options), path, preprocess, labels=labels)


def cast_cnn(dtype: int, channels: int = 3, layout: str = "NCHW") -> onnx.ModelProto:
    """A small network behind an input of another type, layout or number of channels."""
    net = Net(seed=3)
    shape: Shape = ["N", channels, 24, 24] if layout == "NCHW" else ["N", 24, 24, channels]
    x = net.add("Cast", net.input("image", shape, dtype), to=TensorProto.FLOAT)
    x = x if layout == "NCHW" else net.add("Transpose", x, perm=[0, 3, 1, 2])
    x = net.add("Relu", net.conv(net.add("Div", x, net.const(64.0)), channels, 6))
    net.output(net.head(x, 6, 5), ["N", 5])
    return net.model()

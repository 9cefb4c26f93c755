"""A model that sees colours and nothing else, and images of rectangles: what any map shows is known by hand."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxplain

LABELS = ("red", "green", "blue")
COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
PREPROCESS = "raw,scale=1/255"
GAIN = 8.0
NETWORK = """
<ir_version: 8, opset_import: ["": 17]>
colours (float[N, 3, H, W] image) => (float[N, 3] scores)
<float[3, 3, 1, 1] kernel = {1, -1, -1, -1, 1, -1, -1, -1, 1}, float[3, 3] head = {8, 0, 0, 0, 8, 0, 0, 0, 8}>
{
    maps = Conv (image, kernel)
    features = Relu (maps)
    pooled = GlobalAveragePool (features)
    vector = Flatten (pooled)
    scores = Gemm (vector, head)
}
"""
Rectangle = tuple[str, int, int, int, int]  # colour and x0, y0, x1, y1


def network() -> onnx.ModelProto:
    """The score of a colour is 8 times the share of the pixels that have it; its maps are those pixels."""
    model = onnx.parser.parse_model(NETWORK)
    onnxplain.add_metadata(model, labels=list(LABELS))
    return model


def picture(rectangles: Sequence[Rectangle], shape: tuple[int, int] = (20, 30)) -> np.ndarray:
    """Rectangles on black, uint8 [H, W, 3] RGB."""
    image = np.zeros((*shape, 3), np.uint8)
    for colour, x0, y0, x1, y1 in rectangles:
        image[y0:y1, x0:x1] = COLOURS[colour]
    return image


# Of 20 x 30 pixels: red is the largest, then green; blue is not there.
SCENES: dict[str, list[Rectangle]] = {
    "a.png": [("red", 2, 3, 12, 13), ("green", 20, 2, 26, 8)],
    "b.png": [("green", 0, 0, 10, 20)],
    "c.png": [("blue", 5, 5, 15, 15), ("red", 20, 5, 24, 9)],
    "d.png": [("red", 1, 1, 9, 9)],
}


def write_scenes(folder: Path, **more: list[str]) -> Path:
    """The model, the scenes and their boxes as CSV in a folder; `more` are further lines of it."""
    onnx.save(network(), folder / "colours.onnx")
    lines = []
    for name, rectangles in SCENES.items():
        cv2.imwrite(str(folder / name), picture(rectangles)[..., ::-1])
        lines += [[name, *map(str, rectangle)] for rectangle in rectangles]
    with (folder / "boxes.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["image", "label", "x0", "y0", "x1", "y1"], *lines, *more.values()])
    return folder / "boxes.csv"

"""Draws the pictures of `methods.md` and of the README: the embedded photo, explained by every method.

python docs/pictures.py
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from onnxplain.engine.compare import compare
from onnxplain.engine.contact_sheet import contact_sheet
from onnxplain.engine.embedded import MODEL, PHOTO
from onnxplain.engine.explainer import Explainer
from onnxplain.engine.images import write_image
from onnxplain.engine.many_runs.registry import MANY_RUNS
from onnxplain.graph_rewrites.methods.registry import METHODS

FOLDER = Path(__file__).parent / "images" / "methods"
WIDTH = 240
README = ("grad-cam", "layer-cam", "c-mwp", "full-grad", "guided-backprop", "guided-grad-cam", "occlusion")


def main() -> None:
    """Writes one small JPEG per method."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for method in (*METHODS, *MANY_RUNS):
        (explanation,) = Explainer(MODEL, method=method)(PHOTO)
        picture = explanation.picture()
        height = round(picture.shape[0] * WIDTH / picture.shape[1])
        small = cv2.resize(picture, (WIDTH, height), interpolation=cv2.INTER_AREA)
        write_image(FOLDER / f"{method}.jpg", np.asarray(small, np.uint8))
        print(method)
    comparison = compare(MODEL, PHOTO, methods=README, target="top3")
    write_image(FOLDER.parent / "comparison.jpg", contact_sheet(comparison))


if __name__ == "__main__":
    main()

"""Draws the pictures of `methods.md`, of the README and of `language.md`.

python docs/pictures.py
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from onnxplain.engine.compare import compare
from onnxplain.engine.embedded import MODEL, PHOTO
from onnxplain.engine.explainer import Explainer
from onnxplain.engine.images.files import write_image
from onnxplain.engine.language.comparison import (
    answer_picture,
    answers_by_model,
    caption_picture,
    captions_by_method,
)
from onnxplain.engine.multi_pass.registry import MULTI_PASS
from onnxplain.engine.render.contact_sheet import contact_sheet
from onnxplain.graph_rewrites.maps.registry import METHODS

IMAGES = Path(__file__).parent / "images"
FOLDER = IMAGES / "methods"
MODELS = Path(__file__).parents[1] / "exported_models"
WIDTH = 240
README = ("grad-cam", "layer-cam", "c-mwp", "full-grad", "guided-backprop", "guided-grad-cam", "occlusion")


def main() -> None:
    """Writes all of them as JPEG."""
    draw_methods()
    draw_language()


def draw_methods() -> None:
    """The embedded photo explained: one small picture per method, and the README's comparison."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for method in (*METHODS, *MULTI_PASS):
        (explanation,) = Explainer(MODEL, method=method)(PHOTO)
        picture = explanation.picture()
        height = round(picture.shape[0] * WIDTH / picture.shape[1])
        small = cv2.resize(picture, (WIDTH, height), interpolation=cv2.INTER_AREA)
        write_image(FOLDER / f"{method}.jpg", np.asarray(small, np.uint8))
        print(method)
    comparison = compare(MODEL, PHOTO, methods=README, target="top3")
    write_image(IMAGES / "comparison.jpg", contact_sheet(comparison))


def draw_language() -> None:
    """A caption of a scene, and a question on another answered by three models."""
    captioner = MODELS / "captioner"
    caption = captions_by_method(captioner / "captioner.onnx", captioner / "scene.png")
    write_image(IMAGES / "caption.jpg", caption_picture(caption))
    answerers = [MODELS / f"vqa_{cnn}" / "scenes.onnx" for cnn in ("alexnet", "vgg16", "vgg19")]
    answers = answers_by_model(answerers, MODELS / "vqa_samples" / "scene.png", "what colour is the triangle?")
    write_image(IMAGES / "answers.jpg", answer_picture(answers))


if __name__ == "__main__":
    main()

"""The committed question answerers asked about a scene: what they say, and that they look at what it is about."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from onnxplain.engine.images import write_image
from onnxplain.engine.language.comparison import answers_by_model
from onnxplain.engine.language.questions import Answerer
from onnxplain.graph_rewrites.metadata import read_metadata
from onnxplain.graph_rewrites.model_file import load
from onnxplain.graph_rewrites.rewrite import rewrite

from studies.scenes import scene

MODELS = Path(__file__).parents[3] / "exported_models"
SCENE = scene(np.random.default_rng([2026, 19]))  # a green square, two circles and a cyan triangle
CNNS = ("alexnet", "vgg16", "vgg19")
QUESTION = "what colour is the square?"


def square() -> np.ndarray:
    """Where the scene's square is, with a margin of 3 pixels: bool [H, W]."""
    (mask,) = [mask for each, mask in zip(SCENE.objects, SCENE.masks, strict=True) if each.shape == "square"]
    return cv2.dilate(mask.astype(np.uint8), np.ones((7, 7), np.uint8)).astype(bool)


def test_all_three_look_at_the_square_for_its_colour(tmp_path: Path) -> None:
    write_image(tmp_path / "scene.png", SCENE.image)
    models = [MODELS / f"vqa_{cnn}" / "scenes.onnx" for cnn in CNNS]
    answers = answers_by_model(
        models, tmp_path / "scene.png", QUESTION, ["green"], methods=["grad-cam", "guided-grad-cam"]
    )
    assert list(answers) == [f"vqa_{cnn}/scenes" for cnn in CNNS]
    inside = square()
    for model, explained in answers.items():
        assert "green" in [answer.text for answer in explained["grad-cam"].answers[:2]], model
        for method, found in explained.items():
            (one,) = found.explanations
            peak = np.unravel_index(one.heatmap.argmax(), inside.shape)
            assert inside[peak], (model, method)
            assert one.heatmap[inside].mean() > 4 * one.heatmap[~inside].mean(), (model, method)


def test_covering_the_square_takes_its_colour_away() -> None:
    answerer = Answerer(MODELS / "vqa_vgg19" / "scenes.onnx", method="occlusion", options={"size": 19, "stride": 6})
    (one,) = answerer(SCENE.image, QUESTION, "green").explanations
    assert one.heatmap[square()].mean() > 4 * np.abs(one.heatmap[~square()]).mean()


@pytest.mark.parametrize("cnn", CNNS)
def test_an_explained_model_carries_its_words_along(cnn: str) -> None:
    path = MODELS / f"vqa_{cnn}" / "scenes.onnx"
    plain, explained = read_metadata(load(path)) or {}, rewrite(path)
    record = read_metadata(explained) or {}
    assert (record["text"], record["labels"]) == (plain["text"], plain["labels"])
    expected, got = (Answerer(model)(SCENE.image, QUESTION) for model in (path, explained))
    np.testing.assert_allclose(got.explanations[0].heatmap, expected.explanations[0].heatmap, atol=1e-4)

"""The committed models asked about scenes: what they say, and that they look at what it is about."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from onnxplain.engine.images.files import write_image
from onnxplain.engine.language.captions import Captioner
from onnxplain.engine.language.comparison import answers_by_model, captions_by_method
from onnxplain.engine.language.questions import Answerer
from onnxplain.graph_rewrites.model.metadata import read_metadata
from onnxplain.graph_rewrites.model.model import load
from onnxplain.graph_rewrites.rewrite import rewrite

from studies.captions import ground
from studies.scenes import scene

MODELS = Path(__file__).parents[3] / "exported_models"
SCENE = scene(np.random.default_rng([2026, 19]))  # a green square, two circles and a cyan triangle
CNNS = ("alexnet", "vgg16", "vgg19")
QUESTION = "what colour is the square?"
CAPTIONER = MODELS / "captioner" / "captioner.onnx"
PICTURE = MODELS / "captioner" / "scene.png"
DRAWN = scene(np.random.default_rng([2026, 8]))  # a small blue cross, a large green square and a large blue triangle


def square() -> np.ndarray:
    """Where the scene's square is, with a margin: bool [H, W]."""
    (mask,) = [mask for each, mask in zip(SCENE.objects, SCENE.masks, strict=True) if each.shape == "square"]
    return with_margin(mask)


def with_margin(mask: np.ndarray) -> np.ndarray:
    """A region and 3 pixels around it."""
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


def test_each_word_of_a_caption_is_seen_on_its_object() -> None:
    captions = captions_by_method(CAPTIONER, PICTURE, methods=["grad-cam", "guided-grad-cam"])
    for method, caption in captions.items():
        assert caption.text == "a small blue cross right of a large green square"
        assert np.log(0.01) < caption.log_probability < np.log(0.1)
        about = ground(caption.words, DRAWN)
        assert about is not None
        for word, one, mask in zip(caption.words, caption.explanations[1:], about, strict=True):
            if mask is not None:
                assert with_margin(mask)[np.unravel_index(one.heatmap.argmax(), mask.shape)], (method, word)


def test_the_map_follows_the_word_that_is_asked_for() -> None:
    (_, *words) = Captioner(CAPTIONER)(PICTURE).explanations
    maps = {str(one.label): np.maximum(one.heatmap, 0) for one in words}
    shapes = {each.shape: mask for each, mask in zip(DRAWN.objects, DRAWN.masks, strict=True)}
    inside = {
        (word, shape): maps[word][shapes[shape]].sum() / maps[word].sum()
        for word in ("cross", "square")
        for shape in shapes
    }
    assert inside["cross", "cross"] > 5 * inside["square", "cross"]
    assert inside["square", "square"] > 5 * inside["cross", "square"]


def test_a_caption_that_the_model_would_not_write_is_explained_too() -> None:
    caption = Captioner(CAPTIONER)(PICTURE, "A large blue triangle")
    own = Captioner(CAPTIONER)(PICTURE)
    assert caption.words == ["a", "large", "blue", "triangle"]
    assert caption.log_probability == pytest.approx(sum(caption.log_probabilities), abs=1e-4)
    assert caption.log_probabilities[1] < own.log_probabilities[1]
    (triangle,) = [mask for each, mask in zip(DRAWN.objects, DRAWN.masks, strict=True) if each.shape == "triangle"]
    heatmap = caption.explanations[-1].heatmap
    assert with_margin(triangle)[np.unravel_index(heatmap.argmax(), heatmap.shape)]


def test_an_explained_captioner_says_and_sees_the_same() -> None:
    explained = Captioner(rewrite(CAPTIONER, score="sequence(logits)"))(PICTURE)
    plain = Captioner(CAPTIONER, decoder=CAPTIONER.with_name("captioner_greedy.onnx"))(PICTURE)
    assert explained.words == plain.words
    for one, other in zip(explained.explanations, plain.explanations, strict=True):
        np.testing.assert_allclose(one.heatmap, other.heatmap, atol=1e-4)

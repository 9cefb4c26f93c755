"""What the answerers learn from, as far as it goes without their data set and PyTorch."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from studies.questions import TEXTS, Question
from studies.scenes import Image
from studies.vqa.data import CNNS, chosen_cnns, easy_question, object_mask, scene_test, vocabulary_of, weights
from studies.vqa.measure import Asked, Pointed, summary


@pytest.fixture
def picture() -> Image:
    """A brown bar of 3 x 8 pixels on pale pink."""
    image = np.full((20, 30, 3), (252, 230, 232), np.uint8)
    image[5:8, 10:18] = (165, 42, 42)
    return image


def bar() -> np.ndarray:
    return np.pad(np.ones((3, 8), np.bool_), ((5, 12), (10, 12)))


def test_the_object_is_what_stands_out(picture: Image) -> None:
    picture[8, 10:18] = (230, 200, 205)  # an edge, mostly background
    np.testing.assert_array_equal(object_mask(picture), bar())


@pytest.mark.parametrize(
    ("text", "answer", "kind", "is_about_it"),
    [
        ("what color is the shape?", "brown", "colour", True),
        ("what is the brown shape?", "rectangle", "shape", True),
        ("is there a rectangle in the image?", "yes", "presence", True),
        ("is there a circle in the image?", "no", "presence", False),
        ("is there not a rectangle?", "no", "absence", True),
        ("is no circle present?", "yes", "absence", False),
    ],
)
def test_questions_of_easy_vqa_are_sorted(picture: Image, text: str, answer: str, kind: str, is_about_it: bool) -> None:
    question = easy_question(text, answer, picture)
    assert question.kind == kind
    assert (question.mask is not None) == is_about_it
    if question.mask is not None:
        np.testing.assert_array_equal(question.mask, bar())


def test_kinds_and_their_answers_are_asked_equally_often() -> None:
    given = [("count", "0"), ("count", "0"), ("count", "2"), ("colour", "red")]
    asked = [Question("", answer, kind, None) for kind, answer in given]
    np.testing.assert_allclose(weights(asked), [1 / 8, 1 / 8, 1 / 4, 1 / 2])


def test_the_vocabulary_has_all_words_behind_the_padding() -> None:
    vocabulary = vocabulary_of(["Is there a circle?", "is a-b there?"])
    assert vocabulary.vocabulary == ("<pad>", "a", "a-b", "circle", "is", "there")
    assert all(vocabulary_of(TEXTS).encode(text) for text in TEXTS)


def test_an_unknown_cnn_is_named_before_any_work() -> None:
    assert list(chosen_cnns([])) == list(CNNS)
    assert chosen_cnns(["vgg19"]) == ["vgg19"]
    with pytest.raises(SystemExit, match="no CNN is called 'vgg11'; choose among alexnet, vgg16, vgg19"):
        chosen_cnns(["alexnet", "vgg11"])


def test_test_scenes_differ_by_seed_alone() -> None:
    first, again, other = scene_test(3, 5), scene_test(3, 5), scene_test(3, 6)
    np.testing.assert_array_equal(first.images, again.images)
    assert [each[0].text for each in first.questions] == [each[0].text for each in again.questions]
    assert (first.images != other.images).any()


def test_tables_tell_shares_by_kind_and_of_all(picture: Image) -> None:
    given = [("colour", "red", "red"), ("colour", "red", "blue"), ("colour", "blue", "blue"), ("count", "1", "1")]
    asked = [Asked(picture, Question("", right, kind, None), answer) for kind, right, answer in given]
    pointed = [Pointed("colour", 1, 0, 0.5, 0.1), Pointed("colour", 0, 0, 0.25, 0.1), Pointed("count", 1, 1, 0.3, 0.4)]
    assert summary(asked, pointed) == [
        ["colour", "3", "66.7", "66.7", "50.0", "0.0", "37.5", "10.0"],
        ["count", "1", "100.0", "100.0", "100.0", "100.0", "30.0", "40.0"],
        ["all", "4", "75.0", "75.0", "66.7", "33.3", "35.0", "20.0"],
    ]


def test_the_samples_are_credited() -> None:
    folder = Path(__file__).parents[2] / "exported_models" / "vqa_samples"
    listed = {name for images in json.loads((folder / "questions.json").read_text()).values() for name in images}
    assert listed == {path.name for path in folder.glob("*.png")}
    card = (folder / "README.md").read_text()
    assert all(f"`{name}`" in card for name in listed)

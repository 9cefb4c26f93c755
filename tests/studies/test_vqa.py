"""The committed answerers: right as often as their cards say, on scenes and images that they were not trained on."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxplain
import onnxruntime
import pytest
from onnxplain.engine.evaluation.measures.pointing import pointing
from onnxplain.engine.images.preprocess import Preprocess
from onnxplain.graph_rewrites.model.metadata import read_metadata

from studies.questions import ANSWERS, Question
from studies.scenes import scene
from studies.vqa.data import Split, easy_question, scene_test
from studies.vqa.measure import Asked, ask, point

MODELS = Path(__file__).parents[2] / "exported_models"
SAMPLES = MODELS / "vqa_samples"
# The originals' convolutions and poolings.
LAYERS = {"alexnet": (5, 3), "vgg16": (13, 5), "vgg19": (16, 5)}
BYTES = 1_500_000
FRESH_SEED, FRESH = 7, 300
MARGIN = 5.0  # per cent: 4 standard deviations of 300 answers of which 95 % are right

FILES = [MODELS / f"vqa_{cnn}" / f"{subject}.onnx" for cnn in LAYERS for subject in ("scenes", "easy_vqa")]
every_file = pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
every_cnn = pytest.mark.parametrize("cnn", LAYERS)


@pytest.fixture(scope="module")
def fresh() -> Split:
    return scene_test(FRESH, FRESH_SEED)


def samples(subject: str) -> Split:
    """The committed images, and the questions about them."""
    asked = json.loads((SAMPLES / "questions.json").read_text())[subject]
    images = {name: cv2.cvtColor(cv2.imread(str(SAMPLES / name)), cv2.COLOR_BGR2RGB) for name in asked}
    questions = [
        [easy_question(text, answer, image) if subject == "easy_vqa" else Question(text, answer, "", None)]
        for name, image in images.items()
        for text, answer in asked[name].items()
    ]
    return Split(np.stack([image for name, image in images.items() for _ in asked[name]]), questions)


def card_says(cnn: str, subject: str) -> float:
    """How many answers are right, in per cent, by the card's table."""
    section = (MODELS / f"vqa_{cnn}" / "README.md").read_text().partition(f"<!-- {subject}:begin -->")[2]
    line = next(line for line in section.splitlines() if line.startswith("| all |"))
    return float(line.split("|")[3])


def share_right(asked: list[Asked]) -> float:
    return 100 * sum(one.is_right for one in asked) / len(asked)


@every_cnn
def test_fresh_scenes_are_answered_as_the_card_says(cnn: str, fresh: Split) -> None:
    assert card_says(cnn, "scenes") > 85
    assert share_right(ask(MODELS / f"vqa_{cnn}" / "scenes.onnx", fresh)) > card_says(cnn, "scenes") - MARGIN


@every_file
def test_the_samples_are_answered(path: Path) -> None:
    asked = ask(path, samples(path.stem))
    assert len(asked) > 20
    assert share_right(asked) > 95


@every_cnn
def test_answers_are_explained_by_their_objects(cnn: str, fresh: Split) -> None:
    path = MODELS / f"vqa_{cnn}" / "scenes.onnx"
    about_one = [one for one in ask(path, fresh) if one.question.kind in ("colour", "shape", "yes/no")]
    hit, centre, energy, area = np.mean([one[1:] for one in point(path, about_one, 40)], axis=0)
    assert hit > 0.75 > 3 * centre
    assert energy > 2.5 * area


@every_file
def test_the_record_says_how_it_is_asked(path: Path) -> None:
    record: dict[str, Any] = read_metadata(onnx.load(path)) or {}
    side = 96 if path.stem == "scenes" else 64
    assert Preprocess.from_json(record["preprocessing"]) == Preprocess((side, side), scale=1 / 127.5, mean=(1.0,))
    assert set(record["labels"]) >= {"yes", "no", "red"}
    assert path.stem != "scenes" or record["labels"] == list(ANSWERS)
    vocabulary = record["text"].pop("vocabulary")
    assert vocabulary[0] == "<pad>"
    assert len(set(vocabulary)) == len(vocabulary) > 20
    assert record["text"] == {
        "input": "question", "begin": None, "end": None, "pad": "<pad>", "unknown": None, "length": 16,
    }  # fmt: skip


@every_file
def test_the_graph_is_of_the_shape_that_the_card_names(path: Path) -> None:
    model = onnx.load(path)
    count = Counter(node.op_type for node in model.graph.node)
    assert (count["Conv"], count["MaxPool"]) == LAYERS[path.parent.name.removeprefix("vqa_")]
    assert (count["LSTM"], count["Mul"]) == (2, 1)
    (default,) = (layer for layer in onnxplain.layers(path) if layer.is_default)
    assert min(default.shape[2:]) >= 7
    assert "/cnn/conv5" in default.name
    assert path.stat().st_size < BYTES


@every_file
def test_padding_and_batches_change_nothing(path: Path) -> None:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    side = session.get_inputs()[0].shape[2]
    rng = np.random.default_rng(0)
    images = rng.uniform(-1, 1, (3, 3, side, side)).astype(np.float32)
    questions = rng.integers(1, 20, (3, 9))
    for row, length in zip(questions, (4, 9, 1), strict=True):  # in no order of length
        row[length:] = 0
    (together,) = session.run(None, {"image": images, "question": questions})
    for image, question, logits in zip(images, questions, together, strict=True):
        words = question[question != 0]
        for asked in (words, np.pad(words, (0, 16 - len(words)))):
            (alone,) = session.run(None, {"image": image[None], "question": asked[None]})
            np.testing.assert_allclose(alone[0], logits, atol=1e-5 * np.abs(logits).max())
    assert np.abs(together[0] - together[1]).max() > 0.1


@every_cnn
def test_the_map_moves_to_what_is_asked_for(cnn: str) -> None:
    image, asked = samples("scenes").images[0], scene(np.random.default_rng([2026, 33]))
    # Drawn by another version of OpenCV, edges may differ.
    assert np.abs(asked.image.astype(float) - image).mean() < 1
    answer = onnxplain.Answerer(MODELS / f"vqa_{cnn}" / "scenes.onnx")
    for each in (one for one in asked.objects if one.shape in ("circle", "triangle")):
        explained = answer(image, f"what colour is the {each.shape}?").explanations[0]
        mask = asked.mask([each])
        assert mask is not None
        assert explained.label == each.colour
        assert pointing(explained.heatmap, mask) == 1

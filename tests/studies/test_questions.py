"""Questions: answered by the pixels alike, about the right pixels, and balanced."""

from __future__ import annotations

import re
from collections import Counter, defaultdict

import numpy as np
import pytest

from studies.questions import ANSWERS, KINDS, TEXTS, ask, questions
from studies.scenes import COLOURS, SHAPES, SceneObject, render, scene

from .pixels import Blob, blobs


def answered(text: str, seen: list[Blob]) -> tuple[str, list[Blob]]:
    """The answer from the pixels, and what it is about."""
    words = re.findall(r"\w+", text)
    colours, shapes = [word for word in words if word in COLOURS], _shapes(words)
    if words[0] == "where":
        one, other = (next(blob for blob in seen if blob.shape == shape) for shape in shapes)
        dx, dy = one.x - other.x, one.y - other.y
        places = ("above", "below") if abs(dy) > abs(dx) else ("left", "right")
        return places[int((dy if abs(dy) > abs(dx) else dx) > 0)], [one, other]
    about = [blob for blob in seen if blob.colour in (colours or COLOURS) and blob.shape in (shapes or SHAPES)]
    if words[0] == "is":
        return "yes" if about else "no", about
    if words[0] == "how":
        return str(len(about)), about
    return (about[0].colour if words[1] == "colour" else about[0].shape), about


def _shapes(words: list[str]) -> list[str]:
    singular = [{"crosses": "cross"}.get(word, word.removesuffix("s") if word != "cross" else word) for word in words]
    return [word for word in singular if word in SHAPES]


def test_the_pixels_give_the_same_answers_about_the_same_objects() -> None:
    rng = np.random.default_rng(0)
    for _ in range(25):
        each = scene(rng, size=192)
        seen = blobs(each.image)
        for question in questions(each):
            answer, about = answered(question.text, seen)
            assert (question.text, question.answer) == (question.text, answer)
            if not about:
                assert question.mask is None
                continue
            assert question.mask is not None
            pixels = np.any([blob.mask for blob in about], axis=0)
            assert (question.mask & pixels).sum() > 0.9 * (question.mask | pixels).sum()


def test_a_question_drawn_is_one_of_those_of_its_scene() -> None:
    rng = np.random.default_rng(1)
    for kind in KINDS:
        for _ in range(5):
            each, question = ask(rng, kinds=(kind,))
            assert question.kind == kind
            same = next(one for one in questions(each) if one.text == question.text)
            assert same.answer == question.answer
            assert (same.mask is None) == (question.mask is None)
            assert same.mask is None or (same.mask == question.mask).all()


def test_the_question_alone_does_not_give_the_answer_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studies.questions.render", lambda objects, rng, size: render(objects, rng, 8))
    rng = np.random.default_rng(0)
    uniform = {"colour": 1 / 6, "shape": 1 / 4, "count": 1 / 4, "yes/no": 1 / 2, "relation": 1 / 4}
    for kind, share in uniform.items():
        drawn = [ask(rng, kinds=(kind,))[1] for _ in range(400)]
        answers: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for question in drawn:
            answers[question.text][question.answer] += 1
        chosen = rng.permutation(len(drawn))
        known: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for index in chosen[:250]:
            known[drawn[index].text][drawn[index].answer] += 1
        guesses = {text: counts.most_common(1)[0][0] for text, counts in known.items()}
        right = np.mean([guesses.get(drawn[i].text) == drawn[i].answer for i in chosen[250:]])
        assert right < share + 4 * np.sqrt(share * (1 - share) / 150)


def test_the_is_asked_only_of_the_only_one() -> None:
    pair = [SceneObject("circle", "red", "small", 0.3, y, 0.07, 0) for y in (0.2, 0.8)]
    other = SceneObject("square", "blue", "large", 0.7, 0.4, 0.11, 0)
    asked = {each.text: each.answer for each in questions(render([*pair, other], np.random.default_rng(0)))}
    assert "what colour is the circle?" not in asked
    assert "what shape is the red object?" not in asked
    assert not [text for text in asked if text.startswith("where")]
    assert asked["what colour is the square?"] == "blue"
    assert asked["what shape is the blue object?"] == "square"
    assert asked["how many circles are there?"] == "2"
    assert asked["how many objects are there?"] == "3"
    assert (asked["is there a red circle?"], asked["is there a red square?"]) == ("yes", "no")


def test_all_questions_and_answers_come_up() -> None:
    rng = np.random.default_rng(0)
    asked = [each for _ in range(400) for each in questions(scene(rng, size=8))]
    assert {each.text for each in asked} == set(TEXTS)
    assert {each.answer for each in asked} == set(ANSWERS)


def test_a_seed_gives_the_same_question_again() -> None:
    (one, first), (same, second) = (ask(np.random.default_rng(5)) for _ in range(2))
    assert (first.text, first.answer) == (second.text, second.answer)
    np.testing.assert_array_equal(one.image, same.image)

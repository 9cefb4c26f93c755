"""Captions: true of the pixels, and each word about the right ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from studies.captions import WORDS, caption, ground
from studies.scenes import COLOURS, SHAPES, Scene, SceneObject, render, scene

from .pixels import Blob, blobs


def test_captions_are_true_of_the_pixels_and_words_are_about_the_objects_they_name() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        each = scene(rng, size=192)
        seen, said = blobs(each.image), caption(each)
        named = [
            (word, [blob for blob in seen if (blob.mask & mask).any()])
            for word, mask in zip(said.words, said.masks, strict=True)
            if mask is not None
        ]
        assert [word for word, _ in named] == [w for w in said.words if w in (*COLOURS, *SHAPES, "small", "large")]
        for word, about in named:
            assert about
            assert all(word in (blob.colour, blob.shape, _size(blob)) for blob in about)
        if "a" in said.words[1:]:
            subjects, others = named[0][1], named[-1][1]
            assert any(_stands(said.words, one, two) for one in subjects for two in others if one is not two)


def _size(blob: Blob) -> str:
    return "large" if blob.mask.sum() > np.pi * (0.09 * 192) ** 2 else "small"


def _stands(words: tuple[str, ...], one: Blob, two: Blob) -> bool:
    dx, dy = two.x - one.x, two.y - one.y
    along, across = (dy, dx) if "above" in words or "below" in words else (dx, dy)
    return abs(along) > abs(across) and (along > 0) == ("above" in words or "left" in words)


@pytest.fixture
def known() -> Scene:
    """A small red circle above a large blue square, and a small red circle to the right of both."""
    objects = [
        SceneObject("circle", "red", "small", 0.3, 0.2, 0.07, 0),
        SceneObject("square", "blue", "large", 0.35, 0.7, 0.11, 0),
        SceneObject("circle", "red", "small", 0.85, 0.5, 0.07, 0),
    ]
    return render(objects, np.random.default_rng(0))


def test_the_two_that_lie_farthest_apart_are_named_the_small_one_first(known: Scene) -> None:
    near, far, other = known.objects
    middle = SceneObject("cross", "green", "small", 0.5, 0.45, 0.07, 0)
    above, beside = SceneObject("cross", "cyan", "large", 0.3, 0.2, 0.11, 0), replace(other, size="large", radius=0.11)
    for objects, expected in (
        ([near], "a small red circle"),
        ([middle, far, near], "a small red circle above a large blue square"),
        ([middle, far, above], "a large cyan cross above a large blue square"),
        ([middle, far, other], "a small red circle right of a large blue square"),
        ([middle, replace(far, y=0.6), beside], "a large blue square left of a large red circle"),
        ([replace(far, y=0.2), replace(near, y=0.7)], "a small red circle below a large blue square"),
    ):
        assert " ".join(caption(render(objects, np.random.default_rng(0))).words) == expected


def test_each_word_is_about_the_object_of_its_phrase(known: Scene) -> None:
    masks = ground(["a", "red", "circle", "above", "a", "large", "blue", "square"], known)
    assert masks is not None
    expected = [None, 0, 0, None, None, 1, 1, 1]
    for mask, index in zip(masks, expected, strict=True):
        if index is None:
            assert mask is None
        else:
            np.testing.assert_array_equal(mask, known.masks[index])


def test_words_that_fit_several_objects_are_about_all_of_them(known: Scene) -> None:
    masks = ground(["a", "red", "circle"], known)
    assert masks is not None
    np.testing.assert_array_equal(masks[1], known.masks[0] | known.masks[2])


@pytest.mark.parametrize(
    "words",
    [
        "a blue circle",
        "a large red circle",
        "a red circle below a blue square",
        "a red circle left of a red square",
        "a blue square above a blue square",
    ],
)
def test_untrue_captions_are_known(words: str, known: Scene) -> None:
    assert ground(words.split(), known) is None


@pytest.mark.parametrize(
    "words", ["", "a red", "red circle", "a red circle above", "a red circle a blue square", "a cat"]
)
def test_what_is_no_sentence_is_not_true(words: str, known: Scene) -> None:
    assert ground(words.split(), known) is None


def test_all_relations_of_the_second_circle_are_told_apart(known: Scene) -> None:
    true = [name for name in ("above", "below", "left of", "right of") if ground(_beside(name), known) is not None]
    assert true == ["above", "right of"]


def _beside(relation: str) -> list[str]:
    return f"a red circle {relation} a blue square".split()


def test_every_word_is_used() -> None:
    rng = np.random.default_rng(0)
    used = {word for _ in range(200) for word in caption(scene(rng)).words}
    assert used == set(WORDS)

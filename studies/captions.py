"""Captions of scenes, and the object that each word is about.

    a small red circle above a blue square

One object is described alone, of more a random one is described by where it is seen from another. Colour and shape are
always named, the size is named half of the time. Many captions of a scene are true, so captions are judged by `ground`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .scenes import COLOURS, RELATIONS, SHAPES, SIZES, Mask, Scene, SceneObject, relation

_PHRASE = rf"a (?:({'|'.join(SIZES)}) )?({'|'.join(COLOURS)}) ({'|'.join(SHAPES)})"
_CAPTION = re.compile(rf"{_PHRASE}(?: ({'|'.join(RELATIONS)}) {_PHRASE})?")
_ABOUT_NOTHING = ("a", *dict.fromkeys(word for name in RELATIONS for word in name.split()))
WORDS = (*_ABOUT_NOTHING, *SIZES, *COLOURS, *SHAPES)


@dataclass(frozen=True, eq=False)
class Caption:
    """A true description.

    Attributes:
        words: each one of WORDS.
        masks: for each word, the pixels of what it is about, bool [H, W]; None for the article and for relations.
    """

    words: tuple[str, ...]
    masks: tuple[Mask | None, ...]


def caption(scene: Scene, rng: np.random.Generator) -> Caption:
    """A random true caption."""
    order = [scene.objects[index] for index in rng.permutation(len(scene.objects))]
    words = _described(order[0], rng)
    if len(order) > 1:
        words += [*relation(order[0], order[1]).split(), *_described(order[1], rng)]
    masks = ground(words, scene)
    assert masks is not None
    return Caption(tuple(words), masks)


def ground(words: Sequence[str], scene: Scene) -> tuple[Mask | None, ...] | None:
    """Finds what the words are about.

    Args:
        words: a caption, of whatever origin.
        scene: what it is meant to describe.

    Returns:
        `Caption.masks`, of all objects that fit where several do; None if the caption is untrue, or no sentence of this
        language.
    """
    parsed = _CAPTION.fullmatch(" ".join(words))
    if parsed is None:
        return None
    subjects, others = (_fitting(parsed.groups()[start : start + 3], scene) for start in (0, 4))
    if name := parsed[4]:
        pairs = [(one, two) for one in subjects for two in others if one is not two and relation(one, two) == name]
        subjects, others = [one for one, _ in pairs], [two for _, two in pairs]
    if not subjects:
        return None
    masks: list[Mask | None] = []
    for word in words:
        objects = others if "a" in words[1 : len(masks)] else subjects
        masks.append(None if word in _ABOUT_NOTHING else scene.mask(objects))
    return tuple(masks)


def _described(each: SceneObject, rng: np.random.Generator) -> list[str]:
    return ["a", *([each.size] if rng.integers(2) else []), each.colour, each.shape]


def _fitting(phrase: Sequence[str | None], scene: Scene) -> list[SceneObject]:
    size, colour, shape = phrase
    return [
        each
        for each in scene.objects
        if each.size == (size or each.size) and (each.colour, each.shape) == (colour, shape)
    ]

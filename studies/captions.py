"""Captions of scenes, and the object that each word is about.

    a small red circle above a large blue square

Of several objects, a caption names the two that lie farthest apart, from left to right or from top to bottom: it says
where the small one is, seen from the large one; of two of one size, where the one further left or up is. Many other
captions of a scene are true, so captions are judged by `ground`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from .scenes import COLOURS, RELATIONS, SHAPES, SIZES, Mask, Scene, SceneObject, relation

_PHRASE = rf"a (?:({'|'.join(SIZES)}) )?({'|'.join(COLOURS)}) ({'|'.join(SHAPES)})"
_CAPTION = re.compile(rf"{_PHRASE}(?: ({'|'.join(RELATIONS)}) {_PHRASE})?")
_ABOUT_NOTHING = ("a", *dict.fromkeys(word for name in RELATIONS for word in name.split()))
WORDS = (*_ABOUT_NOTHING, *SIZES, *COLOURS, *SHAPES)
LONGEST = 24  # words; more than any caption has


@dataclass(frozen=True, eq=False)
class Caption:
    """A true description.

    Attributes:
        words: each one of WORDS.
        masks: for each word, the pixels of what it is about, bool [H, W]; None for the article and for relations.
    """

    words: tuple[str, ...]
    masks: tuple[Mask | None, ...]


def caption(scene: Scene) -> Caption:
    """The caption of a scene."""
    one, *others = _described(scene.objects)
    words = [*_phrase(one), *(word for other in others for word in (*relation(one, other).split(), *_phrase(other)))]
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


def _described(objects: Sequence[SceneObject]) -> list[SceneObject]:
    """The one or two objects that the caption names, in its order."""
    if len(objects) == 1:
        return [objects[0]]
    across, down = sorted(objects, key=lambda each: each.x), sorted(objects, key=lambda each: each.y)
    first, *_, last = across if across[-1].x - across[0].x > down[-1].y - down[0].y else down
    return [last, first] if (first.size, last.size) == ("large", "small") else [first, last]


def _phrase(each: SceneObject) -> list[str]:
    return ["a", each.size, each.colour, each.shape]


def _fitting(phrase: Sequence[str | None], scene: Scene) -> list[SceneObject]:
    size, colour, shape = phrase
    return [
        each
        for each in scene.objects
        if each.size == (size or each.size) and (each.colour, each.shape) == (colour, shape)
    ]

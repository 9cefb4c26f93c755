"""Questions about scenes, with answers that cannot be guessed without looking.

    kind      question                                          answers
    colour    what colour is the circle?                        6 colours
    shape     what shape is the red object?                     4 shapes
    count     how many circles are there?                       0 to 3
              how many red objects are there?                   0 to 3
              how many objects are there?                       1 to 4
    yes/no    is there a red circle?                            yes, no
    relation  where is the circle relative to the square?       above, below, left, right

A question is asked only where "the" object is the only one of its kind. `ask` draws the question first, then one of its
answers uniformly, then scenes until one has that answer: given the question, all its answers are equally probable. Four
of one kind are too rare to be drawn so; where a scene has them, `questions` says "4".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from .scenes import COLOURS, MOST_OBJECTS, RELATIONS, SHAPES, Mask, Scene, SceneObject, layout, relation, render

KINDS = ("colour", "shape", "count", "yes/no", "relation")
Objects: TypeAlias = Sequence[SceneObject]
Reply: TypeAlias = tuple[str, Objects] | None

_PLURALS = {"circle": "circles", "square": "squares", "triangle": "triangles", "cross": "crosses"}
_PLACES = {name: name.removesuffix(" of") for name in RELATIONS}
_COUNTS = tuple(str(count) for count in range(MOST_OBJECTS + 1))


@dataclass(frozen=True, eq=False)
class Question:
    """A question about a scene and its answer.

    Attributes:
        text: in lower case, with its question mark.
        answer: one of ANSWERS.
        kind: one of KINDS.
        mask: the pixels of the objects that the answer is about, bool [H, W]: the one asked for, all counted, the pair
            of a relation; None where there are none, as for "0" and "no".
    """

    text: str
    answer: str
    kind: str
    mask: Mask | None


@dataclass(frozen=True)
class _Form:
    """A question that can be asked of any scene; `reply` gives the answer and the objects it is about, or None."""

    kind: str
    text: str
    answers: tuple[str, ...]
    reply: Callable[[Objects], Reply]


def questions(scene: Scene) -> list[Question]:
    """All questions that the scene answers, in a fixed order; their answers are not balanced."""
    return [_question(form, reply, scene) for form in _FORMS if (reply := form.reply(scene.objects)) is not None]


def ask(rng: np.random.Generator, size: int = 96, kinds: Sequence[str] = KINDS) -> tuple[Scene, Question]:
    """A random question of a random one of `kinds`, and a scene of `size` x `size` pixels that answers it."""
    kind = kinds[int(rng.integers(len(kinds)))]
    forms = [form for form in _FORMS if form.kind == kind]
    form = forms[int(rng.integers(len(forms)))]
    answer = form.answers[int(rng.integers(len(form.answers)))]
    while True:
        objects = layout(rng)
        reply = form.reply(objects)
        if reply is not None and reply[0] == answer:
            scene = render(objects, rng, size)
            return scene, _question(form, reply, scene)


def _question(form: _Form, reply: tuple[str, Objects], scene: Scene) -> Question:
    return Question(form.text, reply[0], form.kind, scene.mask(reply[1]))


def _of(objects: Objects, **attributes: str) -> Objects:
    return [each for each in objects if all(getattr(each, name) == value for name, value in attributes.items())]


def _attribute(asked: str, **attributes: str) -> Callable[[Objects], Reply]:
    def reply(objects: Objects) -> Reply:
        found = _of(objects, **attributes)
        return (getattr(found[0], asked), found) if len(found) == 1 else None

    return reply


def _count(**attributes: str) -> Callable[[Objects], Reply]:
    def reply(objects: Objects) -> Reply:
        found = _of(objects, **attributes)
        return str(len(found)), found

    return reply


def _exists(**attributes: str) -> Callable[[Objects], Reply]:
    def reply(objects: Objects) -> Reply:
        found = _of(objects, **attributes)
        return "yes" if found else "no", found

    return reply


def _where(subject: str, other: str) -> Callable[[Objects], Reply]:
    def reply(objects: Objects) -> Reply:
        ones, others = _of(objects, shape=subject), _of(objects, shape=other)
        if (len(ones), len(others)) != (1, 1):
            return None
        return _PLACES[relation(ones[0], others[0])], [*ones, *others]

    return reply


def _forms() -> list[_Form]:
    colours, places = tuple(COLOURS), tuple(_PLACES.values())
    forms = [
        *(_Form("colour", f"what colour is the {s}?", colours, _attribute("colour", shape=s)) for s in SHAPES),
        *(_Form("shape", f"what shape is the {c} object?", SHAPES, _attribute("shape", colour=c)) for c in COLOURS),
        _Form("count", "how many objects are there?", _COUNTS[1:], _count()),
        *(_Form("count", f"how many {_PLURALS[s]} are there?", _COUNTS[:4], _count(shape=s)) for s in SHAPES),
        *(_Form("count", f"how many {c} objects are there?", _COUNTS[:4], _count(colour=c)) for c in COLOURS),
    ]
    for shape in SHAPES:
        for colour in COLOURS:
            reply = _exists(colour=colour, shape=shape)
            forms.append(_Form("yes/no", f"is there a {colour} {shape}?", ("yes", "no"), reply))
        for other in SHAPES:
            if other != shape:
                text = f"where is the {shape} relative to the {other}?"
                forms.append(_Form("relation", text, places, _where(shape, other)))
    return forms


_FORMS = _forms()
ANSWERS = tuple(dict.fromkeys(answer for form in _FORMS for answer in form.answers))
TEXTS = tuple(form.text for form in _FORMS)

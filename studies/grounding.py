"""Do maps of words and answers point at what they are about? Measured where it is known: on scenes.

    python -m studies.grounding captions|answers [SCENES]

Writes the tables of docs/studies.md. Only words of true captions, and right answers, are judged: of a wrong one nobody
knows what it is about. A map is judged at the scene's size. It *follows* when, of two words or answers about different
objects of one scene, the first's map has more of its energy in the first's object than the second's map has.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
from onnxplain.engine.evaluation.measures.pointing import centre_map, energy_inside, pointing
from onnxplain.engine.language.captions import Captioner
from onnxplain.engine.language.decoding import GreedyDecoder
from onnxplain.engine.language.questions import Answerer
from rich.progress import track

from .captions import ground
from .page import table, write_section
from .questions import KINDS, Question, ask, questions
from .scenes import COLOURS, SIZES, Mask, Scene, scene

MODELS = Path(__file__).parents[1] / "exported_models"
CAPTIONER = MODELS / "captioner" / "captioner.onnx"
ANSWERERS = {name: MODELS / f"vqa_{name}" / "scenes.onnx" for name in ("alexnet", "vgg16", "vgg19")}
METHODS = ("grad-cam", "guided-backprop", "guided-grad-cam", "c-mwp", "occlusion")
BASELINES = ("centre", "uniform")
SCENES, SEED = 200, 2026
TOLERANCE = 3  # pixels; Zhang et al. 2016 allow 15 in photos of about 500, and a scene has 96

Maps = Mapping[str, Sequence[np.ndarray]]  # by method: a map [H, W] of each thing that was said


class Row(NamedTuple):
    """One map judged: the kind of what was said, the hit and the energy inside, or whether the map follows."""

    method: str
    kind: str
    pointing: float
    energy: float
    follows: float


def judged(maps: Maps, masks: Sequence[Mask], kinds: Sequence[str]) -> Iterator[Row]:
    """The rows of what was said of one scene: each thing, and each pair about objects apart from each other."""
    for method, found in maps.items():
        for heatmap, mask, kind in zip(found, masks, kinds, strict=True):
            yield Row(method, kind, pointing(heatmap, mask, TOLERANCE), energy_inside(heatmap, mask), np.nan)
        for one, other in combinations(range(len(masks)), 2):
            if kinds[one] == kinds[other] and not (masks[one] & masks[other]).any():
                energies = [energy_inside(found[each], masks[one]) for each in (one, other)]
                yield Row(method, kinds[one], np.nan, np.nan, _is_more(*energies))


def caption_rows(scenes: Iterable[Scene], methods: Sequence[str] = METHODS) -> Iterator[Row]:
    """The words of the captioner's true captions."""
    decode, explain = GreedyDecoder(CAPTIONER), {method: Captioner(CAPTIONER, method=method) for method in methods}
    for each in scenes:
        words = decode(each.image)
        about = ground(words, each)
        if about is None:
            continue
        places = [at for at, mask in enumerate(about) if mask is not None]
        masks = [mask for mask in about if mask is not None]
        maps = {}
        for method, captioner in explain.items():
            found = {one.target: one.heatmap for one in captioner(each.image, words).explanations}
            maps[method] = [found[at + 1] for at in places]
        yield from judged(maps | _baselines(masks), masks, [_kind_of(words[at]) for at in places])


def answer_rows(
    model: Path, asked: Iterable[tuple[Scene, Sequence[Question]]], methods: Sequence[str] = METHODS
) -> Iterator[Row]:
    """A model's right answers to the questions on each scene that are about an object."""
    answer = Answerer(model, method="eigen-cam")  # the cheapest way to an answer: its map needs no gradient
    explain = {method: Answerer(model, method=method) for method in methods}
    for each, all_questions in asked:
        right = [
            (one, one.mask)
            for one in all_questions
            if one.mask is not None and answer(each.image, one.text).answers[0].text == one.answer
        ]
        masks = [mask for _, mask in right]
        maps = {
            method: [answerer(each.image, one.text, one.answer).explanations[0].heatmap for one, _ in right]
            for method, answerer in explain.items()
        }
        yield from judged(maps | _baselines(masks), masks, [one.kind for one, _ in right])


def scenes_of(count: int) -> Iterator[Scene]:
    """Scenes that no model was trained on."""
    rng = np.random.default_rng(SEED)
    return (scene(rng) for _ in range(count))


def asked_of(count: int) -> Iterator[tuple[Scene, list[Question]]]:
    """Scenes with a question drawn for each, and another of its kind about something else where there is one."""
    rng = np.random.default_rng(SEED)
    for _ in range(count):
        each, question = ask(rng)
        others = [one for one in questions(each) if one.kind == question.kind and one.text != question.text]
        yield each, [question, *others[:1]]


def summary(rows: Sequence[Row], methods: Sequence[str] = (*METHODS, *BASELINES)) -> list[list[str]]:
    """A line a method: hits, energy and following, in per cent, and how many maps were judged."""
    lines = []
    for method in methods:
        own = np.array([row[2:] for row in rows if row.method == method])
        judged_maps = int((~np.isnan(own[:, 0])).sum())
        lines.append([method, *(_percent(column) for column in own.T), str(judged_maps)])
    return lines


def by_kind(rows: Sequence[Row], kinds: Sequence[str], method: str = "grad-cam") -> list[list[str]]:
    """A line a kind: hits of a method and of the two baselines, in per cent."""
    return [
        [
            kind,
            *(
                _percent([r.pointing for r in rows if (r.method, r.kind) == (one, kind)])
                for one in (method, *BASELINES)
            ),
        ]
        for kind in kinds
    ]


def write_captions(count: int) -> None:
    """Measures the captioner, and writes its section of the page."""
    rows = list(caption_rows(track(scenes_of(count), "captions", count)))
    write_section("captions", _tables(rows, ("size", "colour", "shape")))


def write_answers(count: int) -> None:
    """Measures the models that answer questions, and writes their section of the page."""
    texts = []
    for name, model in ANSWERERS.items():
        rows = list(answer_rows(model, track(asked_of(count), name, count)))
        texts.append(f"**{name}**, {count} scenes\n\n{_tables(rows, KINDS)}")
    write_section("answers", "\n\n".join(texts))


def _tables(rows: Sequence[Row], kinds: Sequence[str]) -> str:
    methods = ["method", "hits, %", "energy inside, %", "follows, %", "maps"]
    header = ["kind", "Grad-CAM, hits %", *(f"{name}, hits %" for name in BASELINES)]
    return f"{table(methods, summary(rows))}\n\n{table(header, by_kind(rows, kinds))}"


def _baselines(masks: Sequence[Mask]) -> dict[str, list[np.ndarray]]:
    """Maps that know nothing of the image: its middle, and everywhere alike."""
    return {
        "centre": [centre_map(mask.shape) for mask in masks],
        "uniform": [np.ones(mask.shape) for mask in masks],
    }


def _kind_of(word: str) -> str:
    return "colour" if word in COLOURS else "size" if word in SIZES else "shape"


def _is_more(one: float, other: float) -> float:
    """1 if it is, half if both are equal: then a coin would tell as much."""
    return float(one > other) + float(one == other) / 2


def _percent(values: Sequence[float] | np.ndarray) -> str:
    known = np.array(values)[~np.isnan(values)]
    return f"{100 * known.mean():.1f}" if len(known) else "-"


if __name__ == "__main__":
    write = {"captions": write_captions, "answers": write_answers}[sys.argv[1]]
    write(int(sys.argv[2]) if len(sys.argv) > 2 else SCENES)

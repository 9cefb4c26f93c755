"""How often the exported answerers are right, and whether their maps point at what the answers are about.

    python -m studies.vqa.measure [CNN ...]

Writes the tables of the model cards, from test data that no model was trained on. Needs no PyTorch.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
from onnxplain.engine.evaluation.measures.pointing import centre_map, energy_inside, pointing
from onnxplain.engine.images.preprocess import Preprocess
from onnxplain.engine.language.questions import Answerer
from onnxplain.engine.language.vocabulary import Vocabulary
from onnxplain.engine.runtime.session import Session
from onnxplain.graph_rewrites.model.metadata import read_metadata

from ..page import table, write_section
from ..questions import Question
from ..scenes import Image
from .data import Split, chosen_cnns, easy_vqa_test, scene_test

MODELS = Path(__file__).parents[2] / "exported_models"
BATCH = 256
EXPLAINED, SEED = 600, 0  # of the right answers that are about an object, so many are explained
HEADER = ["questions", "number", "correct, %", "commonest answer, %", "hits, %", "centre, %", "energy, %", "area, %"]
TESTS: dict[str, Callable[[], Split]] = {"scenes": scene_test, "easy_vqa": easy_vqa_test}


class Asked(NamedTuple):
    """A question about an image, and what the model answered."""

    image: Image
    question: Question
    answer: str

    @property
    def is_right(self) -> bool:
        """Whether the answer is the right one."""
        return self.answer == self.question.answer


class Pointed(NamedTuple):
    """Of one right answer's Grad-CAM: whether its maximum lies in the object, and the share of its energy that does.

    `centre` and `area` are the same for maps that know nothing: the image's middle, and everywhere alike.
    """

    kind: str
    hit: float
    centre: float
    energy: float
    area: float


def ask(path: Path, split: Split) -> list[Asked]:
    """All questions of a split, answered by the model of that file."""
    model = onnx.load(path)
    record = read_metadata(model) or {}
    preprocess, vocabulary = Preprocess.from_json(record["preprocessing"]), Vocabulary.from_json(record["text"])
    session = Session(model)
    images = np.stack([preprocess.apply(image) for image in split.images])
    pairs = [(index, question) for index, asked in enumerate(split.questions) for question in asked]
    found: list[int] = []
    for start in range(0, len(pairs), BATCH):
        batch = pairs[start : start + BATCH]
        texts = [vocabulary.encode(question.text) for _, question in batch]
        words = np.zeros((len(texts), max(map(len, texts))), np.int64)
        for row, text in zip(words, texts, strict=True):
            row[: len(text)] = text
        feeds = {"image": images[[index for index, _ in batch]], "question": words}
        found += session.run(["logits"], feeds)[0].argmax(axis=1).tolist()
    return [
        Asked(split.images[index], question, record["labels"][answer])
        for (index, question), answer in zip(pairs, found, strict=True)
    ]


def point(path: Path, asked: list[Asked], count: int = EXPLAINED) -> Iterator[Pointed]:
    """Grad-CAM of right answers that are about an object, of so many of them."""
    explain = Answerer(path)
    right = [one for one in asked if one.is_right and one.question.mask is not None]
    for index in np.random.default_rng(SEED).permutation(len(right))[:count]:
        image, question, answer = right[index]
        mask = question.mask
        assert mask is not None
        heatmap = explain(image, question.text, answer).explanations[0].heatmap
        centre = pointing(centre_map(mask.shape), mask)
        yield Pointed(question.kind, pointing(heatmap, mask), centre, energy_inside(heatmap, mask), float(mask.mean()))


def summary(asked: list[Asked], pointed: list[Pointed]) -> list[list[str]]:
    """A line for each kind of question, and one for all."""
    kinds = dict.fromkeys(one.question.kind for one in asked)
    return [*(_line(kind, asked, pointed, {kind}) for kind in sorted(kinds)), _line("all", asked, pointed, {*kinds})]


def main() -> None:
    """Measures, and writes the cards' tables."""
    names = chosen_cnns(sys.argv[1:])
    tests = {subject: split() for subject, split in TESTS.items()}
    for name in names:
        folder = MODELS / f"vqa_{name}"
        for subject, split in tests.items():
            asked = ask(folder / f"{subject}.onnx", split)
            lines = summary(asked, list(point(folder / f"{subject}.onnx", asked)))
            write_section(subject, table(HEADER, lines), folder / "README.md")


def _line(name: str, asked: list[Asked], pointed: list[Pointed], kinds: set[str]) -> list[str]:
    chosen = [one for one in asked if one.question.kind in kinds]
    commonest = [
        Counter(one.question.answer for one in chosen if one.question.kind == kind).most_common(1)[0][1]
        for kind in kinds
    ]
    maps = [one[1:] for one in pointed if one.kind in kinds]
    right = np.mean([one.is_right for one in chosen])
    return [
        name,
        str(len(chosen)),
        *(f"{100 * share:.1f}" for share in (right, sum(commonest) / len(chosen), *np.mean(maps, axis=0))),
    ]


if __name__ == "__main__":
    main()

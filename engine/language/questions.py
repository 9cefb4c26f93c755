"""Questions on images, a model's answers, and why it gives them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ...graph_rewrites.errors import UsageError, closest
from ...graph_rewrites.model.model import ModelSource
from ..explainer import Explainer, Source
from ..explanation import Explanation
from ..results import probabilities
from .text_model import AnswererModel

TOP = 5  # answers listed


class Answer(NamedTuple):
    """An answer, its score before the softmax, and its probability; None where an explained model does not give it."""

    text: str
    score: float
    probability: float | None


@dataclass(frozen=True)
class Answers:
    """A model's answers to a question on an image, and where it saw them.

    Attributes:
        question: the question as it was asked.
        out_of_vocabulary: its words that the model does not know and read as its token for unknown ones.
        answers: the five most probable ones, best first, then those explained beside them.
        explanations: one per answer explained, and layer.
    """

    question: str
    out_of_vocabulary: list[str]
    answers: list[Answer]
    explanations: list[Explanation]

    @property
    def strangers(self) -> list[str]:
        """The former name of `out_of_vocabulary`."""
        warnings.warn("Answers.strangers is now Answers.out_of_vocabulary", DeprecationWarning, stacklevel=2)
        return self.out_of_vocabulary


class Answerer:
    """Answers questions on images and explains the answers.

    Args:
        model: path or `ModelProto`: image and token ids of the question to scores [N, answers], with its vocabulary
            and answers recorded (see docs/language.md).
        arguments: arguments of `Explainer`: method, layers, labels (the answers), preprocess ...

    Raises:
        UsageError: a model of another kind; and as `Explainer`.
        OnnxplainError: a model that cannot be read, or lacks a vocabulary or answers; and as `Explainer`.
    """

    def __init__(self, model: ModelSource, **arguments: Any) -> None:
        self._model = AnswererModel(model)
        self._model.require_preprocess(arguments.get("preprocess"))
        self._explainer = Explainer(self._model.source, **arguments)
        if self._explainer.labels is None:
            raise UsageError(f"{self._model.name}: its record names no answers; give them in order, labels= (--labels)")
        self._answers = self._explainer.labels

    def __call__(
        self, image: Source, question: str | Sequence[str], answer: str | Sequence[str] | None = None
    ) -> Answers:
        """Answers a question on an image.

        Args:
            image: a path, or a uint8 [H, W, 3] RGB array.
            question: the question, as a text or as words.
            answer: one or several answers to explain; default: the most probable one.

        Raises:
            UsageError: a question that is empty, too long, or has a word that the model does not know; an answer that
                the model cannot give.
            OnnxplainError: an image that cannot be read, or a map that is not finite.
        """
        ids = self._model.vocabulary.encode(question, "question")
        wanted = [answer] if isinstance(answer, str) else answer
        targets = None if wanted is None else [self._index(one) for one in wanted]
        found = self._explainer(image, targets, {self._model.input: self._model.tokens(ids)})
        asked = question if isinstance(question, str) else " ".join(question)
        top = self._top(found[0].logits)
        told = {one.text for one in top}
        beside = {one.label: Answer(str(one.label), one.score, one.probability) for one in found}
        answers = [*top, *(answer for text, answer in beside.items() if text not in told)]
        return Answers(asked, self._model.vocabulary.out_of_vocabulary(question), answers, found)

    def _index(self, answer: str) -> int:
        """The class of an answer: by its text alone, as answers may be numbers."""
        known = [one.lower() for one in self._answers]
        if answer.strip().lower() not in known:
            raise UsageError(f"{self._model.name}: has no answer {answer!r}; {closest(answer, self._answers)}")
        return known.index(answer.strip().lower())

    def _top(self, logits: np.ndarray | None) -> list[Answer]:
        if logits is None:
            return []
        shares, order = probabilities(logits, self._explainer.record), np.argsort(-logits, kind="stable")
        return [Answer(self._answers[index], float(logits[index]), float(shares[index])) for index in order[:TOP]]

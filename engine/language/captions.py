"""Captions of images, and why a model gives each of their words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

from ...graph_rewrites.model.model import ModelSource
from ..explainer import Explainer, Source
from ..explanation import Explanation
from ..images.preprocess import Preprocess
from .decoding import GreedyDecoder
from .text_model import CaptionerModel


@dataclass(frozen=True)
class Caption:
    """A caption of an image, and where the model saw it.

    Attributes:
        words: its words.
        explanations: of the sentence (target 0), then of each word (targets 1, 2 ...): the score is the natural
            logarithm of the probability, of a word given those before it, of the sentence their sum; the label is the
            word. Where several layers are explained, each target has one for each of them.
    """

    words: list[str]
    explanations: list[Explanation]

    @property
    def text(self) -> str:
        """The sentence."""
        return " ".join(self.words)

    @property
    def log_probability(self) -> float:
        """That of the sentence, the end not counted."""
        return self._scores[0]

    @property
    def log_probabilities(self) -> list[float]:
        """Those of the words."""
        return self._scores[1:]

    @property
    def _scores(self) -> list[float]:
        scores = {one.target: one.score for one in self.explanations}
        return [scores[target] for target in range(len(self.words) + 1)]


class Captioner:
    """Captions images and explains the captions.

    Args:
        model: a captioner, path or `ModelProto`: image and token ids to scores [N, T, vocabulary] of the words that
            follow, with its vocabulary recorded (see docs/language.md).
        decoder: a graph that writes whole captions, image to token ids; default: the captioner's own graph does it,
            word by word.
        preprocess: as in `Explainer`.
        providers: as in `Explainer`.
        arguments: further arguments of `Explainer`: method, layers, rules, options ...

    Raises:
        UsageError: a model of another kind, a decoder of another vocabulary; and as `Explainer`.
        OnnxplainError: a model that cannot be read, or lacks a vocabulary; and as `Explainer`.
    """

    def __init__(
        self,
        model: ModelSource,
        *,
        decoder: ModelSource | None = None,
        preprocess: Preprocess | str | None = None,
        providers: Sequence[str] | None = None,
        **arguments: Any,
    ) -> None:
        self._model = CaptionerModel(model)
        self._model.require_preprocess(preprocess)
        source = self._model.source
        self._new_decoder = partial(GreedyDecoder, source, decoder, preprocess=preprocess, providers=providers)
        self._explainer = Explainer(
            source, score=self._model.score, preprocess=preprocess, providers=providers, **arguments
        )

    @cached_property
    def _decoder(self) -> GreedyDecoder:
        return self._new_decoder()

    def __call__(self, image: Source, caption: str | Sequence[str] | None = None) -> Caption:
        """Explains a caption of an image.

        Args:
            image: a path, or a uint8 [H, W, 3] RGB array.
            caption: the caption, as a text or as words; default: the one that the model writes, the most probable word
                at each step.

        Raises:
            UsageError: a caption that is empty, too long, or has a word that the model does not know.
            OnnxplainError: an image that cannot be read, or a map that is not finite.
        """
        ids = self._model.vocabulary.encode(self._decoder(image) if caption is None else caption, "caption")
        words = self._model.vocabulary.decode(ids)
        labels = [" ".join(words), *words]
        inputs = self._model.inputs(ids[:-1], ids, self._explainer.record["names"])
        found = self._explainer(image, list(range(len(labels))), inputs)
        return Caption(words, [replace(one, label=labels[one.target]) for one in found])

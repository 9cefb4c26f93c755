"""From an image to the words of its caption, the most probable word at each step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...graph_rewrites.errors import OnnxplainError, UsageError
from ...graph_rewrites.model.metadata import read_metadata
from ...graph_rewrites.model.model import ModelSource, load
from ..explained import ExplainedModel
from ..explainer import Source
from ..images.files import as_image
from ..images.model_input import fit_to_input, wanted_preprocess
from ..images.preprocess import Preprocess
from ..runtime.session import Session
from .record import INTEGERS, fed_inputs, name_of, recorded_vocabulary
from .text_model import CaptionerModel
from .vocabulary import Vocabulary


class GreedyDecoder:
    """Writes captions, with a captioner's own graph (one run a word) or with a decoder, a graph that does it in one.

    Args:
        model: the captioner, path or `ModelProto`.
        decoder: the decoder, image to token ids [N, T]; default: none.
        preprocess: how images become inputs, as in `Explainer`; a decoder's own record comes first.
        providers: as in `Explainer`.

    Raises:
        UsageError: a model of another kind, or a decoder that is none or has another vocabulary.
        OnnxplainError: a model that cannot be read or lacks the record.
    """

    def __init__(
        self,
        model: ModelSource,
        decoder: ModelSource | None = None,
        *,
        preprocess: Preprocess | str | None = None,
        providers: Sequence[str] | None = None,
    ) -> None:
        self._model = CaptionerModel(model)
        self._model.require_preprocess(preprocess)
        forward = ExplainedModel(self._model.forward(), preprocess=preprocess, providers=providers)
        self._runner, self._preprocess = forward.runner, forward.preprocess
        self._decoder = None if decoder is None else _Decoder(decoder, self._model, self._preprocess, providers)

    def __call__(self, image: Source) -> list[str]:
        """The words of the caption of an image, a path or a uint8 [H, W, 3] RGB array.

        Raises:
            OnnxplainError: an image that cannot be read, or a caption without a word.
        """
        pixels = as_image(image)
        ids = self._decoder(pixels) if self._decoder is not None else self._stepwise(pixels)
        if not ids:
            raise OnnxplainError(
                f"{self._model.name}: ends its caption of this image before the first word; give a caption (--caption)"
            )
        return self._model.vocabulary.decode(ids)

    def _stepwise(self, pixels: Any) -> list[int]:
        """The ids before the end token, at most the vocabulary's length of them."""
        image, model, ids = self._preprocess.apply(pixels)[None], self._model, list[int]()
        while len(ids) < model.length:
            inputs = model.inputs(ids, [-1] * (len(ids) + 1), self._runner.names)
            feeds = {self._runner.image: image, **inputs}
            logits = self._runner.run(feeds, 0)[model.output]
            ids.append(int(np.argmax(logits[0, len(ids)])))
            if ids[-1] == model.end:
                return ids[:-1]
        return ids


class _Decoder:
    """A graph from an image to the token ids of its caption, checked against the captioner that it belongs to."""

    def __init__(
        self, source: ModelSource, captioner: CaptionerModel, preprocess: Preprocess, providers: Sequence[str] | None
    ) -> None:
        proto, name = load(source), name_of(source)
        vocabulary = recorded_vocabulary(name, proto)
        inputs, outputs = list(fed_inputs(proto).values()), proto.graph.output
        tokens = [value.name for value in outputs if value.type.tensor_type.elem_type in INTEGERS]
        if len(inputs) != 1 or len(tokens) != 1:
            raise UsageError(f"{name}: no decoder, which takes an image alone and gives token ids; leave --decoder out")
        difference = _difference(vocabulary, captioner.vocabulary)
        if difference:
            raise UsageError(
                f"{name}: its vocabulary is not that of {captioner.name} ({difference}); give the decoder that was "
                "exported with it"
            )
        self._image, self._tokens, self._end = inputs[0].name, tokens[0], captioner.end
        wanted = wanted_preprocess(None, read_metadata(proto) or {}) or preprocess
        self._preprocess = fit_to_input(wanted, inputs[0].type.tensor_type, wanted.layout)
        self._session = Session(proto, providers)

    def __call__(self, pixels: Any) -> list[int]:
        """The ids before the end token."""
        (tokens,) = self._session.run([self._tokens], {self._image: self._preprocess.apply(pixels)[None]})
        ids = [int(index) for index in tokens[0]]
        return ids[: ids.index(self._end)] if self._end in ids else ids


def _difference(one: Vocabulary, other: Vocabulary) -> str:
    """How the tokens of two vocabularies differ; empty where they do not."""
    if len(one.vocabulary) != len(other.vocabulary):
        return f"{len(one.vocabulary)} words, not {len(other.vocabulary)}"
    pairs = [
        *((f"word {index} is", *both) for index, both in enumerate(zip(one.vocabulary, other.vocabulary, strict=True))),
        ("it begins with", one.begin, other.begin),
        ("it ends with", one.end, other.end),
    ]
    return next((f"{what} {mine!r}, not {its!r}" for what, mine, its in pairs if mine != its), "")

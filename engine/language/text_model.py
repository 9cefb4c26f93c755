"""Models of an image and of words: what they record, and which of their inputs and outputs are which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx

from ...graph_rewrites.errors import OnnxplainError, UsageError
from ...graph_rewrites.graph.tensors import FLOAT_TYPES
from ...graph_rewrites.model.metadata import read_metadata
from ...graph_rewrites.model.model import ModelSource, load, parse
from ...graph_rewrites.rewrite import rewrite
from ..images.preprocess import Preprocess
from ..runtime.runner import Arrays
from .record import fed_inputs, rank_of, recorded_vocabulary
from .vocabulary import HELP


class TextModel:
    """A model that takes an image and token ids [N, T], plain or explained.

    Attributes:
        source: the model, parsed.
        name: how messages call it.
        proto: the model as it is in its file; external data stays there.
        record: what its metadata say of it.
        vocabulary: its words.
        input: name of the input that takes token ids.

    Raises:
        UsageError: the model takes no words.
        OnnxplainError: it cannot be read, or its record lacks what is needed.
    """

    REMEDY = "give a model that takes token ids beside the image"

    def __init__(self, source: ModelSource) -> None:
        self.source = parse(source)
        self.name, self.proto = self.source.name, self.source.loaded
        self.record: dict[str, Any] = read_metadata(self.proto) or {}
        self.vocabulary = recorded_vocabulary(self.name, self.proto)
        inputs = fed_inputs(self.proto)
        if self.vocabulary.input is None:
            raise UsageError(f"{self.name}: takes no words, it only writes them; {self.REMEDY}")
        if self.vocabulary.input not in inputs:
            raise self.lacks(f"an input for words: {self.vocabulary.input!r} is none of {', '.join(inputs)}")
        self.input = self.vocabulary.input
        self._tokens = inputs[self.input].type.tensor_type

    @property
    def is_explained(self) -> bool:
        """Whether it is an explained model already."""
        return "method" in self.record

    def require_preprocess(self, given: Preprocess | str | None) -> None:
        """Makes sure that it is known how images become inputs: to guess would explain an image never seen.

        Raises:
            UsageError: it is neither given nor recorded.
        """
        if given is None and "preprocessing" not in self.record:
            raise UsageError(f"{self.name}: its record names no preprocessing; give it, preprocess= (--preprocess)")

    @property
    def fixed_length(self) -> int | None:
        """How many token ids the model takes, where that is fixed."""
        return (self._tokens.shape.dim[1].dim_value or None) if rank_of(self._tokens) == 2 else None

    def tokens(self, ids: Sequence[int]) -> np.ndarray:
        """Token ids as the model takes them, [1, T]; where its T is fixed, padding follows.

        Raises:
            UsageError: more ids than the model takes.
            OnnxplainError: padding is needed, and the record has no such token.
        """
        return self.filled(ids, self.vocabulary.pad).astype(
            onnx.helper.tensor_dtype_to_np_dtype(self._tokens.elem_type)
        )

    def filled(self, ids: Sequence[int], fill: int | str | None) -> np.ndarray:
        """Numbers [1, T], int64; where T is fixed, filled up with a number or a token."""
        width = self.fixed_length or len(ids)
        if len(ids) > width:
            raise UsageError(f"{self.name}: takes {width} words, not {len(ids)}; shorten the text")
        if len(ids) < width and fill is None:
            raise self.lacks(f"a token pad, to fill up texts of fewer than {width} words")
        number = self.vocabulary.ids[fill] if isinstance(fill, str) else fill
        return np.array([[*ids, *[number] * (width - len(ids))]], np.int64)

    def scores(self, rank: int, count: int | None = None) -> list[str]:
        """The float outputs with so many axes, and so many entries along the last, by name.

        Those of which the model does not say it are included.
        """
        kinds = {value.name: value.type.tensor_type for value in self.proto.graph.output}
        fitting = [
            name for name, kind in kinds.items() if kind.elem_type in FLOAT_TYPES and rank_of(kind) in (rank, None)
        ]
        last = {name: kinds[name].shape.dim[-1].dim_value if rank_of(kinds[name]) else 0 for name in fitting}
        return [name for name in fitting if count is None or last[name] in (count, 0)]

    def lacks(self, what: str) -> OnnxplainError:
        """The error for a record without something."""
        return OnnxplainError(f"{self.name}: its record lacks {what}; {HELP}")


class CaptionerModel(TextModel):
    """A captioner, which scores each word given those before it: `output` [N, T, vocabulary]."""

    REMEDY = "give the captioner's own graph, which takes token ids beside the image, and this one as --decoder"

    def __init__(self, source: ModelSource) -> None:
        super().__init__(source)
        if self.is_explained:
            self.output = str(self.record["score"]["output"])
            if "words" not in self.record["names"]:
                raise UsageError(f"{self.name}: is explained already, but not as a captioner; give the original model")
        else:
            words = len(self.vocabulary.vocabulary)
            found = self.scores(3, words)
            if not self.scores(3) and self.scores(2):
                raise UsageError(f"{self.name}: scores whole answers and no words of captions; use onnxplain vqa")
            if len(found) != 1:
                raise UsageError(
                    f"{self.name}: {len(found)} outputs score the {words} words of its vocabulary [N, T, {words}], "
                    f"where a captioner has one; {HELP}"
                )
            self.output = found[0]
        if self.vocabulary.begin is None or self.vocabulary.end is None or self.vocabulary.length is None:
            raise self.lacks("begin, end or length, which captions need")
        self.end = self.vocabulary.ids[self.vocabulary.end]
        self.length = min(self.vocabulary.length, self.fixed_length or self.vocabulary.length)
        self._begin = self.vocabulary.ids[self.vocabulary.begin]

    @property
    def score(self) -> str | None:
        """What is explained, as `rewrite` takes it; None of a model that is explained already."""
        name = self.output if self.output.isidentifier() else repr(self.output)
        return None if self.is_explained else f"sequence({name})"

    def forward(self) -> onnx.ModelProto:
        """A model that gives `output` and takes what an explained captioner takes."""
        if self.is_explained:
            return load(self.source)
        return rewrite(self.source, method="gradient", score=self.score, outputs=["score"])

    def inputs(self, ids: Sequence[int], scored: Sequence[int], names: Mapping[str, str]) -> Arrays:
        """The inputs beside the image.

        Args:
            ids: the words that the model reads after the begin token.
            scored: the words that are explained, of each step the one that should come; -1: none.
            names: the names in the explained model's record.
        """
        return {self.input: self.tokens([self._begin, *ids]), names["words"]: self.filled(scored, -1)}


class AnswererModel(TextModel):
    """A model that answers questions on an image: its scores are [N, answers]."""

    def __init__(self, source: ModelSource) -> None:
        super().__init__(source)
        if "words" in self.record.get("names", {}) or (self.scores(3) and not self.scores(2)):
            raise UsageError(f"{self.name}: scores words of captions and no whole answers; use onnxplain caption")
        if not self.scores(2):
            raise UsageError(f"{self.name}: no output scores answers [N, answers]; {HELP}")

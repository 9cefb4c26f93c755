"""An explained model in a session: how images become its input, and what its classes are called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np
import onnx

from ..graph_rewrites.errors import UsageError
from ..graph_rewrites.maps.registry import find_method
from ..graph_rewrites.model.metadata import read_metadata
from ..graph_rewrites.model.model import ModelSource, load, parse
from ..graph_rewrites.pipeline.plan import DEFAULT_OUTPUTS
from ..graph_rewrites.rewrite import rewrite
from ..graph_rewrites.targets.placement import RECEPTIVE_FIELD
from ..graph_rewrites.targets.scores.score import ScoreSource
from .images.model_input import fit_to_input, wanted_preprocess
from .images.preprocess import Preprocess
from .runtime.runner import Runner

# What an explanation needs of an explained model, and the outputs that give it.
NEEDED = {"score": {"score"}, "heatmap": {"heatmap", "cam"}}


class ExplainedModel:
    """An explained model that is ready to run, with preprocessing and class names that fit it.

    Args:
        model: the explained model, or several joined (see `merge`).
        preprocess: as in `Explainer`.
        labels: as in `Explainer`.
        providers: as in `Explainer`.
        session_options: as in `Explainer`.

    Attributes:
        runner: runs it on raw tensors.
        session: the session it runs in.
        classes: how many classes there are, if known.
        record: what its metadata say of the explanation; of joined ones, of the first.
        labels: the class names, if known.
        preprocess_is_assumed: whether preprocessing is neither given nor recorded.

    Raises:
        UsageError, OnnxplainError: labels or preprocessing that do not fit the model, or as `Runner`.
    """

    def __init__(
        self,
        model: onnx.ModelProto,
        *,
        preprocess: Preprocess | str | None = None,
        labels: Sequence[str] | None = None,
        providers: Sequence[str] | None = None,
        session_options: Any = None,
    ) -> None:
        self._load = partial(Runner, providers=providers, options=session_options)  # for further models beside it
        self.model, self.runner = model, self._load(model)
        self.session, self.classes = self.runner.session, self.runner.classes
        joined = self.runner.record.get("records")
        self.record: dict[str, Any] = next(iter(joined.values())) if joined else self.runner.record
        self.labels = self._fitting(labels)
        self._wanted_preprocess = wanted_preprocess(preprocess, self.record)
        self.preprocess_is_assumed = self._wanted_preprocess is None
        if not self.preprocess_is_assumed:
            _ = self.preprocess  # what does not fit is an error now, not at the first image

    @cached_property
    def preprocess(self) -> Preprocess:
        """How images become the model's input.

        Raises:
            UsageError: the input is no image, or the preprocessing does not fit it.
        """
        kind = self.runner.types[self.runner.image]
        return fit_to_input(self._wanted_preprocess, kind, self.record["input"].get("layout"))

    def _size_of(self, stacked: np.ndarray) -> tuple[int, int]:
        """Height and width of inputs [N, ...]."""
        layout = self.record["input"]["layout"]
        height, width = (stacked.shape[layout.index(axis)] for axis in "HW")
        return height, width

    def _fitting(self, given: Sequence[str] | None) -> list[str] | None:
        """The labels, given or recorded, where they are one per class."""
        labels: list[str] | None = list(given) if given is not None else self.record.get("labels")
        if labels is None or self.classes in (None, len(labels)):
            return labels
        if given is None and "expression" in self.record["score"]:
            return None  # the model's own classes are not those of the score
        raise UsageError(f"{len(labels)} labels for a model of {self.classes} classes; give one per class")


def explained_model(
    model: ModelSource,
    *,
    method: str,
    layers: str | Sequence[str] | None,
    rules: str | None,
    score: ScoreSource | None,
    options: Mapping[str, Any] | None = None,
    placement: str = RECEPTIVE_FIELD,
) -> onnx.ModelProto:
    """The explained model behind `model`: rewritten now, or as it is where it is explained already.

    Raises:
        UsageError: an explained model, and an explanation asked for that is not the one it holds.
    """
    # A file is read once, whichever of the two it holds; a protobuf that is explained need not be brought into form.
    source = model if isinstance(model, onnx.ModelProto) else parse(model)
    record = read_metadata(source if isinstance(source, onnx.ModelProto) else source.loaded)
    if record is None or "method" not in record:
        outputs = (*DEFAULT_OUTPUTS[find_method(method).at], "logits")
        return rewrite(
            source,
            method=method,
            layers=layers,
            rules=rules,
            score=score,
            outputs=outputs,
            options=options,
            placement=placement,
        )
    named = [layers] if isinstance(layers, str) else list(layers or [])
    asked = {
        "layers": named or None,
        "rules": rules,
        "method": None if method == "grad-cam" else method,
        "options": dict(options or {}) or None,
    }
    for key, value in asked.items():
        if value is not None and value != record.get(key):
            raise UsageError(f"the model is explained already, with {key} {record.get(key)!r}; give the original model")
    names = {name.split("@")[0] for name in record["names"]}
    missing = [wanted for wanted, made_of in NEEDED.items() if not made_of & names]
    if missing:
        raise UsageError(f"the explained model lacks the outputs {missing}; rewrite the original model with them")
    return load(source)

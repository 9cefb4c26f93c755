"""Explains predictions: from images to heatmaps, by runs of an explained model."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx

from ..graph_rewrites.errors import OnnxplainError, UsageError
from ..graph_rewrites.maps.options import check_options
from ..graph_rewrites.maps.registry import find_method
from ..graph_rewrites.model.metadata import read_metadata
from ..graph_rewrites.model.model import ModelSource, load
from ..graph_rewrites.rewrite import DEFAULT_OUTPUTS, rewrite
from ..graph_rewrites.targets.score import ScoreSource
from .explanation import Explanation
from .images.files import PathLike, as_image
from .images.model_input import fit_to_input, wanted_preprocess
from .images.preprocess import Preprocess
from .multi_pass.registry import MANY_RUNS, Progress, silent
from .multi_pass.run import explain_samples
from .results import Results
from .runtime.runner import Arrays, Runner
from .targets import Target, resolve_targets

BATCH = 8  # images run together where the model's batch size is open
# What an explanation needs of an explained model, and the outputs that give it.
NEEDED = {"score": {"score"}, "heatmap": {"heatmap", "cam"}}

Source: TypeAlias = PathLike | npt.NDArray[np.uint8]


class _Sample(NamedTuple):
    """One image on its way through: as it was read, as the model takes it, and its file."""

    image: npt.NDArray[np.uint8]
    tensor: np.ndarray
    path: Path | None


class Explainer:
    """Explains the predictions of one model.

    Args:
        model: path or `ModelProto`; a plain model is rewritten, an explained one is run as it is.
        method: the explanation method, a key of `METHODS` or `MANY_RUNS`.
        layers: the layers to explain, or "all"; default: the last convolutional one, see `onnxplain.rewrite`. Methods
            that explain the input have no use for it.
        rules: backward rule set; default: the method's own.
        score: what is explained, see `onnxplain.rewrite`; needed where there are several outputs.
        preprocess: how images become inputs, a `Preprocess` or its text form such as "imagenet,size=299x299"; default:
            what the model's metadata record, else what `fit_to_input` assumes.
        labels: class names in class order; default: those of the model's metadata.
        providers: ONNX Runtime providers; default: CUDA where it is usable, else the CPU.
        options: the method's own, such as {"size": 25, "fill": "blur"} for occlusion.
        session_options: an `onnxruntime.SessionOptions`.
        progress: for methods of many runs, `(steps, total) -> steps`, which passes the steps on and may show them.

    Raises:
        UsageError, OnnxplainError: as `onnxplain.rewrite`; or labels or preprocessing that do not fit the model.
    """

    def __init__(
        self,
        model: ModelSource,
        *,
        method: str = "grad-cam",
        layers: str | Sequence[str] | None = None,
        rules: str | None = None,
        score: ScoreSource | None = None,
        preprocess: Preprocess | str | None = None,
        labels: Sequence[str] | None = None,
        providers: Sequence[str] | None = None,
        options: Mapping[str, Any] | None = None,
        session_options: Any = None,
        progress: Progress = silent,
    ) -> None:
        self.method, self._progress = method, progress
        self._many_runs = MANY_RUNS.get(method)
        self._options: dict[str, Any] = {}
        if self._many_runs is None:
            self.model = explained_model(model, method=method, layers=layers, rules=rules, score=score, options=options)
        elif rules is not None:
            raise UsageError(f"method {method!r} has no backward rules; leave rules= out")
        else:
            self._options = check_options(method, self._many_runs.explain, options)
            self.model = self._many_runs.build(model, layers, score)
        self._runner = Runner(self.model, providers, session_options)
        self.session, self.classes = self._runner.session, self._runner.classes
        self.record = self._runner.record | ({"method": method} if self._many_runs else {})
        self.labels = self._fitting_labels(labels)

        self._wanted_preprocess = wanted_preprocess(preprocess, self.record)
        self.preprocess_is_assumed = self._wanted_preprocess is None
        if self._wanted_preprocess is not None:
            _ = self.preprocess  # what does not fit is an error now, not at the first image

    @cached_property
    def preprocess(self) -> Preprocess:
        """How images become the model's input.

        Raises:
            UsageError: the input is no image, or the preprocessing does not fit it.
        """
        kind = self._runner.types[self._runner.image]
        return fit_to_input(self._wanted_preprocess, kind, self.record["input"].get("layout"))

    def __call__(
        self,
        images: Source | Iterable[Source],
        target: Target | Sequence[Target] | None = None,
        inputs: Mapping[str, np.ndarray] | None = None,
    ) -> list[Explanation]:
        """Explains images.

        Args:
            images: one or several paths, or uint8 [H, W, 3] RGB arrays.
            target: one or several class indices, labels, or "top1", "top5" (-1: the top class, -2: the second ...);
                default: the top class.
            inputs: the model's further inputs by name, the same for all images, with or without a batch axis of 1.

        Returns:
            One explanation per image, target and layer, image by image.

        Raises:
            UsageError: an unknown target, or a further input that is missing.
            OnnxplainError: an image that cannot be read, or a map that is not finite.
        """
        single = isinstance(images, str | os.PathLike | np.ndarray)
        return list(self.explain_each([images] if single else images, target, inputs=inputs))  # type: ignore[list-item, arg-type]

    def explain_each(
        self,
        images: Iterable[Source],
        target: Target | Sequence[Target] | None = None,
        on_error: Callable[[OnnxplainError], None] | None = None,
        inputs: Mapping[str, np.ndarray] | None = None,
    ) -> Iterator[Explanation]:
        """Explains images one batch at a time, so that any number of them fits into memory.

        Args:
            images: paths, or uint8 [H, W, 3] RGB arrays.
            target: as in a call.
            on_error: called for an image that cannot be read, which is then left out; default: the error is raised.
            inputs: as in a call.
        """
        others = self._other_inputs(inputs or {})
        targets = resolve_targets(target, self.labels, self.classes)
        limit = self._runner.fixed_batch or BATCH
        batch: list[_Sample] = []
        for source in images:
            try:
                sample = self._sample(source)
            except UsageError:
                raise
            except OnnxplainError as error:
                if on_error is None:
                    raise
                on_error(error)
                continue
            # A model that takes each image at its own size gets only equal ones together.
            if batch and (len(batch) == limit or batch[0].tensor.shape != sample.tensor.shape):
                yield from self._explain(batch, targets, others)
                batch = []
            batch.append(sample)
        if batch:
            yield from self._explain(batch, targets, others)

    def run(self, inputs: dict[str, np.ndarray], target: Any = -1) -> dict[str, np.ndarray]:
        """Explains raw tensors.

        Args:
            inputs: every model input by name.
            target: a class index, K of them, or [N, K]; -1: the top class, -2: the second ...

        Returns:
            Every output by name; those of the contract also under their logical names (`score`, `cam`, `heatmap` ...).
        """
        if self._many_runs is None:
            return self._runner.run(inputs, target)
        return explain_samples(self._many_runs, self._runner, inputs, target, self._options, self._progress)

    def _sample(self, source: Source) -> _Sample:
        image = as_image(source)
        path = None if isinstance(source, np.ndarray) else Path(source)
        return _Sample(image, self.preprocess.apply(image), path)

    def _other_inputs(self, given: Mapping[str, np.ndarray]) -> Arrays:
        """The further inputs, with a batch axis of 1."""
        added = set(self._many_runs.neutral(self._runner)) if self._many_runs else set()
        wanted = [name for name in self._runner.others if name not in added]
        actual = {name: name if name in wanted else self._runner.names.get(name, name) for name in given}
        feeds = {actual[name]: np.asarray(value) for name, value in given.items()}
        if set(feeds) != set(wanted):
            missing, unknown = sorted(set(wanted) - set(feeds)), sorted(set(feeds) - set(wanted))
            what = f"lacks a value for {missing}" if missing else f"has no input {unknown}"
            raise UsageError(f"the model {what}; its further inputs are {wanted}, given by inputs= (--input)")
        result = {}
        for name, value in feeds.items():
            kind = self._runner.types[name]
            dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
            value = value[None] if value.ndim == len(kind.shape.dim) - 1 else value
            if value.ndim != len(kind.shape.dim) or len(value) != 1:
                raise UsageError(
                    f"input {name!r} has shape {list(value.shape)}, not [1, ...] of {len(kind.shape.dim)} axes"
                )
            result[name] = value.astype(dtype)
        return result

    def _explain(self, batch: list[_Sample], targets: list[int], others: Arrays) -> Iterator[Explanation]:
        stacked = np.stack([sample.tensor for sample in batch])
        shared = {name: np.repeat(value, len(batch), axis=0) for name, value in others.items()}
        arrays = self.run({**shared, self._runner.image: stacked}, targets)
        results = Results(arrays, self.record, self.labels, self._input_size(stacked))
        for row, sample in enumerate(batch):
            for column, target in enumerate(targets):
                for layer in results.layers:
                    yield results.explanation(row, column, layer, target, sample.image, sample.path, self.preprocess)

    def _input_size(self, stacked: np.ndarray) -> tuple[int, int]:
        layout = self.record["input"]["layout"]
        height, width = (stacked.shape[layout.index(axis)] for axis in "HW")
        return height, width

    def _fitting_labels(self, given: Sequence[str] | None) -> list[str] | None:
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
) -> onnx.ModelProto:
    """The explained model behind `model`: rewritten now, or as it is where it is explained already.

    Raises:
        UsageError: an explained model, and an explanation asked for that is not the one it holds.
    """
    loaded = load(model)
    record = read_metadata(loaded)
    if record is None or "method" not in record:
        outputs = (*DEFAULT_OUTPUTS[find_method(method).at], "logits")
        return rewrite(model, method=method, layers=layers, rules=rules, score=score, outputs=outputs, options=options)
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
    return loaded

"""Explains predictions: from images to heatmaps, by one run of an explained model."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx

from ..graph_rewrites.errors import OnnxplainError, UsageError
from ..graph_rewrites.metadata import read_metadata
from ..graph_rewrites.model_file import ModelSource, load
from ..graph_rewrites.rewrite import rewrite
from .explanation import Explanation
from .images import PathLike, as_image
from .model_input import fit_to_input
from .preprocess import Preprocess, parse_preprocess
from .session import Session
from .targets import Target, resolve_targets

BATCH = 8  # images run together where the model's batch size is open
PER_TARGET = {"score", "cam", "heatmap", "gradient"}  # outputs [N, K, ...]

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
        method: the explanation map.
        layers: the layer to explain; default: the last convolutional one.
        rules: backward rule set; default: "standard".
        score: the model output to explain; needed where there are several.
        preprocess: how images become inputs, a `Preprocess` or its text form such as "imagenet,size=299x299"; default:
            what the model's metadata record, else what `fit_to_input` assumes.
        labels: class names in class order; default: those of the model's metadata.
        providers: ONNX Runtime providers; default: CUDA where it is usable, else the CPU.
        session_options: an `onnxruntime.SessionOptions`.

    Raises:
        UsageError, OnnxplainError: as `onnxplain.rewrite`; or labels or preprocessing that do not fit the model.
    """

    def __init__(
        self,
        model: ModelSource,
        *,
        method: str = "grad-cam",
        layers: str | None = None,
        rules: str | None = None,
        score: str | None = None,
        preprocess: Preprocess | str | None = None,
        labels: Sequence[str] | None = None,
        providers: Sequence[str] | None = None,
        session_options: Any = None,
    ) -> None:
        self.model = explained_model(model, method=method, layers=layers, rules=rules, score=score)
        self.record: dict[str, Any] = read_metadata(self.model) or {}
        self.names: dict[str, str] = self.record["names"]
        self.session = Session(self.model, providers, session_options)

        types = {value.name: value.type.tensor_type for value in self.model.graph.input}
        self._image = self.record["input"]["name"]
        self._others = sorted(
            set(types) - {t.name for t in self.model.graph.initializer} - {self._image, self.names["target"]}
        )
        self.fixed_batch: int | None = types[self._image].shape.dim[0].dim_value or None
        self.fixed_targets: int | None = types[self.names["target"]].shape.dim[1].dim_value or None
        self.classes = self._class_count()
        self.labels: list[str] | None = list(labels) if labels is not None else self.record.get("labels")
        if self.labels is not None and self.classes not in (None, len(self.labels)):
            raise UsageError(f"{len(self.labels)} labels for a model of {self.classes} classes; give one per class")

        given = parse_preprocess(preprocess) if isinstance(preprocess, str) else preprocess
        recorded = self.record.get("preprocessing")
        self.preprocess_is_assumed = given is None and recorded is None
        wanted = given or (Preprocess.from_json(recorded) if recorded else None)
        self.preprocess = fit_to_input(wanted, types[self._image], self.record["input"]["layout"])

    def __call__(
        self,
        images: Source | Iterable[Source],
        target: Target | Sequence[Target] | None = None,
    ) -> list[Explanation]:
        """Explains images.

        Args:
            images: one or several paths, or uint8 [H, W, 3] RGB arrays.
            target: one or several class indices, labels, or "top1", "top5" (-1: the top class, -2: the second ...);
                default: the top class.

        Returns:
            One explanation per image and target, image by image.

        Raises:
            UsageError: an unknown target.
            OnnxplainError: an image that cannot be read, or a map that is not finite.
        """
        single = isinstance(images, str | os.PathLike | np.ndarray)
        return list(self.explain_each([images] if single else images, target))  # type: ignore[list-item, arg-type]

    def explain_each(
        self,
        images: Iterable[Source],
        target: Target | Sequence[Target] | None = None,
        on_error: Callable[[OnnxplainError], None] | None = None,
    ) -> Iterator[Explanation]:
        """Explains images one batch at a time, so that any number of them fits into memory.

        Args:
            images: paths, or uint8 [H, W, 3] RGB arrays.
            target: as in a call.
            on_error: called for an image that cannot be read, which is then left out; default: the error is raised.
        """
        if self._others:
            raise UsageError(f"the model has further inputs {self._others}; feed them all with Explainer.run")
        targets = resolve_targets(target, self.labels, self.classes)
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
            if batch and (len(batch) == (self.fixed_batch or BATCH) or batch[0].tensor.shape != sample.tensor.shape):
                yield from self._explain(batch, targets)
                batch = []
            batch.append(sample)
        if batch:
            yield from self._explain(batch, targets)

    def run(self, inputs: dict[str, np.ndarray], target: Any = -1) -> dict[str, np.ndarray]:
        """Runs the explained model on raw tensors.

        Args:
            inputs: every model input by name.
            target: a class index, K of them, or [N, K]; -1: the top class, -2: the second ...

        Returns:
            Every output by name; those of the contract also under their logical names (`score`, `cam`, `heatmap` ...).
        """
        rows = inputs[self._image].shape[0]
        targets = np.atleast_1d(np.asarray(target, np.int64))
        targets = np.ascontiguousarray(np.broadcast_to(targets, (rows, targets.shape[-1])))
        width = self.fixed_targets or targets.shape[1]
        parts = [
            self.session.run(None, {**inputs, self.names["target"]: targets[:, first : first + width]})
            for first in range(0, targets.shape[1], width)
        ]
        logical = {actual: name for name, actual in self.names.items()}
        results = {}
        for name, *values in zip(self.session.outputs, *parts, strict=True):
            known = logical.get(name, name)
            is_per_target = name in logical and known.split("@")[0] in PER_TARGET
            results[name] = results[known] = np.concatenate(values, axis=1) if is_per_target else values[0]
        return results

    def _sample(self, source: Source) -> _Sample:
        image = as_image(source)
        path = None if isinstance(source, np.ndarray) else Path(source)
        return _Sample(image, self.preprocess.apply(image), path)

    def _explain(self, batch: list[_Sample], targets: list[int]) -> Iterator[Explanation]:
        tensors = [sample.tensor for sample in batch]
        padding = (self.fixed_batch or len(batch)) - len(batch)
        results = self.run({self._image: np.stack(tensors + tensors[-1:] * padding)}, targets)
        for row, sample in enumerate(batch):
            for column, target in enumerate(targets):
                yield self._explanation(results, row, column, sample, target)

    def _explanation(
        self, results: dict[str, np.ndarray], row: int, column: int, sample: _Sample, target: int
    ) -> Explanation:
        heatmap, cam = results["heatmap"][row, column], results["cam"][row, column]
        if not np.isfinite(heatmap).all():
            raise OnnxplainError(
                f"{sample.path or 'image'}: the map of target {target} is not finite; the model overflows on it"
            )
        output = results[self.record["score"]["output"]]
        squashed_by = self.record["score"]["squashed_by"]
        logits = results.get("logits", None if squashed_by else output)
        ranking = np.argsort(-(output if logits is None else logits)[row].ravel(), kind="stable")
        index = int(ranking[-target - 1]) if target < 0 else target
        return Explanation(
            heatmap=self.preprocess.to_source(heatmap, sample.image.shape[:2]),
            cam=cam,
            target=index,
            label=self.labels[index] if self.labels else None,
            score=float(results["score"][row, column]),
            logits=None if logits is None else logits[row].ravel(),
            probability=None if logits is None else _probability(logits[row].ravel(), index, squashed_by),
            image=sample.image,
            source=sample.path,
        )

    def _class_count(self) -> int | None:
        shapes = {value.name: value.type.tensor_type.shape.dim for value in self.model.graph.output}
        dims = shapes.get(self.names.get("logits", ""), shapes[self.record["score"]["output"]])
        return (dims[1].dim_value or None) if len(dims) > 1 else 1


def explained_model(
    model: ModelSource, *, method: str, layers: str | None, rules: str | None, score: str | None
) -> onnx.ModelProto:
    """The explained model behind `model`: rewritten now, or as it is where it is explained already.

    Raises:
        UsageError: an explained model, and an explanation asked for that is not the one it holds.
    """
    loaded = load(model)
    record = read_metadata(loaded)
    if record is None or "method" not in record:
        return rewrite(
            model, method=method, layers=layers, rules=rules, score=score, outputs=("score", "cam", "heatmap", "logits")
        )
    asked = {"layers": [layers] if layers else None, "rules": rules, "method": None if method == "grad-cam" else method}
    for key, value in asked.items():
        if value is not None and value != record[key]:
            raise UsageError(f"the model is explained already, with {key} {record[key]!r}; give the original model")
    missing = {"score", "cam", "heatmap"} - set(record["names"])
    if missing:
        raise UsageError(
            f"the explained model lacks the outputs {sorted(missing)}; rewrite the original model with them"
        )
    return loaded


def _probability(logits: np.ndarray, index: int, squashed_by: str | None) -> float:
    """Sigmoid where the model ends in one or has a single class, else the softmax share."""
    values = logits.astype(np.float64)
    if squashed_by == "Sigmoid" or values.size == 1:
        return float(1 / (1 + np.exp(-values[index])))
    shares = np.exp(values - values.max())
    return float(shares[index] / shares.sum())

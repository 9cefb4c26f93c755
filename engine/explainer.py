"""Explains predictions: from images to heatmaps, by runs of an explained model."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from ..graph_rewrites.errors import OnnxplainError, UsageError
from ..graph_rewrites.maps.options import check_options
from ..graph_rewrites.model.model import ModelSource
from ..graph_rewrites.targets.placement import RECEPTIVE_FIELD
from ..graph_rewrites.targets.scores.score import ScoreSource
from .explained import ExplainedModel, explained_model
from .explanation import Explanation
from .images.files import PathLike, as_image
from .images.preprocess import Preprocess
from .multi_pass.registry import MULTI_PASS, Progress, silent
from .multi_pass.run import MultiPassRunner
from .results import Results
from .runtime.further_inputs import further_inputs
from .runtime.runner import Arrays
from .targets import Target, resolve_targets

Source: TypeAlias = PathLike | npt.NDArray[np.uint8]
Attempt: TypeAlias = tuple[int, Explanation | OnnxplainError]  # the image's place among those given


class _Sample(NamedTuple):
    """One image on its way through: its place, as it was read, as the model takes it, and its file."""

    place: int
    image: npt.NDArray[np.uint8]
    tensor: np.ndarray
    path: Path | None


class Explainer(ExplainedModel):
    """Explains the predictions of one model.

    Args:
        model: path or `ModelProto`; a plain model is rewritten, an explained one is run as it is.
        method: the explanation method, a key of `METHODS` or `MULTI_PASS`.
        layers: the layers to explain, or "all"; default: the last convolutional one, see `onnxplain.rewrite`. Methods
            that explain the input have no use for it.
        rules: backward rule set; default: the method's own.
        score: what is explained, see `onnxplain.rewrite`; needed where there are several outputs.
        preprocess: how images become inputs, a `Preprocess` or its text form such as "imagenet,size=299x299"; default:
            what the model's metadata record, else what `fit_to_input` assumes.
        labels: class names in class order; default: those of the model's metadata.
        providers: ONNX Runtime providers; default: CUDA where it is usable, else the CPU.
        options: the method's own, such as {"size": 25, "fill": "blur"} for occlusion.
        placement: where maps have a layer's cells: "receptive-field" or "resize", see `onnxplain.rewrite`.
        session_options: an `onnxruntime.SessionOptions`.
        progress: for multi-pass methods, `(steps, total) -> steps`, which passes the steps on and may show them.

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
        placement: str = RECEPTIVE_FIELD,
        session_options: Any = None,
        progress: Progress = silent,
    ) -> None:
        self.method = method
        fitting: dict[str, Any] = {"preprocess": preprocess, "labels": labels}
        running: dict[str, Any] = {"providers": providers, "session_options": session_options}
        self._passes: MultiPassRunner | None = None
        multi_pass = MULTI_PASS.get(method)
        if multi_pass is None:
            explained = explained_model(
                model,
                method=method,
                layers=layers,
                rules=rules,
                score=score,
                options=options,
                placement=placement,
            )
            super().__init__(explained, **fitting, **running)
            return
        if rules is not None:
            raise UsageError(f"method {method!r} has no backward rules; leave rules= out")
        chosen = check_options(method, multi_pass.explain, options)
        super().__init__(multi_pass.model(model, layers, score, placement), **fitting, **running)
        self._passes = MultiPassRunner(multi_pass, self.runner, chosen, progress)
        self.record = self._passes.record

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
            on_error: called for an image that cannot be read or explained, which is then left out; default: the error
                is raised.
            inputs: as in a call.
        """
        for _, result in self.attempts(images, target, inputs):
            if isinstance(result, Explanation):
                yield result
            elif on_error is None:
                raise result
            else:
                on_error(result)

    def attempts(
        self,
        images: Iterable[Source],
        target: Target | Sequence[Target] | None = None,
        inputs: Mapping[str, np.ndarray] | None = None,
    ) -> Iterator[Attempt]:
        """Explains images as `explain_each` does, and tells of each result, or of what went wrong, whose it is.

        The results of one image come one after another. What went wrong ends them.

        Raises:
            UsageError: an unknown target, or a further input that is missing.
        """
        targets, others = self.asked(target, inputs)
        # Multi-pass methods take one image at a time anyway, and each may take long.
        limit = 1 if self._passes else self.runner.batch
        batch: list[_Sample] = []
        for place, source in enumerate(images):
            try:
                sample = self._sample(place, source)
            except UsageError:
                raise
            except OnnxplainError as error:
                yield place, error
                continue
            # A model that takes each image at its own size gets only equal ones together.
            if batch and (len(batch) == limit or batch[0].tensor.shape != sample.tensor.shape):
                yield from self._explain(batch, targets, others)
                batch = []
            batch.append(sample)
        if batch:
            yield from self._explain(batch, targets, others)

    def asked(
        self, target: Target | Sequence[Target] | None, inputs: Mapping[str, np.ndarray] | None
    ) -> tuple[list[int], Arrays]:
        """What a call asks for, as the model takes it: targets, and further inputs with a batch axis of 1.

        Raises:
            UsageError: an unknown target, or a further input that is missing, unknown, or of another shape.
        """
        others = further_inputs(self.runner, (self._passes or self.runner).others, inputs or {})
        return resolve_targets(target, self.labels, self.classes), others

    def run(self, inputs: dict[str, np.ndarray], target: Any = -1) -> dict[str, np.ndarray]:
        """Explains raw tensors.

        Args:
            inputs: every model input by name.
            target: a class index, K of them, or [N, K]; -1: the top class, -2: the second ...

        Returns:
            Every output by name; those of the contract also under their logical names (`score`, `cam`, `heatmap` ...).

        Raises:
            UsageError: an input that is missing or unknown, or a target out of range.
            OnnxplainError: a score or a map that is not finite.
        """
        found = self._arrays(inputs, target)
        targets = np.atleast_2d(np.asarray(target, np.int64))
        for name in ("score", *(name for name in found if name.split("@")[0] in ("cam", "input_gradient", "heatmap"))):
            bad = np.argwhere(~np.isfinite(found.get(name, np.zeros(0))))
            if len(bad):
                row, column = (int(at) for at in bad[0][:2])
                chosen = int(targets[min(row, len(targets) - 1), column])
                what = f"{name} of sample {row}, target {chosen}, is {found[name][tuple(bad[0])]}"
                raise OnnxplainError(f"{what}; {self._origin(inputs, row, chosen, name, 'score', 'logits')}")
        return found

    def _arrays(self, inputs: Arrays, target: Any) -> Arrays:
        return (self._passes or self.runner).run(inputs, target)

    def _origin(self, inputs: Arrays, row: int, target: int, *outputs: str) -> str:
        """Where what is not finite in outputs of one sample arose."""
        own = self.runner.rows_of(inputs, row, row + 1) | (self._passes.identity_inputs if self._passes else {})
        found = self.runner.origin(own, target, outputs)
        return found or "the model overflows on it"

    def _sample(self, place: int, source: Source) -> _Sample:
        image = as_image(source)
        path = None if isinstance(source, np.ndarray) else Path(source)
        return _Sample(place, image, self.preprocess.apply(image), path)

    def _explain(self, batch: list[_Sample], targets: list[int], others: Arrays) -> Iterator[Attempt]:
        stacked = np.stack([sample.tensor for sample in batch])
        shared = self.runner.repeated(others, len(batch))
        try:
            inputs = {**shared, self.runner.image: stacked}
            arrays = self._arrays(inputs, targets)
        except UsageError:
            raise
        except OnnxplainError as error:
            if len(batch) == 1:
                yield batch[0].place, error
            else:  # one of them may be to blame, or that they are many
                for sample in batch:
                    yield from self._explain([sample], targets, others)
            return
        origin = partial(self._origin, inputs)
        results = Results(arrays, self.record, self.labels, self._size_of(stacked), origin)
        for row, sample in enumerate(batch):
            try:
                for column, target in enumerate(targets):
                    for layer in results.layers:
                        image, path = sample.image, sample.path
                        found = results.explanation(row, column, layer, target, image, path, self.preprocess)
                        yield sample.place, found
            except OnnxplainError as error:
                yield sample.place, error

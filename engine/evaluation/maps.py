"""Maps of many methods, from one run of the network an image."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from ...graph_rewrites.errors import OnnxplainError, UsageError
from ...graph_rewrites.model.merge import merge
from ...graph_rewrites.model.model import ModelSource, parse
from ...graph_rewrites.targets.placement import RECEPTIVE_FIELD
from ...graph_rewrites.targets.scores.score import ScoreSource
from ..compare import by_method
from ..explained import ExplainedModel, explained_model
from ..explanation import Explanation
from ..images.files import Image
from ..images.resample import normalised, upsampled
from ..multi_pass.models import scores_alone
from ..multi_pass.registry import MULTI_PASS
from ..multi_pass.run import MultiPassRunner
from ..results import Results, probabilities
from ..runtime.runner import Arrays, Runner
from .crops import TenCrops

PREDICTION = "prediction"  # in the place of a method, where none of them is in the graph
By = dict[str, tuple[Arrays, dict[str, Any]]]  # arrays, and the record of what they explain, by method


@dataclass(frozen=True)
class Explained:
    """What the model says of an image, and how the methods explain it.

    Attributes:
        maps: by method and class.
        probabilities: float64 [classes], see `probabilities`; of ten crops their mean.
        top: the classes of the highest probabilities, best first, as many as were asked for.
    """

    maps: dict[str, dict[int, Explanation]]
    probabilities: npt.NDArray[np.float64]
    top: list[int]


class MethodMaps(ExplainedModel):
    """One model explained by many methods; those that are in the graph share one run.

    Args:
        model: path or `ModelProto`, not explained yet.
        methods: methods by name.
        layer: the layer to explain; default: the last convolutional one.
        score: what is explained, as in `Explainer`.
        placement: as in `Explainer`.
        crops: 1, or 10 to explain and predict by the mean over ten crops, see `TenCrops`.
        on_error: called for a method that the model does not allow, which is then left out; default: it is raised.
        arguments: further arguments of `ExplainedModel`: preprocess, labels, providers, session_options.

    Raises:
        UsageError, OnnxplainError: as `Explainer`; or several layers, or preprocessing without room for ten crops.
    """

    def __init__(
        self,
        model: ModelSource,
        methods: Sequence[str],
        *,
        layer: str | None = None,
        score: ScoreSource | None = None,
        crops: int = 1,
        placement: str = RECEPTIVE_FIELD,
        on_error: Callable[[OnnxplainError], None] | None = None,
        **arguments: Any,
    ) -> None:
        self._source, self._score = parse(model), score

        def built(method: str) -> onnx.ModelProto:
            if method in MULTI_PASS:
                return MULTI_PASS[method].model(self._source, layer, score, placement)
            return explained_model(
                self._source, method=method, layers=layer, rules=None, score=score, placement=placement
            )

        models = by_method(methods, built, on_error)
        in_graph = {name: one for name, one in models.items() if name not in MULTI_PASS}
        first, *rest = _joined(in_graph or {PREDICTION: scores_alone(self._source, layer, score)})
        super().__init__(first, **arguments)
        self._in_graph = [self.runner, *map(self._load, rest)]
        self._passes = {
            name: MultiPassRunner(MULTI_PASS[name], self._load(one))
            for name, one in models.items()
            if name in MULTI_PASS
        }
        self.methods = list(models)
        if len(self.record["layers"]) > 1:
            raise UsageError("maps are measured at one layer; name one")
        if others := self.runner.others:
            raise UsageError(f"the model has the further inputs {others}; only models of an image are measured")
        self._crops = TenCrops(self.preprocess) if crops == 10 else None
        self.channel_axis = 2 if self.preprocess.layout == "NHWC" else 0

    def explain(self, image: Image, path: Path | None, classes: Sequence[int], top: int = 0) -> Explained:
        """Explains classes, and as many of the top ones as asked for.

        Args:
            image: uint8 [H, W, 3] RGB.
            path: its file.
            classes: class indices.
            top: how many of the best classes to explain too.

        Raises:
            OnnxplainError: a map that is not finite.
        """
        top = min(top, self.classes or top)
        if self._crops is not None:
            return self._explain_crops(image, path, classes, top)
        tensor = self.preprocess.apply(image)[None]
        targets = [*(-place for place in range(1, top + 1)), *classes] or [-1]
        found = self._run(tensor, targets)
        arrays, record = next(iter(found.values()))
        logits = np.ravel(arrays["logits"][0])
        best = list(map(int, np.argsort(-logits, kind="stable")[:top]))
        maps = {
            method: {
                one.target: one
                for column, target in enumerate(targets)
                for one in [self._explanation(results, 0, column, target, image, path)]
            }
            for method, results in self._results(found, tensor).items()
        }
        return Explained(maps, probabilities(logits, record), best)

    def probabilities(self, tensors: Iterable[np.ndarray], count: int) -> npt.NDArray[np.float64]:
        """What the model says of `count` inputs [C, h, w] or [h, w, C] without explaining them: [count, classes]."""
        runner, found = self._predictor, []
        remaining = iter(tensors)
        while batch := list(islice(remaining, runner.batch)):
            logits = runner.run({runner.image: np.stack(batch)}, [-1])["logits"]
            found += [probabilities(np.ravel(row), runner.record) for row in logits]
        if len(found) != count:
            raise ValueError(f"{len(found)} inputs in the place of {count}")
        return np.stack(found)

    @cached_property
    def _predictor(self) -> Runner:
        return self._load(scores_alone(self._source, None, self._score))

    def _explain_crops(self, image: Image, path: Path | None, classes: Sequence[int], top: int) -> Explained:
        crops = self._crops
        assert crops is not None
        tensors = crops.tensors(image)
        shares = self.probabilities(tensors, len(tensors)).mean(axis=0)
        best = list(map(int, np.argsort(-shares, kind="stable")[:top]))
        targets = list(dict.fromkeys([*best, *classes])) or [int(shares.argmax())]
        maps: dict[str, dict[int, Explanation]] = {}
        for method, results in self._results(self._run(tensors, targets), tensors).items():
            for column, target in enumerate(targets):
                rows = [self._explanation(results, row, column, target, image, path) for row in range(len(tensors))]
                raw = [upsampled(np.asarray(one.cam, np.float64), one.input_heatmap.shape) for one in rows]
                mean = crops.to_source(np.stack(raw), image.shape[:2])
                maps.setdefault(method, {})[target] = replace(
                    rows[crops.centre],
                    heatmap=normalised(mean, 2).astype(np.float32),
                    cam=mean,
                    score=float(np.mean([one.score for one in rows])),
                    probability=float(shares[target]),
                    logits=None,
                )
        return Explained(maps, shares, best)

    def _run(self, tensors: np.ndarray, targets: Sequence[int]) -> By:
        found: By = {}
        for runner in self._in_graph:
            arrays = runner.run({runner.image: tensors}, targets)
            for method, record in runner.record["records"].items():
                own = {logical: arrays[name] for logical, name in record["names"].items() if name in arrays}
                found[method] = own, record
        for method, passes in self._passes.items():
            found[method] = passes.run({passes.record["input"]["name"]: tensors}, targets), passes.record
        return found

    def _results(self, found: By, tensors: np.ndarray) -> dict[str, Results]:
        size = self._size_of(tensors)
        return {method: Results(*found[method], self.labels, size) for method in self.methods}

    def _explanation(
        self, results: Results, row: int, column: int, target: int, image: Image, path: Path | None
    ) -> Explanation:
        return results.explanation(row, column, results.layers[0], target, image, path, self.preprocess)


def _joined(models: dict[str, onnx.ModelProto]) -> list[onnx.ModelProto]:
    """The models as one, or, where they cannot be joined, each by itself in the same form."""
    try:
        return [merge(models)]
    except OnnxplainError:
        return [merge({name: model}) for name, model in models.items()]

"""Methods that no graph can express, because they run the model many times on changed inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx

from ...graph_rewrites.maps.registry import reserve
from ...graph_rewrites.targets.placement import RECEPTIVE_FIELD
from ..images.resample import placed, upsampled
from ..runtime.runner import Arrays, Runner
from .batch_tuner import BatchTuner

# Feature maps of as many perturbed inputs as fit into this are computed together.
MEMORY_BUDGET = 2**30
MAX_ROWS = 64

Progress: TypeAlias = Callable[[Iterable[Any], int], Iterable[Any]]  # passes steps on, of which there are so many
Perturbation: TypeAlias = Callable[[int, np.ndarray], None]  # (index, out): writes a changed image over all of `out`
IdentityInputs: TypeAlias = Callable[[Runner], Arrays]  # model -> inputs
BuildModel: TypeAlias = Callable[..., onnx.ModelProto]  # (model, layers, score), placement= -> the model that is run


def nothing(runner: Runner) -> Arrays:
    """No further inputs."""
    return {}


def silent(steps: Iterable[Any], total: int) -> Iterable[Any]:
    """No progress shown."""
    return steps


@dataclass
class Sample:
    """One sample, and the model to run on changed copies of it.

    Attributes:
        runner: the model.
        inputs: its inputs, with a batch axis of 1.
        targets: int64 [K], class indices (never places in the ranking, which would change with the input).
        base: the results on the sample as it is.
        progress: shows how far the runs are.
        budget: bytes that feature maps may take at a time.
    """

    runner: Runner
    inputs: Arrays
    targets: npt.NDArray[np.int64]
    base: Arrays
    progress: Progress = silent
    budget: int = MEMORY_BUDGET

    @property
    def image(self) -> np.ndarray:
        """The explained input, without its batch axis."""
        return np.asarray(self.inputs[self.runner.image][0])

    @property
    def channel_axis(self) -> int:
        """The channel axis of `image`."""
        return self.image.ndim - 1 if self.runner.record["input"].get("layout") == "NHWC" else 0

    @property
    def size(self) -> tuple[int, ...]:
        """The spatial sizes of `image`."""
        return tuple(side for axis, side in enumerate(self.image.shape) if axis != self.channel_axis)

    @property
    def scores(self) -> npt.NDArray[np.float64]:
        """The scores of the sample as it is, [K]."""
        return np.asarray(self.base["score"][0], np.float64)

    def over_channels(self, values: np.ndarray) -> np.ndarray:
        """Values [*size] with an axis of 1 for the channels, to go with `image`."""
        return np.expand_dims(values, self.channel_axis)

    def at_input_size(self, maps: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Maps [..., *spatial] of the explained layer at the size of `image`, where the layer's cells lie."""
        record = self.runner.record
        placement = record.get("placements", {}).get(next(iter(record["layers"]), None))
        return upsampled(maps, self.size) if placement is None else placed(maps, self.size, placement)

    def run(self, paint: Perturbation, count: int) -> Iterator[Arrays]:
        """The results on `count` changed images, a batch at a time; `paint` is asked for them in order."""
        fixed = self.runner.fixed_batch
        pace = BatchTuner(self.rows(count)) if fixed is None else BatchTuner(fixed, fixed)
        batch = np.empty((min(pace.most, count), *self.image.shape), self.image.dtype)
        whole = self.image.dtype.kind in "iu"
        canvas, filled = np.empty(self.image.shape), 0
        for index in self.progress(range(count), count):
            paint(index, canvas if whole else batch[filled])
            if whole:
                batch[filled] = np.rint(canvas)
            filled += 1
            if filled == pace.rows or index == count - 1:
                inputs = self.runner.repeated(self.inputs, filled) | {self.runner.image: batch[:filled]}
                with pace.timed(filled):
                    results = self.runner.run(inputs, self.targets)
                yield results
                filled = 0

    def rows(self, count: int) -> int:
        """How many of `count` rows may be computed together, by the memory that they need."""
        return max(1, min(MAX_ROWS, count, self.budget // max(1, self.runner.peak_bytes(self.inputs))))

    def scores_of(self, paint: Perturbation, count: int) -> npt.NDArray[np.float64]:
        """The scores [count, K] of changed images."""
        return np.concatenate([results["score"] for results in self.run(paint, count)]).astype(np.float64)


@dataclass(frozen=True)
class MultiPassMethod:
    """One method: `explain` makes arrays of a sample, on the model that `build` makes.

    The arrays lack the batch axis: `cam` [K, h, w] and, if it is not just `cam` upsampled, `heatmap` [K, H, W]; or
    `input_gradient` [K, *input]. Those under other names, [K], are reported beside the map. `identity_inputs` gives the
    inputs that the model has beside those of the original, with values that change nothing.
    """

    name: str
    build: BuildModel
    explain: Callable[..., Arrays]
    identity_inputs: IdentityInputs

    def model(self, source: Any, layers: Any, score: Any, placement: str = RECEPTIVE_FIELD) -> onnx.ModelProto:
        """The model that is run; a builder without a layer need not know of placements."""
        chosen = {} if placement == RECEPTIVE_FIELD else {"placement": placement}
        return self.build(source, layers, score, **chosen)


MULTI_PASS: dict[str, MultiPassMethod] = {}


def multi_pass_method(
    name: str, build: BuildModel, identity_inputs: IdentityInputs = nothing
) -> Callable[[Callable[..., Arrays]], Callable[..., Arrays]]:
    """Registers the decorated function `(sample, *, options) -> arrays` as a method.

        @multi_pass_method("half-occluded", scores_alone)
        def half_occluded(sample: Sample) -> Arrays:
            ...

    Args:
        name: as users call it; it must not be that of another method, also of one that a model can hold.
        build: makes the model that is run, see `models`.
        identity_inputs: see `MultiPassMethod`.
    """

    def register(explain: Callable[..., Arrays]) -> Callable[..., Arrays]:
        reserve(name, "runs a model many times, so no model holds it; use onnxplain.Explainer")
        MULTI_PASS[name] = MultiPassMethod(name, build, explain, identity_inputs)
        return explain

    return register

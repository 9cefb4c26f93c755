"""Runs an explained model on raw tensors, whatever its batch size and number of targets are fixed to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from ...graph_rewrites.errors import UsageError
from ...graph_rewrites.model.metadata import read_metadata
from ...graph_rewrites.model.peak_memory import peak_bytes
from .nonfinite import origin_of
from .session import Session

BATCH = 8  # samples run together where the model's batch size is open
PER_TARGET = {"score", "detection", "cam", "heatmap", "gradient", "input_gradient"}  # outputs [N, K, ...]

Arrays = dict[str, np.ndarray]


class Runner:
    """An explained model in a session.

    Attributes:
        record: what the model's metadata say of the explanation.
        names: from the contract's names to the model's.
        image: name of the input that is explained.
        others: names of the further inputs, other than `target`.
        fixed_batch, fixed_targets: N and K where the model fixes them.
        batch: how many samples are best run together.
        classes: how many classes there are, if known.
    """

    def __init__(self, model: onnx.ModelProto, providers: Sequence[str] | None = None, options: Any = None) -> None:
        self.model = model
        self.record: dict[str, Any] = read_metadata(model) or {}
        self.names: dict[str, str] = self.record["names"]
        self.session = Session(model, providers, options)
        self.types = {value.name: value.type.tensor_type for value in model.graph.input}
        self._rows = _with_rows(model, self.record)
        self.image: str = self.record["input"]["name"]
        weights = {tensor.name for tensor in model.graph.initializer}
        self.others = sorted(set(self.types) - weights - {self.image, self.names["target"]})
        self.fixed_batch: int | None = self.types[self.image].shape.dim[0].dim_value or None
        self.batch = self.fixed_batch or BATCH
        self.fixed_targets: int | None = self.types[self.names["target"]].shape.dim[1].dim_value or None
        self.classes = self._class_count()
        self._peaks: dict[tuple[tuple[str, tuple[int, ...]], ...], int] = {}

    def peak_bytes(self, inputs: Arrays) -> int:
        """The most bytes that feature maps take for inputs of these shapes; worked out once for each."""
        shapes = tuple(sorted((name, value.shape) for name, value in inputs.items()))
        if shapes not in self._peaks:
            self._peaks[shapes] = peak_bytes(self.model, dict(shapes))
        return self._peaks[shapes]

    def run(self, inputs: Arrays, target: Any) -> Arrays:
        """Every output by name; those of the contract also under their logical names.

        Args:
            inputs: every input but `target`, by name (logical or actual).
            target: class indices, one, K of them, or [N, K]; -1: the top class, -2: the second ...

        Raises:
            UsageError: an input is missing or unknown, or a target is out of range.
        """
        wanted = {self.image, *self.others}
        feeds = {name if name in wanted else self.names.get(name, name): value for name, value in inputs.items()}
        if feeds.keys() != wanted:
            missing, unknown = sorted(wanted - feeds.keys()), sorted(feeds.keys() - wanted)
            raise UsageError(f"the model's inputs are {sorted(wanted)}; missing: {missing}, unknown: {unknown}")
        rows = feeds[self.image].shape[0]
        targets = np.atleast_1d(np.asarray(target, np.int64))
        targets = np.ascontiguousarray(np.broadcast_to(targets, (rows, targets.shape[-1])))
        known = self.classes or np.iinfo(np.int64).max
        outside = targets[(targets < -known) | (targets >= known)]
        if outside.size:
            raise UsageError(f"target {outside[0]} is out of range; the model has {known} classes, 0 to {known - 1}")
        height, width = self.fixed_batch or rows, self.fixed_targets or targets.shape[1]
        bands = []
        for first in range(0, rows, height):
            own = self.rows_of(feeds, first, first + height)
            part = {name: _padded(value, height) if name in self._rows else value for name, value in own.items()}
            band = _padded(targets[first : first + height], height)
            parts = [self._run_once(part, band[:, at : at + width]) for at in range(0, targets.shape[1], width)]
            bands.append({name: self._beside(name, [one[name] for one in parts]) for name in parts[0]})
        actual = bands[0] if len(bands) == 1 and rows == height else self._below(bands, rows)
        return actual | {logical: actual[name] for logical, name in self.names.items() if name in actual}

    def origin(self, inputs: Arrays, target: int, outputs: Sequence[str]) -> str | None:
        """Where the first value arises that makes outputs of one sample not finite, in words, see `origin_of`."""
        rows = self.fixed_batch or 1
        part = {name: _padded(value, rows) if name in self._rows else value for name, value in inputs.items()}
        feeds = {self.names.get(name, name): value for name, value in part.items()}
        feeds[self.names["target"]] = np.full((rows, 1), target, np.int64)
        names = [self.names.get(name, name) for name in outputs]
        return origin_of(self.model, feeds, names, self.session.providers)

    def rows_of(self, inputs: Arrays, first: int, last: int | None) -> Arrays:
        """The inputs of some samples; those without a row per sample are the same for all."""
        return {name: value[first:last] if self.has_rows(name) else value for name, value in inputs.items()}

    def repeated(self, inputs: Arrays, count: int) -> Arrays:
        """The inputs of one sample for so many."""
        return {
            name: np.repeat(value, count, axis=0) if self.has_rows(name) else value for name, value in inputs.items()
        }

    def has_rows(self, name: str) -> bool:
        """Whether an input or output, by its logical or actual name, has a row per sample."""
        return self.names.get(name, name) in self._rows

    def _run_once(self, feeds: Arrays, targets: npt.NDArray[np.int64]) -> Arrays:
        width = {self.names["target"]: np.ascontiguousarray(targets)}
        return dict(zip(self.session.outputs, self.session.run(None, {**feeds, **width}), strict=True))

    def _below(self, bands: list[Arrays], rows: int) -> Arrays:
        """The results of several batches as one, without what filled the last; outputs without rows are the first's."""
        return {
            name: np.concatenate([band[name] for band in bands])[:rows] if name in self._rows else value
            for name, value in bands[0].items()
        }

    def _beside(self, name: str, values: list[np.ndarray]) -> np.ndarray:
        """The results of some targets after another as one."""
        logical = next((key for key, actual in self.names.items() if actual == name), "")
        is_per_target = logical.split("@")[0] in PER_TARGET
        return np.concatenate(values, axis=1) if is_per_target and len(values) > 1 else values[0]

    def _class_count(self) -> int | None:
        shapes = {value.name: value.type.tensor_type.shape.dim for value in self.model.graph.output}
        score = self.record["score"]
        name = self.names.get("logits", score["output"])
        if name not in shapes or ("expression" in score and "logits" not in self.names):
            return None
        return (shapes[name][1].dim_value or None) if len(shapes[name]) > 1 else 1


def _padded(values: np.ndarray, rows: int) -> np.ndarray:
    """The values, their last row repeated to fill a fixed batch."""
    short = rows - len(values)
    return np.concatenate([values, *[values[-1:]] * short]) if short else values


def _with_rows(model: onnx.ModelProto, record: dict[str, Any]) -> set[str]:
    """The inputs and outputs with a row per sample: those of the contract, and what the record says of the model's own.

    Files of version 0.1.0 say nothing: there, those count that have the image's first size.
    """
    own = {*record["names"].values(), record["input"]["name"]}
    if "rows" in record:
        return own | set(record["rows"])
    values = (*model.graph.input, *model.graph.output)
    first = {value.name: list(value.type.tensor_type.shape.dim)[:1] for value in values}
    return own | {name for name, size in first.items() if size and size == first[record["input"]["name"]]}

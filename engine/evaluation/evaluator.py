"""Measures one annotated image after another: the part of a run that several workers can do."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ...graph_rewrites.errors import OnnxplainError, UsageError
from ...graph_rewrites.model.metadata import VERSION
from ...graph_rewrites.model.model import parse
from ..datasets.annotation import AnnotatedImage
from ..datasets.dataset import Dataset, Entry
from ..datasets.mapping import ClassMapping, Given
from ..images.files import Image, read_image
from ..records.journal import fingerprint
from .maps import MethodMaps
from .metrics import find_metrics
from .subject import CENTRE, EvaluationContext, Settings, Subject

Decoded = tuple[AnnotatedImage, Image]


@dataclass(frozen=True)
class Plan:
    """What is measured, in plain types, so that it can be sent to workers.

    Attributes:
        model: the ONNX file.
        methods: methods by name.
        metrics: metrics by name.
        crops: 1 or 10.
        mapping: from data-set classes to the model's; default: by name.
        mapping_file: where it comes from, for messages.
        settings: the metrics'.
        arguments: further arguments of `MethodMaps`.
    """

    model: Path
    methods: Sequence[str]
    metrics: Sequence[str]
    crops: int = 1
    mapping: Given | None = None
    mapping_file: Path | None = None
    settings: Settings = field(default_factory=Settings)
    arguments: Mapping[str, Any] = field(default_factory=dict)


class Evaluator:
    """A plan with its model loaded.

    Args:
        plan: what is measured.
        on_error: called for a method that the model does not allow, which is then left out; default: it is raised.

    Raises:
        UsageError: an unknown method or metric, or a metric that ten crops do not have.
        OnnxplainError: as `MethodMaps`.
    """

    def __init__(self, plan: Plan, on_error: Callable[[OnnxplainError], None] | None = None) -> None:
        self.metrics = find_metrics(plan.metrics)
        if plan.crops != 1 and (wrong := [one.name for one in self.metrics if one.at_input]):
            raise UsageError(f"metric {wrong[0]!r} is of one input, and ten crops are ten; leave it out, or the crops")
        self._source = parse(plan.model)
        self.maps = MethodMaps(self._source, plan.methods, crops=plan.crops, on_error=on_error, **plan.arguments)
        self._context = EvaluationContext(self._source, self.maps, plan.settings, plan.arguments)
        self.mapping = ClassMapping(self.maps.labels, self.maps.classes, plan.mapping, plan.mapping_file)
        self._top = max(metric.top for metric in self.metrics)
        self.model = plan.model
        self._plan = plan

    @property
    def identity(self) -> dict[str, Any]:
        """What results must have in common to be reported together, in plain JSON types."""
        return {
            "version": VERSION,
            "model": f"{self.model.name} {fingerprint(self._source)}",
            "layer": self.maps.record["layers"],
            "score": self.maps.record["score"],
            "methods": self.maps.methods,
            "metrics": [metric.name for metric in self.metrics],
            "preprocessing": self.maps.preprocess.to_json(),
            "labels": hashlib.sha256(json.dumps(self.maps.labels).encode()).hexdigest(),
            "crops": self._plan.crops,
            "mapping": None if self._plan.mapping is None else {k: list(v) for k, v in self._plan.mapping.items()},
            "settings": asdict(self._plan.settings),
        }

    def check(self, dataset: Dataset) -> None:
        """Refuses a data set whose classes are not mapped, as far as they are known before it is read.

        Raises:
            UsageError: they are not.
        """
        if dataset.classes is not None:
            self.mapping.check(dataset.classes)

    @property
    def rows(self) -> list[str]:
        """The methods, and the baseline where a metric has one."""
        return [*self.maps.methods, *([CENTRE] if any(metric.needs_truth for metric in self.metrics) else [])]

    def record(self, name: str, entry: Entry) -> dict[str, Any]:
        """Reads and measures one image, see `measure`."""
        try:
            return self.measure(name, decode(entry))
        except OnnxplainError as error:
            return failed(name, error)

    def measure(self, name: str, decoded: Decoded) -> dict[str, Any]:
        """The values of one image, in plain JSON types: `measures` by method and metric, or the `error`."""
        try:
            subject = self.subject(*decoded)
            measures: dict[str, dict[str, Any]] = {}
            for method in self.rows:
                chosen = [metric for metric in self.metrics if metric.needs_truth or method != CENTRE]
                measures[method] = {metric.name: metric.measure(subject, method) for metric in chosen}
        except OnnxplainError as error:
            return failed(name, error)
        return {"image": name, "classes": list(subject.classes), "measures": measures}

    def subject(self, truth: AnnotatedImage, image: Image) -> Subject:
        """The image with its maps.

        Raises:
            OnnxplainError: a class that the mapping lacks, or a map that is not finite.
        """
        labels = dict.fromkeys(one.label for one in truth.objects)
        present = {label: targets for label in labels if (targets := self.mapping.of(label))}
        asked = [target for label in truth.labels for target in present.get(label, ())]
        explained = self.maps.explain(image, truth.path, list(dict.fromkeys(asked)), self._top)
        return Subject(truth, image, present, explained, self._context)


def decode(entry: Entry) -> Decoded:
    """Reads an annotation and its image.

    Raises:
        OnnxplainError: one of them cannot be read.
    """
    truth = entry()
    return truth, read_image(truth.path)


def failed(name: str, error: OnnxplainError) -> dict[str, Any]:
    """The record of an image that could not be measured."""
    text = str(error)
    return {"image": name, "error": text if name in text else f"{name}: {text}"}

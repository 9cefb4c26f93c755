"""Grad-CAM with one of its parts changed at a time: what each part is good for.

Selvaraju et al. 2017, "Grad-CAM", appendix, table A2 and figures A9 to A11.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from ...graph_rewrites.errors import OnnxplainError, UsageError
from ...graph_rewrites.model.model import ModelSource, parse
from ..compare import Comparison, name_of
from ..datasets.annotation import AnnotatedObject
from ..datasets.dataset import Dataset
from ..datasets.mapping import ClassMapping
from ..evaluation.measures.boxes import SEGMENT_THRESHOLD, localises
from ..evaluation.measures.pointing import Map, Mask, energy_inside, pointing
from ..explainer import Explainer, Source
from ..explanation import Explanation
from ..images.files import Image
from ..records.tables import file_stem
from ..render.contact_sheet import contact_sheet
from ..targets import Target

Measure = Callable[[Map, Sequence[AnnotatedObject]], float]
TOLERANCE = 15  # pixels of the source image (Zhang et al. 2016, section 4.1)


def localisation_error(heatmap: Map, objects: Sequence[AnnotatedObject], threshold: float = SEGMENT_THRESHOLD) -> float:
    """0 where the map's box overlaps that of an object by half, see `localises`; else 1."""
    shape = heatmap.shape
    return 1.0 - localises(heatmap, [one.extent(shape) for one in objects], threshold)


def hit(heatmap: Map, objects: Sequence[AnnotatedObject], tolerance: float = TOLERANCE) -> float:
    """The pointing game, see `pointing`."""
    return pointing(heatmap, _region(objects, heatmap), tolerance)


def energy(heatmap: Map, objects: Sequence[AnnotatedObject]) -> float:
    """The share of the map's positive values inside the objects, see `energy_inside`."""
    return energy_inside(heatmap, _region(objects, heatmap))


MEASURES: Mapping[str, Measure] = {"localisation error": localisation_error, "hits": hit, "energy inside": energy}


class Ablation(NamedTuple):
    """A change to Grad-CAM: options of the method, or backward rules."""

    options: Mapping[str, Any] = {}
    rules: str | None = None


ABLATIONS = {
    "Grad-CAM": Ablation(),
    "without ReLU": Ablation({"relu": False}),
    "absolute gradients": Ablation({"gradients": "absolute"}),
    "global max pooling": Ablation({"pooling": "max"}),
    "deconv ReLU": Ablation(rules="deconvnet"),
    "guided ReLU": Ablation(rules="guided"),
}


@dataclass(frozen=True)
class Case:
    """An image, the class to explain, and where it is.

    Attributes:
        source: a path, or a uint8 [H, W, 3] RGB array.
        target: a class, or several, see `Explainer`; None is the top class.
        objects: those of the class; where there are some, only the target of the highest score is explained.
    """

    source: Source
    target: Target | Sequence[Target] | None = None
    objects: Sequence[AnnotatedObject] = ()


@dataclass
class Ablated:
    """What the changes did.

    Attributes:
        names: the changes that the model allows, Grad-CAM first.
        values: the measures of each map by name, by change; empty where no objects were known.
        drawn: the explanations to be drawn, by change, one dict a case.
    """

    names: list[str]
    values: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    drawn: list[dict[str, Explanation]] = field(default_factory=list)

    @property
    def count(self) -> int:
        """How many maps of each change were measured."""
        return max(map(len, self.values.values()), default=0)

    def means(self) -> dict[str, dict[str, float]]:
        """The mean of each measure, by change and measure."""
        return {
            name: {measure: float(np.mean([one[measure] for one in judged])) for measure in judged[0]}
            for name, judged in self.values.items()
        }

    def picture(self) -> Image:
        """A row for each drawn case, a column for each change; uint8 [H, W, 3] RGB."""
        rows = list(_row_names(self.drawn))
        cells = {(row, name): one for row, found in zip(rows, self.drawn, strict=True) for name, one in found.items()}
        return contact_sheet(Comparison(rows, self.names, cells), photos=True, describe=name_of)


def ablations(
    model: ModelSource, on_left_out: Callable[[str], None] = lambda text: None, **arguments: Any
) -> dict[str, Explainer]:
    """An explainer for each change, Grad-CAM first.

    Args:
        model: path or `ModelProto`.
        on_left_out: told of each change that the model does not allow: where no ReLU follows the layer, none can be
            differentiated otherwise.
        arguments: further arguments of `Explainer`.

    Raises:
        UsageError, OnnxplainError: as `Explainer`.
    """
    source, found = parse(model), {}
    for name, change in ABLATIONS.items():
        try:
            found[name] = Explainer(source, method="grad-cam", rules=change.rules, options=change.options, **arguments)
        except OnnxplainError as error:
            if change.rules is None or isinstance(error, UsageError):
                raise
            on_left_out(f"{name}: left out; {error}")
    return found


def ablate(
    explainers: Mapping[str, Explainer],
    cases: Iterable[Case],
    *,
    inputs: Mapping[str, Any] | None = None,
    measures: Mapping[str, Measure] = MEASURES,
    draw: int = 8,
    on_error: Callable[[OnnxplainError], None] | None = None,
) -> Ablated:
    """Explains each case by Grad-CAM and each of its changes, and measures where the maps lie.

    Args:
        explainers: see `ablations`.
        cases: what to explain.
        inputs: the model's further inputs.
        measures: of a map and the objects, by name.
        draw: how many maps, from the first, are kept for the picture.
        on_error: called for an image that cannot be read or whose objects lie outside it, which is then left out;
            default: it is raised.

    Raises:
        UsageError: objects, and several layers.
        OnnxplainError: there is nothing to explain; or as `Explainer`.
    """
    found = Ablated(list(explainers))
    seen = 0
    for case in cases:
        judged: dict[str, dict[str, float]] = {}
        try:
            maps = [explainer(case.source, case.target, inputs) for explainer in explainers.values()]
            if case.objects:
                best = _best(maps[0])
                maps = [[each[best]] for each in maps]
                for name, (one,) in zip(explainers, maps, strict=True):
                    judged[name] = {key: value(one.heatmap, case.objects) for key, value in measures.items()}
        except UsageError:
            raise
        except OnnxplainError as error:
            if on_error is None:
                raise
            on_error(error)
            continue
        seen += 1
        for name, values in judged.items():
            found.values.setdefault(name, []).append(values)
        rows = [dict(zip(explainers, row, strict=True)) for row in zip(*maps, strict=True)]
        found.drawn += rows[: max(0, draw - len(found.drawn))]
    if not seen:
        raise OnnxplainError("no image could be explained; see the errors above, or give others")
    return found


def annotated_cases(
    dataset: Dataset, mapping: ClassMapping, on_error: Callable[[OnnxplainError], None]
) -> Iterator[Case]:
    """Each class of each image of a data set whose objects have a place; difficult ones alone are no case.

    Args:
        dataset: the data set.
        mapping: from its classes to the model's.
        on_error: called for an annotation that cannot be read, which is then left out.

    Raises:
        UsageError: a class that the mapping lacks.
    """
    for entry in dataset.entries.values():
        try:
            image = entry()
        except OnnxplainError as error:
            on_error(error)
            continue
        for label in image.labels:
            targets, objects = mapping.of(label), image.of(label)
            if targets and objects:
                yield Case(image.path, targets, objects)


def _best(explanations: Sequence[Explanation]) -> int:
    """The place of the target of the highest score.

    Raises:
        UsageError: there are several layers.
    """
    layers = {one.layer for one in explanations}
    if len(layers) > 1:
        raise UsageError(f"maps are measured at one layer, not at {len(layers)}; name one by layers= (--layer)")
    return int(np.argmax([one.score for one in explanations]))


def _region(objects: Sequence[AnnotatedObject], heatmap: Map) -> Mask:
    return np.asarray(np.any([one.region(heatmap.shape) for one in objects], axis=0))


def _row_names(drawn: Iterable[Mapping[str, Explanation]]) -> Iterator[str]:
    """The name of the photo and the class; numbered where two are the same."""
    shown = [next(iter(found.values())) for found in drawn]
    taken: set[str] = set()
    for one in shown:
        yield file_stem(one, taken, with_layer=len({each.layer for each in shown}) > 1)

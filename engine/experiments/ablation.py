"""Grad-CAM with one of its parts changed at a time: what each part is good for.

Selvaraju et al. 2017, "Grad-CAM", appendix, table A2 and figures A9 to A11.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ...graph_rewrites.errors import OnnxplainError, UsageError
from ...graph_rewrites.model_file import ModelSource
from ..compare import Comparison, name_of
from ..contact_sheet import contact_sheet
from ..evaluation.pointing import Map, Mask, energy_inside, pointing
from ..explainer import Explainer, Source
from ..explanation import Explanation
from ..images import Image
from ..tables import file_stem
from ..targets import Target

Measure = Callable[[Map, Mask], float]
TOLERANCE = 15  # pixels of the source image (Zhang et al. 2016, section 4.1)
MEASURES: Mapping[str, Measure] = {
    "pointing game": partial(pointing, tolerance=TOLERANCE),
    "energy inside": energy_inside,
}


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
        target: a class, or several where no region is known, see `Explainer`; None is the top class.
        region: bool [H, W], the objects of that class; None where they are not known.
    """

    source: Source
    target: Target | Sequence[Target] | None = None
    region: Mask | None = None


@dataclass
class Ablated:
    """What the changes did.

    Attributes:
        names: the changes that the model allows, Grad-CAM first.
        values: each measure of each map, by change and measure; empty where no region was known.
        drawn: the explanations to be drawn, by change, one dict a case.
    """

    names: list[str]
    values: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    drawn: list[dict[str, Explanation]] = field(default_factory=list)

    @property
    def count(self) -> int:
        """How many maps of each change were measured."""
        return max((len(values) for measures in self.values.values() for values in measures.values()), default=0)

    def means(self) -> dict[str, dict[str, float]]:
        """The mean of each measure, by change and measure."""
        return {
            name: {measure: float(np.mean(values)) for measure, values in measures.items()}
            for name, measures in self.values.items()
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
    found = {}
    for name, change in ABLATIONS.items():
        try:
            found[name] = Explainer(model, method="grad-cam", rules=change.rules, options=change.options, **arguments)
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
    """Explains each case by Grad-CAM and each of its changes, and measures what lies in the region.

    Args:
        explainers: see `ablations`.
        cases: what to explain.
        inputs: the model's further inputs.
        measures: of a map and a region, by name.
        draw: how many of the cases, from the first, are kept for the picture.
        on_error: called for an image that cannot be read, which is then left out; default: it is raised.

    Raises:
        OnnxplainError: no image could be read; or as `Explainer`.
    """
    found = Ablated(list(explainers))
    seen = 0
    for case in cases:
        try:
            maps = {name: explainer(case.source, case.target, inputs) for name, explainer in explainers.items()}
        except UsageError:
            raise
        except OnnxplainError as error:
            if on_error is None:
                raise
            on_error(error)
            continue
        seen += 1
        for place in range(len(next(iter(maps.values())))):
            each = {name: explanations[place] for name, explanations in maps.items()}
            if len(found.drawn) < draw:
                found.drawn.append(each)
            if case.region is not None:
                for name, one in each.items():
                    for measure, value in measures.items():
                        values = found.values.setdefault(name, {}).setdefault(measure, [])
                        values.append(value(one.heatmap, case.region))
    if not seen:
        raise OnnxplainError("no image could be explained; see the errors above")
    return found


def _row_names(drawn: Iterable[Mapping[str, Explanation]]) -> Iterator[str]:
    """The name of the photo and the class; numbered where two are the same."""
    shown = [next(iter(found.values())) for found in drawn]
    taken: set[str] = set()
    for one in shown:
        yield file_stem(one, taken, with_layer=len({each.layer for each in shown}) > 1)

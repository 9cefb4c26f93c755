"""One image under evaluation: its annotation, its maps, and what metrics need to run the model on besides."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ...graph_rewrites.model.model import ModelSource
from ...graph_rewrites.model.weight_randomisation import randomised
from ..datasets.annotation import AnnotatedImage, Box, Mask
from ..explanation import Explanation
from ..images.files import Image
from .maps import Explained, MethodMaps
from .measures.perturbation import STEPS, Predict
from .measures.pointing import centre_map

CENTRE = "centre"  # the baseline that knows nothing of the image, in the place of a method
TOLERANCE = 15.0  # pixels of the source image (Zhang et al. 2016)
STAGES = (1 / 3, 2 / 3, 1.0)  # shares of the layers that are drawn anew, from the last on


@dataclass(frozen=True)
class Settings:
    """What measures let one choose.

    Attributes:
        tolerance: of the pointing game, in pixels of the source image.
        steps: of deletion and insertion.
    """

    tolerance: float = TOLERANCE
    steps: int = STEPS


class EvaluationContext:
    """The model, and changed copies of it that some metrics run; made when they are first asked for.

    Args:
        model: the model.
        maps: the methods under evaluation.
        settings: the metrics'.
        arguments: those that `maps` was made with, for further ones.
    """

    def __init__(self, model: ModelSource, maps: MethodMaps, settings: Settings, arguments: Mapping[str, Any]) -> None:
        self.maps, self.settings = maps, settings
        self._model, self._arguments = model, arguments

    @cached_property
    def occlusion(self) -> MethodMaps:
        """Occlusion maps of the same model."""
        return MethodMaps(self._model, ["occlusion"], **self._arguments)

    @cached_property
    def anew(self) -> list[MethodMaps]:
        """The methods on models whose weights are drawn anew, by `STAGES`."""
        models = [randomised(self._model, share) for share in STAGES]
        return [MethodMaps(model, self.maps.methods, **self._arguments) for model in models]


@dataclass
class Subject:
    """One image.

    Attributes:
        truth: its annotation.
        image: uint8 [H, W, 3] RGB.
        present: the model's classes for each class of the data set that is in the image and that it knows.
        explained: predictions and maps.
        context: the model, to be run on changed inputs.
    """

    truth: AnnotatedImage
    image: Image
    present: Mapping[str, tuple[int, ...]]
    explained: Explained
    context: EvaluationContext
    _regions: dict[str, Mask] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.image.shape[0], self.image.shape[1]

    @property
    def classes(self) -> dict[str, tuple[int, ...]]:
        """Those of `present` that one is asked to find."""
        return {label: self.present[label] for label in self.truth.labels if label in self.present}

    def map_of(self, method: str, target: int) -> Explanation:
        """A method's map of a class of the model."""
        if method != CENTRE:
            return self.explained.maps[method][target]
        some = next(iter(self.explained.maps.values()))[target]
        heat = centre_map(self.shape).astype(np.float32)
        return replace(some, heatmap=heat, cam=heat, method=CENTRE)

    def by_class(self, method: str) -> Iterator[tuple[str, Explanation]]:
        """The map of each class asked for; where several of the model's stand for it, that of the highest score."""
        some = next(iter(self.explained.maps.values()))
        for label, targets in self.classes.items():
            yield label, self.map_of(method, max(targets, key=lambda target: some[target].score))

    def located(self, method: str) -> Iterator[tuple[str, Explanation, Mask]]:
        """The map and the region of each class whose objects have a place."""
        for label, explanation in self.by_class(method):
            if self.truth.of(label):
                yield label, explanation, self.region(label)

    def region(self, label: str) -> Mask:
        """Where the objects of a class are, bool [H, W]."""
        if label not in self._regions:
            self._regions[label] = self.truth.region(label, self.shape)
        return self._regions[label]

    def boxes(self, label: str) -> list[Box]:
        """The boxes of the objects of a class."""
        return [one.extent(self.shape) for one in self.truth.of(label)]

    @cached_property
    def tensor(self) -> npt.NDArray[np.floating]:
        """The model's input."""
        return self.context.maps.preprocess.apply(self.image)

    @cached_property
    def black(self) -> npt.NDArray[np.floating]:
        """The model's input of a black image."""
        return self.context.maps.preprocess.apply(np.zeros_like(self.image))

    def predict(self, target: int) -> Predict:
        """What gives the probability of a class."""

        def probability(inputs: Iterable[np.ndarray], count: int) -> npt.NDArray[np.float64]:
            return self.context.maps.probabilities(inputs, count)[:, target]

        return probability

    @cached_property
    def occluded(self) -> dict[int, Explanation]:
        """Occlusion maps of the classes asked for."""
        return self._explained_by(self.context.occlusion)["occlusion"]

    @cached_property
    def anew(self) -> list[dict[str, dict[int, Explanation]]]:
        """Maps of the classes asked for, by `STAGES`, of the models whose weights are drawn anew."""
        return [self._explained_by(maps) for maps in self.context.anew]

    def _explained_by(self, maps: MethodMaps) -> dict[str, dict[int, Explanation]]:
        some = next(iter(self.context.maps.methods))
        targets = [one.target for _, one in self.by_class(some)]
        return maps.explain(self.image, self.truth.path, targets).maps

"""Localisation cues, or seeds, for segmentation learnt from image labels: cells that surely show a class or background.

Kolesnikov and Lampert 2016, "Seed, Expand and Constrain", with maps of Grad-CAM in the place of CAM, as Selvaraju et
al. 2017. Shares, filter and grid are those of the code that the former released (github.com/akolesnikoff/SEC, folder
weak-localization). There the background is what the gradients of the sum of all scores at a middle layer leave cold;
here those of the scores of the image's classes at its pixels (Simonyan et al. 2014, section 3), which any model has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from ...graph_rewrites.errors import OnnxplainError, UsageError
from ..datasets.annotation import AnnotatedImage
from ..datasets.mapping import ClassMapping
from ..evaluation.maps import MethodMaps
from ..evaluation.measures.pointing import Map, Mask
from ..explanation import Explanation
from ..images.files import Image

Cells = npt.NDArray[np.int64]
Class = int | str  # an index of the model, or a class of the data set

SALIENCY = "gradient"
BACKGROUND, UNLABELLED = 0, -1
_Maps = Mapping[str, Mapping[int, Explanation]]  # by method and class
_SMOOTHED = 3  # cells, the side of the median filter


@dataclass(frozen=True)
class SeedRules:
    """What makes a cell a seed.

    Attributes:
        foreground: the share of a map's maximum above which a cell is of the class.
        background: the share of the cells, those of the lowest saliency, that are background.
        grid: how many rows and columns of cells lie over the image.
        above: the probability that a class must have; classes of annotations need none.
    """

    foreground: float = 0.2
    background: float = 0.1
    grid: int = 41
    above: float = 0.0


def seeds(maps: Sequence[Map], saliency: Map, seen: Mask, rules: SeedRules) -> Cells:
    """Which class each cell is a seed of.

    A cell is of the class whose map is above a share of its maximum there; of several, of that with fewest cells.
    What no class has is background where the saliency, smoothed, is lowest; cells that tie with the last of these too.

    Args:
        maps: of each class, float [h, w].
        saliency: float [h, w].
        seen: bool [h, w], the rectangle of cells that the model saw; others are no seeds.
        rules: the shares.

    Returns:
        int64 [h, w]: the place of the class in `maps`, from 1; BACKGROUND or UNLABELLED.
    """
    found = np.full(saliency.shape, UNLABELLED, np.int64)
    inside = np.ix_(seen.any(axis=1), seen.any(axis=0))
    smooth = np.full(saliency.shape, np.inf, np.float32)
    smooth[inside] = cv2.medianBlur(saliency[inside].astype(np.float32), _SMOOTHED)
    among = np.sort(smooth[seen])
    last = int(rules.background * len(among)) - 1
    if last >= 0:
        found[(smooth <= among[last]) & (smooth < among[-1])] = BACKGROUND
    areas = [(heat > 0) & (heat > rules.foreground * heat.max()) for heat in maps]
    for place in sorted(range(len(maps)), key=lambda place: -int(areas[place].sum())):
        found[areas[place]] = place + 1
    found[~seen] = UNLABELLED
    return found


@dataclass(frozen=True)
class Seeds:
    """The seeds of one image.

    Attributes:
        cells: int64 [grid, grid]: 0 is background, k the class at place k - 1 of `classes`, -1 neither.
        classes: what the image shows.
    """

    cells: Cells
    classes: list[Class]


class Seeder:
    """Finds the seeds of images.

    Args:
        maps: the model, explained by two methods: the one whose maps tell classes, and SALIENCY.
        rules: what makes a cell a seed.
        targets: the classes to find, see `resolve_targets`; for images that are not annotated.
        mapping: from classes of annotations to the model's.
    """

    def __init__(
        self, maps: MethodMaps, rules: SeedRules, targets: Sequence[int] = (), mapping: ClassMapping | None = None
    ) -> None:
        self.maps, self.rules = maps, rules
        self._targets, self._mapping = targets, mapping

    def __call__(self, image: Image, truth: AnnotatedImage) -> Seeds:
        """The seeds of one image.

        Args:
            image: uint8 [H, W, 3] RGB.
            truth: its file, and the classes of its objects; where they lie is not looked at.

        Raises:
            UsageError: a class that the mapping lacks, or so few cells that the model sees none.
            OnnxplainError: there is no class to find, or a map is not finite.
        """
        found, maps = self._predicted(image, truth) if self._mapping is None else self._annotated(image, truth)

        def heats(method: str) -> list[Map]:
            return [on_grid(maps[method][target].heatmap, self.rules.grid) for target in found.values()]

        saliency = np.max(heats(SALIENCY), axis=0)
        return Seeds(seeds(heats(self.maps.methods[0]), saliency, self._seen(image), self.rules), list(found))

    def _predicted(self, image: Image, truth: AnnotatedImage) -> tuple[dict[Class, int], _Maps]:
        """The targets that are probable enough, and the maps."""
        named = [target for target in self._targets if target >= 0]
        explained = self.maps.explain(image, truth.path, named, max([0, *(-target for target in self._targets)]))
        wanted = dict.fromkeys(target if target >= 0 else explained.top[-target - 1] for target in self._targets)
        likely: dict[Class, int] = {
            target: target for target in wanted if explained.probabilities[target] >= self.rules.above
        }
        if not likely:
            raise OnnxplainError(f"{truth.path}: no class has a probability of {self.rules.above}; lower --above")
        return likely, explained.maps

    def _annotated(self, image: Image, truth: AnnotatedImage) -> tuple[dict[Class, int], _Maps]:
        """The model's class for each of the annotation, that of the highest score where there are several; the maps."""
        assert self._mapping is not None
        present = {label: targets for label in truth.labels if (targets := self._mapping.of(label))}
        if not present:
            raise OnnxplainError(f"{truth.path}: shows no class that is asked for; leave it out, or map its classes")
        asked = dict.fromkeys(target for several in present.values() for target in several)
        maps = self.maps.explain(image, truth.path, list(asked)).maps
        score = {target: one.score for target, one in maps[SALIENCY].items()}
        return {label: max(several, key=score.__getitem__) for label, several in present.items()}, maps

    def _seen(self, image: Image) -> Mask:
        """The cells whose centres the model saw, bool [grid, grid]."""
        left, top, width, height = self.maps.preprocess.window(image.shape[:2])
        centres = (np.arange(self.rules.grid) + 0.5) / self.rules.grid
        rows, columns = centres * image.shape[0], centres * image.shape[1]
        seen = np.outer((rows >= top) & (rows < top + height), (columns >= left) & (columns < left + width))
        if not seen.any():
            raise UsageError(
                f"the model sees the centre of no cell of {self.rules.grid} x {self.rules.grid}; raise --grid"
            )
        return seen


def on_grid(heatmap: Map, side: int) -> npt.NDArray[np.float32]:
    """A map on a grid of `side` x `side` cells: means over their areas, or interpolated where they are smaller."""
    shrinks = min(heatmap.shape) >= side
    size = (side, side)
    return np.asarray(
        cv2.resize(heatmap.astype(np.float32), size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    )

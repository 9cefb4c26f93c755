"""What an audit keeps of each image, and of each class and group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from ..explanation import Explanation
from ..images.files import Image

Kind = tuple[str, str]  # a class and a group


@dataclass(frozen=True)
class Seen:
    """What a model made of an image.

    Attributes:
        predicted: the class of the highest score, by its index.
        name: the same as the model calls it.
        is_right: whether it is the image's.
        probability: of the predicted class.
        heat: the share of the map's positive values inside each region; None where the map has none at all.
    """

    predicted: int
    name: str
    is_right: bool
    probability: float
    heat: Mapping[str, float] | None


@dataclass(frozen=True)
class Record:
    """An image that was audited.

    Attributes:
        image: its name in the data set.
        label: its class, as the data set calls it.
        group: its group.
        area: the share of the image that each annotated region covers, which a map that is even has inside.
        seen: by model.
    """

    image: str
    label: str
    group: str
    area: Mapping[str, float]
    seen: Mapping[str, Seen]


@dataclass
class Cell:
    """What is drawn of the images of one class and group.

    Attributes:
        photo: the first of them, shrunk to the size of a picture's tile; uint8 [h, w, 3] RGB.
        maps: the same under its map, by model.
        first: what was made of it, by model.
        mean: the mean heatmap, by model, float64 at the size of the model's input.
        count: how many images the mean is of.
    """

    photo: Image
    maps: dict[str, Image]
    first: Record
    mean: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    count: int = 0

    def add(self, explanations: Mapping[str, Explanation]) -> None:
        """Takes the maps of one more image into the means."""
        self.count += 1
        for model, one in explanations.items():
            heat = np.maximum(one.input_heatmap, 0).astype(np.float64)
            mean = self.mean.setdefault(model, np.zeros_like(heat))
            if heat.shape != mean.shape:  # of a model that takes each image at its own size
                heat = np.asarray(cv2.resize(heat, mean.shape[::-1], interpolation=cv2.INTER_LINEAR), np.float64)
            mean += (heat - mean) / self.count


@dataclass
class Audit:
    """What was found of models on grouped images.

    Attributes:
        models: their names.
        records: the images, in the order of the data set.
        cells: what is drawn, by class and group; of the first that came.
        meanings: by model, the data set's class for each class of the model that stands for one.
    """

    models: list[str]
    records: list[Record] = field(default_factory=list)
    cells: dict[Kind, Cell] = field(default_factory=dict)
    meanings: dict[str, dict[int, str]] = field(default_factory=dict)

    def called(self, model: str, record: Record) -> str:
        """The class that a model took an image for, as the data set calls it, or else the model."""
        seen = record.seen[model]
        return record.label if seen.is_right else self.meanings[model].get(seen.predicted, seen.name)

    @cached_property
    def by_kind(self) -> dict[Kind, list[Record]]:
        """The records of each class and group, sorted; to be asked for when all are there."""
        found: dict[Kind, list[Record]] = {}
        for record in self.records:
            found.setdefault((record.label, record.group), []).append(record)
        return dict(sorted(found.items()))

    @property
    def labels(self) -> list[str]:
        """The classes of the images, sorted."""
        return sorted({label for label, _ in self.by_kind})

    @property
    def groups(self) -> list[str]:
        """The groups of the images, sorted."""
        return sorted({group for _, group in self.by_kind})

    @property
    def regions(self) -> list[str]:
        """The labels of annotated regions, sorted."""
        return sorted({region for record in self.records for region in record.area})

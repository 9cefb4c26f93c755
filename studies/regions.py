"""What a classifier of shapes is to find: each class that a scene shows, and where its objects are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from onnxplain.engine.datasets.annotation import AnnotatedObject

from .residual.classes import class_of
from .scenes import Image, Mask, scene

CLASSIFIER = Path(__file__).parents[1] / "exported_models" / "scene_resnet" / "scene_resnet.onnx"
SEED = 2026
TOLERANCE = 3  # pixels; Zhang et al. 2016 allow 15 in photos of about 500, and a scene has 96


class Shown(NamedTuple):
    """A scene, and the objects of each of its classes, as masks bool [H, W]."""

    image: Image
    masks: dict[str, list[Mask]]

    @property
    def regions(self) -> dict[str, Mask]:
        """Where the objects of each class are, bool [H, W]."""
        return {name: np.logical_or.reduce(masks) for name, masks in self.masks.items()}

    def objects(self, name: str) -> list[AnnotatedObject]:
        """The objects of a class, as data sets have them."""
        return [AnnotatedObject(name, mask=mask) for mask in self.masks[name]]


def shown(count: int, seed: int = SEED) -> Iterator[Shown]:
    """Scenes with objects of several classes that no model was trained on."""
    rng = np.random.default_rng(seed)
    done = 0
    while done < count:
        each = scene(rng)
        masks: dict[str, list[Mask]] = {}
        for one, mask in zip(each.objects, each.masks, strict=True):
            masks.setdefault(class_of(one), []).append(mask)
        if len(masks) > 1:
            done += 1
            yield Shown(each.image, masks)

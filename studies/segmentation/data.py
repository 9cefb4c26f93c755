"""Scenes as a segmenter learns from them and is judged by: pictures, the shapes they show, and where these are."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from onnxplain.engine.datasets.annotation import AnnotatedImage, AnnotatedObject
from onnxplain.engine.datasets.mapping import ClassMapping
from onnxplain.engine.evaluation.maps import MethodMaps
from onnxplain.engine.experiments.seeds import SALIENCY, Seeder, SeedRules

from ..scenes import SHAPES, Scene, scene

MODELS = Path(__file__).parents[2] / "exported_models" / "segmentation"
CLASSIFIER = MODELS / "classifier.onnx"
CLASSES = SHAPES
SIDE, STRIDE = 96, 3
GRID = SIDE // STRIDE  # rows and columns of the networks' maps
RULES = SeedRules(grid=GRID)  # shares as in the paper

Array = npt.NDArray[np.floating]
Flags = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.int64]


class Variant(NamedTuple):
    """What a segmenter learns by.

    Attributes:
        title: in tables.
        cues: the method whose maps give the seeds; "truth": every cell; None: nothing.
        expands: whether classes shown are to take up room.
        follows_edges: whether the segmentation is to follow the colours of the image.
    """

    title: str
    cues: str | None = None
    expands: bool = True
    follows_edges: bool = True


VARIANTS = {
    "full": Variant("every cell labelled", "truth", expands=False, follows_edges=False),
    "no_seeds": Variant("image labels, no seeds"),
    "grad_cam": Variant("image labels, Grad-CAM seeds", "grad-cam"),
    "guided_grad_cam": Variant("image labels, Guided Grad-CAM seeds", "guided-grad-cam"),
    "no_expansion": Variant("the same, without expansion", "guided-grad-cam", expands=False),
}


class Scenes(NamedTuple):
    """Some scenes.

    Attributes:
        images: uint8 [n, 96, 96, 3].
        shown: bool [n, classes], the classes of each.
        truth: int64 [n, 96, 96]: 0 is the background, k the class at place k - 1 of CLASSES.
    """

    images: npt.NDArray[np.uint8]
    shown: Flags
    truth: Labels

    @property
    def coarse(self) -> Array:
        """The images at the networks' grid, [n, 32, 32, 3]: the mean colour of each cell."""
        size = (GRID, GRID)
        return np.stack([cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in self.images]).astype(float)

    @property
    def cells(self) -> Flags:
        """What is at the middle of each cell, bool [n, 1 + classes, 32, 32]."""
        middles = self.truth[:, STRIDE // 2 :: STRIDE, STRIDE // 2 :: STRIDE]
        return np.stack([middles == value for value in range(1 + len(CLASSES))], axis=1)


def scenes(count: int, seed: int) -> Scenes:
    """Random scenes of 1 to 4 objects."""
    rng = np.random.default_rng(seed)
    drawn = [scene(rng) for _ in range(count)]
    shown = np.array([[any(one.shape == name for one in each.objects) for name in CLASSES] for each in drawn])
    return Scenes(np.stack([each.image for each in drawn]), shown, np.stack([_truth(each) for each in drawn]))


def seeds(scenes: Scenes, classifier: Path = CLASSIFIER, rules: SeedRules = RULES, method: str = "grad-cam") -> Labels:
    """The seeds of each scene as `onnxplain seeds` finds them, by the classes shown: int64 [n, grid, grid].

    0 is the background, k the class at place k - 1 of CLASSES, -1 neither.
    """
    maps = MethodMaps(classifier, [method, SALIENCY])
    find = Seeder(maps, rules, mapping=ClassMapping(maps.labels, maps.classes))
    found = []
    for image, shown in zip(scenes.images, scenes.shown, strict=True):
        names = [name for name, is_shown in zip(CLASSES, shown, strict=True) if is_shown]
        one = find(image, AnnotatedImage(Path("scene.png"), tuple(map(AnnotatedObject, names))))
        values = [1 + CLASSES.index(str(name)) for name in one.classes]
        found.append(np.array([-1, 0, *values])[one.cells + 1])
    return np.stack(found)


def iou(said: Labels, truth: Labels) -> Array:
    """Intersection over union of the background and each class, over the pixels of all images, as Pascal VOC counts.

    Args:
        said: of any shape, a class for each pixel.
        truth: of the same shape.
    """
    values = range(1 + len(CLASSES))
    return np.array([((said == one) & (truth == one)).sum() / ((said == one) | (truth == one)).sum() for one in values])


def _truth(each: Scene) -> Labels:
    truth = np.zeros((SIDE, SIDE), np.int64)
    for one, mask in zip(each.objects, each.masks, strict=True):
        truth[mask] = 1 + CLASSES.index(one.shape)
    return truth

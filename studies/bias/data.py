"""Scenes with an object and a marker: what a classifier should look at, and what may tell it the class all the same.

    python -m studies.bias.data FOLDER      writes scenes.csv, its images and masks, to be audited

The object's shape is the class. The marker, a disc in the upper right, covers as much and has one of two colours that
no object has; by that colour scenes are grouped. As the face of a doctor or a nurse, it is no part of what makes the
class.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
from onnxplain.engine.images.files import write_image

from ..scenes import COLOURS, SIZES, Image, Mask, SceneObject, render

FOLDER = Path(__file__).parents[2] / "exported_models" / "bias"
AGREEMENT = {"biased": 1.0, "balanced": 0.5}  # by model: in how much of its training set marker and class agree
MODELS = {name: FOLDER / f"{name}.onnx" for name in AGREEMENT}

CLASSES = ("triangle", "cross")
NOTHING = "nothing"  # a third class, of bare backgrounds; without it one class would be told by what is not there
GROUPS = ("yellow", "cyan")  # of the marker; each class's own where they agree
REGIONS = ("object", "marker")
OBJECT_COLOURS = tuple(colour for colour in COLOURS if colour not in GROUPS)
# Where centres lie, x and y as parts of the image's side: object and marker are apart wherever they are drawn.
OBJECT_AT, MARKER_AT = ((0.25, 0.6), (0.5, 0.78)), ((0.78, 0.86), (0.14, 0.22))
_TILT = 0.2  # radians
SCENES, SEED = 400, 2026  # that are audited; no model was trained on them


class Marked(NamedTuple):
    """A scene.

    Attributes:
        image: uint8 [H, W, 3], RGB.
        label: the class, one of CLASSES or NOTHING.
        group: the marker's colour, one of GROUPS; of a bare background, "".
        regions: by REGIONS, where object and marker are, bool [H, W].
    """

    image: Image
    label: str
    group: str
    regions: dict[str, Mask]


def marked(rng: np.random.Generator, label: str, group: str) -> Marked:
    """A random scene of a class and a group."""
    colour = OBJECT_COLOURS[int(rng.integers(len(OBJECT_COLOURS)))]
    objects = (_placed(rng, label, colour, OBJECT_AT), _placed(rng, "circle", group, MARKER_AT))
    drawn = render(objects, rng)
    return Marked(drawn.image, label, group, dict(zip(REGIONS, drawn.masks, strict=True)))


def training_scenes(seed: int, agreement: float) -> Iterator[Marked]:
    """Scenes without end, each class a third of them; of those with a marker this share has that of the class."""
    rng = np.random.default_rng(seed)
    while True:
        which = int(rng.integers(len(CLASSES) + 1))
        if which == len(CLASSES):
            yield Marked(render((), rng).image, NOTHING, "", {})
        else:
            agrees = rng.random() < agreement
            yield marked(rng, CLASSES[which], GROUPS[which if agrees else 1 - which])


def even_scenes(seed: int, count: int) -> Iterator[Marked]:
    """Scenes of each of CLASSES and each group in turn, so that the marker tells nothing of the class."""
    rng = np.random.default_rng(seed)
    kinds = list(product(CLASSES, GROUPS))
    return (marked(rng, *kinds[number % len(kinds)]) for number in range(count))


def write_scenes(folder: Path, count: int, seed: int) -> Path:
    """Writes `even_scenes` as a data set: images, masks of the regions, and the CSV that is returned."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [["image", "label", "group", "mask"]]
    for number, each in enumerate(even_scenes(seed, count)):
        name = f"{number:03}.png"
        write_image(folder / name, each.image)
        rows.append([name, each.label, each.group, ""])
        for region, mask in each.regions.items():
            write_image(folder / f"{number:03}-{region}.png", mask.astype(np.uint8) * 255)
            rows.append([name, region, each.group, f"{number:03}-{region}.png"])
    with (folder / "scenes.csv").open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    return folder / "scenes.csv"


def _placed(
    rng: np.random.Generator, shape: str, colour: str, area: tuple[tuple[float, float], tuple[float, float]]
) -> SceneObject:
    x, y, radius = (float(rng.uniform(*limits)) for limits in (*area, SIZES["large"]))
    return SceneObject(shape, colour, "large", x, y, radius, float(rng.uniform(-_TILT, _TILT)))


if __name__ == "__main__":
    print(write_scenes(Path(sys.argv[1]), SCENES, SEED))

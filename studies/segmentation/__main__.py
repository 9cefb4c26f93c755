"""How good a segmentation is learnt from image labels, with seeds by Grad-CAM and without, measured on fresh scenes.

    python -m studies.segmentation [SCENES [FOLDER]]

Writes a section of docs/studies.md and its picture; of models in another folder, prints the tables.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from onnxplain.engine.images.files import write_image

from ..page import PAGE, table, write_section
from .data import CLASSIFIER, MODELS, VARIANTS, Labels, Scenes, iou, scenes, seeds
from .picture import sheet
from .segment import labels, probabilities, refined

SCENES, SEED = 200, 2026
DRAWN = 5
PICTURE = PAGE.parent / "images" / "studies" / "segmentation.png"
METHODS = {"Grad-CAM": "grad-cam", "Guided Grad-CAM": "guided-grad-cam"}


def seed_line(found: Labels, known: Scenes) -> list[float]:
    """What seeds [n, 32, 32] are worth, five shares.

    Of the seeds of shapes, those that are right; the same of the background's; of the cells of objects, those that are
    seeds of their class; and the mean intersection over union, as if cells without seed were background, with the
    background and without it.
    """
    truth = known.cells.argmax(axis=1)
    classes, background, objects = found > 0, found == 0, truth > 0
    right = found == truth
    each = iou(np.maximum(found, 0), truth)
    return [right[classes].mean(), right[background].mean(), right[objects].mean(), each.mean(), each[1:].mean()]


def segmented(known: Scenes, folder: Path = MODELS) -> dict[str, tuple[Labels, Labels]]:
    """The labels of each variant's segmenter [n, 96, 96], as they are and after the CRF."""
    found = {}
    for name in VARIANTS:
        raw = probabilities(folder / f"{name}.onnx", known.images)
        found[name] = labels(raw), labels(refined(raw, known))
    return found


def text(seeded: dict[str, Labels], found: dict[str, tuple[Labels, Labels]], known: Scenes) -> str:
    """The tables of seeds and of segmenters."""
    lines = []
    for name, both in found.items():
        each = [iou(one, known.truth) for one in both]
        lines.append(
            [VARIANTS[name].title, *_per_cent([mean for one in each for mean in (one.mean(), one[1:].mean())])]
        )
    header = ["seeds from", "correct, shapes, %", "correct, background, %", "objects found, %", "mIoU, %", "shapes, %"]
    tables = [
        table(header, [[title, *_per_cent(seed_line(one, known))] for title, one in seeded.items()]),
        table(["trained with", "mIoU, %", "shapes, %", "mIoU with CRF, %", "shapes with CRF, %"], lines),
    ]
    return "\n\n".join([*tables, f"{len(known.images)} scenes that no network was trained on."])


def main() -> None:
    """Measures, writes the section and draws the picture."""
    known = scenes(int(sys.argv[1]) if len(sys.argv) > 1 else SCENES, SEED)
    folder = Path(sys.argv[2]) if len(sys.argv) > 2 else MODELS
    seeded = {title: seeds(known, folder / CLASSIFIER.name, method=method) for title, method in METHODS.items()}
    found = segmented(known, folder)
    if folder != MODELS:
        print(text(seeded, found, known))
        return
    write_section("segmentation", text(seeded, found, known))
    columns = {
        "learnt without seeds": found["no_seeds"][0],
        "seeds by\nGrad-CAM": seeded["Grad-CAM"],
        "learnt from these": found["grad_cam"][0],
        "the same,\nafter the CRF": found["grad_cam"][1],
        "seeds by\nGuided Grad-CAM": seeded["Guided Grad-CAM"],
        "learnt from these,\nwithout expansion": found["no_expansion"][0],
        "truth": known.truth,
    }
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    write_image(PICTURE, sheet(list(known.images[:DRAWN]), {name: list(one) for name, one in columns.items()}))


def _per_cent(values: Iterable[float]) -> list[str]:
    return [f"{100 * value:.1f}" for value in values]


if __name__ == "__main__":
    main()

"""What each part of Grad-CAM is good for, measured on scenes.

    python -m studies.ablation [SCENES]

Writes a section of docs/studies.md and its picture.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from functools import partial

from onnxplain.engine.experiments.ablation import (
    Ablated,
    Case,
    Measure,
    ablate,
    ablations,
    energy,
    hit,
    localisation_error,
)
from onnxplain.engine.images.files import write_image
from onnxplain.graph_rewrites.targets.blocks import residual_blocks
from rich.progress import track

from .page import PAGE, table, write_section
from .regions import CLASSIFIER, TOLERANCE, Shown, shown

SCENES = 200
DRAWN = 5
PICTURE = PAGE.parent / "images" / "studies" / "ablation.jpg"
# Objects are small beside a cell of the maps, so that the 15 % for photos fits none: the best is taken.
THRESHOLDS = (0.15, 0.5, 0.6, 0.7, 0.8, 0.9)
MEASURES: dict[str, Measure] = {
    "hits": partial(hit, tolerance=TOLERANCE),
    "energy inside": energy,
    **{f"error at {threshold}": partial(localisation_error, threshold=threshold) for threshold in THRESHOLDS},
}
HEADER = ["", "hits, %", "energy inside, %", "localisation error, %"]


def cases(scenes: Sequence[Shown]) -> Iterator[Case]:
    """Each class of each scene."""
    return (Case(each.image, name, each.objects(name)) for each in scenes for name in each.regions)


def at_layer(layer: str | None, scenes: Sequence[Shown]) -> Ablated:
    """The changes at a layer, measured."""
    explainers = ablations(CLASSIFIER, layers=layer)
    return ablate(explainers, track(list(cases(scenes)), layer or "last layer"), measures=MEASURES, draw=DRAWN)


def lines(found: Ablated) -> list[list[str]]:
    """A line a change, in per cent; the localisation error at the threshold that is best for the change."""
    rows = []
    for name, means in found.means().items():
        error = min(value for measure, value in means.items() if measure.startswith("error"))
        rows.append([name, *(f"{100 * value:.1f}" for value in (means["hits"], means["energy inside"], error))])
    return rows


def main() -> None:
    """Measures and writes the section."""
    scenes = list(shown(int(sys.argv[1]) if len(sys.argv) > 1 else SCENES))
    before, last = residual_blocks(CLASSIFIER)[-2].name, None
    parts = []
    for layer, text in (
        (last, "At the last layer"),
        (before, "One block before it, with ReLUs between it and the score"),
    ):
        found = at_layer(layer, scenes)
        parts.append(f"{text}, {found.count} maps:\n\n{table(HEADER, lines(found))}")
        if layer is before:
            PICTURE.parent.mkdir(parents=True, exist_ok=True)
            write_image(PICTURE, found.picture())
    write_section("ablation", "\n\n".join(parts))


if __name__ == "__main__":
    main()

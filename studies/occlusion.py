"""Occlusion by patches of the sizes of figure A6, and how far maps agree with it: on the embedded photo, and on scenes.

    python -m studies.occlusion [SCENES]

Writes two sections of docs/studies.md and a picture.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

import numpy as np
from onnxplain.engine.embedded import MODEL, PHOTO
from onnxplain.engine.evaluation.measures.rank_correlation import rank_correlation
from onnxplain.engine.experiments.occlusion_sizes import RANK_CORRELATION, described, occlusion_sizes
from onnxplain.engine.explainer import Explainer
from onnxplain.engine.images.files import write_image
from onnxplain.engine.multi_pass.occlusion import PAPER_SIZES
from onnxplain.engine.render.contact_sheet import contact_sheet
from rich.progress import track

from .page import PAGE, table, write_section
from .regions import CLASSIFIER, Shown, shown

AGAINST = "grad-cam"
TARGETS = "top2"
PICTURE = PAGE.parent / "images" / "studies" / "occlusion-sizes.jpg"
# The methods of Selvaraju et al. 2017, section 5.3; patches that are to a scene's 96 pixels as 25, 45 and 90 to 224.
METHODS = ("grad-cam", "guided-grad-cam", "guided-backprop", "c-mwp", "cam")
SIZES = (11, 19, 39)
SCENES = 30


def agreement(
    scenes: Iterable[Shown], methods: Sequence[str] = METHODS, sizes: Sequence[int] = SIZES
) -> dict[str, list[float]]:
    """For each method the mean rank correlation, over each class of each scene, with occlusion by patches of each size.

    Maps that are the same everywhere have no ranks and are left out.
    """
    explain = {method: Explainer(CLASSIFIER, method=method) for method in methods}
    occlude = [Explainer(CLASSIFIER, method="occlusion", options={"size": size}) for size in sizes]
    found: dict[str, list[list[float]]] = {method: [] for method in methods}
    for each in scenes:
        names = list(each.regions)
        references = [explainer(each.image, names) for explainer in occlude]
        for method, explainer in explain.items():
            for one, *covered in zip(explainer(each.image, names), *references, strict=True):
                found[method].append([rank_correlation(one.heatmap, other.heatmap) for other in covered])
    return {method: np.nanmean(values, axis=0).tolist() for method, values in found.items()}


def photo_section() -> str:
    """Explains the photo by each size, and draws the picture."""
    found = occlusion_sizes(
        MODEL,
        PHOTO,
        PAPER_SIZES,
        against=AGAINST,
        target=TARGETS,
        progress=lambda steps, total: track(steps, total=total),
    )
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    write_image(PICTURE, contact_sheet(found, describe=described))
    correlations = [
        [found.cells[row, column].details[RANK_CORRELATION] for column in found.columns] for row in found.rows[1:]
    ]
    lines = [
        [row.removesuffix(" pixels"), *(f"{value:.3f}" for value in values)]
        for row, values in zip(found.rows[1:], correlations, strict=True)
    ]
    best = found.rows[1 + int(np.argmax(np.mean(correlations, axis=1)))]
    names = [str(found.cells[found.rows[0], column].label).split(",")[0] for column in found.columns]
    header = ["patch, pixels", *names]
    return f"{table(header, lines)}\n\nThe mean is highest for {best}."


def scene_section(count: int) -> str:
    """Compares methods with occlusion on so many scenes."""
    scenes = list(shown(count))
    found = agreement(track(scenes, "scenes"))
    lines = [[method, *(f"{value:.3f}" for value in values)] for method, values in found.items()]
    header = ["method", *(f"patches of {size} pixels" for size in SIZES)]
    return f"{table(header, lines)}\n\n{sum(len(each.regions) for each in scenes)} maps of {count} scenes."


def main() -> None:
    """Measures and writes the sections."""
    write_section("occlusion", photo_section())
    write_section("occlusion-scenes", scene_section(int(sys.argv[1]) if len(sys.argv) > 1 else SCENES))


if __name__ == "__main__":
    main()

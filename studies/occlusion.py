"""Occlusion by patches of the sizes of figure A6, and how far each agrees with Grad-CAM.

    python -m studies.occlusion

Writes a section of docs/studies.md and its picture: the embedded photo and model.
"""

from __future__ import annotations

import numpy as np
from onnxplain.engine.contact_sheet import contact_sheet
from onnxplain.engine.embedded import MODEL, PHOTO
from onnxplain.engine.experiments.occlusion_sizes import RANK_CORRELATION, described, occlusion_sizes
from onnxplain.engine.images import write_image
from onnxplain.engine.many_runs.occlusion import PAPER_SIZES
from rich.progress import track

from .page import PAGE, table, write_section

AGAINST = "grad-cam"
TARGETS = "top2"
PICTURE = PAGE.parent / "images" / "studies" / "occlusion-sizes.jpg"


def main() -> None:
    """Explains the photo by each size, and writes the section."""
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
    write_section("occlusion", f"{table(header, lines)}\n\nThe highest mean is that of {best}.")


if __name__ == "__main__":
    main()

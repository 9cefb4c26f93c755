"""Figure A5's counterpart: an example of each class and group under each model's map, beside the mean map."""

from __future__ import annotations

from collections import Counter

import numpy as np

from ..images.files import Image
from ..render.contact_sheet import colour_bar, tile, tile_table
from ..render.overlays import colourise
from .findings import Audit, Kind

PHOTO = "example"
MOST_ROWS = 12


def picture(audit: Audit, rows: int = MOST_ROWS) -> Image:
    """A row for each class and group, two columns for each model; uint8 [H, W, 3] RGB.

    Below a map stands what the model took the example for. Mean maps are divided by the model's largest one, so that
    rows can be compared; where there are more classes and groups than rows, those with most mistakes are drawn.
    """
    kinds = drawn(audit, rows)
    tiles, columns = {}, [PHOTO]
    for model in audit.models:
        columns += [f"{model}: map", f"{model}: mean"]
        largest = max(float(cell.mean[model].max()) for cell in audit.cells.values()) or 1.0
        for kind in kinds:
            cell = audit.cells[kind]
            called, seen = audit.called(model, cell.first), cell.first.seen[model]
            said = f"{'right' if seen.is_right else 'WRONG'}: {called} {seen.probability:.2f}"
            tiles[_name(kind), PHOTO] = tile(cell.photo, below=cell.first.image)
            tiles[_name(kind), columns[-2]] = tile(cell.maps[model], below=said)
            mean = (cell.mean[model] / largest).astype(np.float32)
            tiles[_name(kind), columns[-1]] = tile(colourise(mean), below=f"of {cell.count} images")
    sheet = tile_table([_name(kind) for kind in kinds], columns, tiles)
    return np.hstack([sheet, colour_bar(0.0, len(sheet))])


def drawn(audit: Audit, rows: int) -> list[Kind]:
    """The classes and groups that are drawn, sorted; those with most mistakes of any model, where not all are."""
    wrong = Counter((one.label, one.group) for one in audit.records for seen in one.seen.values() if not seen.is_right)
    return sorted(sorted(audit.cells, key=lambda kind: -wrong[kind])[:rows])


def _name(kind: Kind) -> str:
    return f"{kind[0]}, {kind[1]}"

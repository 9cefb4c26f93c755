"""Many explanations in one picture: a grid with titles, scores and a colour bar."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence

import cv2
import numpy as np
import numpy.typing as npt

from ..compare import Comparison, name_of
from ..explanation import Explanation
from ..images.files import Image
from .overlays import colourise

TILE = 224  # pixels, the longer side of a picture in the grid
PER_LINE = 6
MARGIN, LINE = 8, 18
BAR_WIDTH, BAR_LABELS, MAX_BAR = 14, 44, 480
BACKGROUND, INK = 255, (30, 30, 30)
FONT, SCALE, HEADING = cv2.FONT_HERSHEY_SIMPLEX, 0.42, 0.6
PHOTO = "image"  # the column of the images themselves


def contact_sheet(
    comparison: Comparison,
    *,
    heading: str = "",
    photos: bool = False,
    describe: Callable[[Explanation], str] = name_of,
) -> Image:
    """Draws explanations as a table of rows and columns, or line by line where there is a single column.

    A table is transposed where it has many more columns than rows.

    Args:
        comparison: the explanations.
        heading: a text over all of them.
        photos: whether each row begins with its image as it is.
        describe: what is written below a picture; default: its class and score.

    Returns:
        uint8 [H, W, 3] RGB. The colour bars at the right tell the heat of all pictures.
    """
    rows, columns, cells = comparison.rows, comparison.columns, comparison.cells
    in_lines = len(columns) == 1 and not photos
    tiles = {
        (row, column): tile(one.picture(), above=row if in_lines else "", below=describe(one))
        for (row, column), one in cells.items()
    }
    if photos:
        tiles |= {(row, PHOTO): tile(one.image) for (row, _), one in cells.items()}
        columns = [PHOTO, *columns]
    if in_lines:
        sheet = _lines([tiles[row, columns[0]] for row in rows])
    elif len(columns) > max(PER_LINE, len(rows)):
        sheet = tile_table(columns, rows, {(column, row): one for (row, column), one in tiles.items()})
    else:
        sheet = tile_table(rows, columns, tiles)
    sheet = np.hstack([sheet, _colour_bars(list(cells.values()), len(sheet))])
    return np.vstack([_headed(heading, sheet.shape[1]), sheet]) if heading else sheet


def _lines(tiles: Sequence[Image]) -> Image:
    """Tiles beside each other, a new line begun when one is full."""
    height, width = tiles[0].shape[:2]
    lines = -(-len(tiles) // PER_LINE)
    sheet = _blank(MARGIN + lines * (height + MARGIN), MARGIN + min(len(tiles), PER_LINE) * (width + MARGIN))
    for index, tile in enumerate(tiles):
        line, place = divmod(index, PER_LINE)
        top, left = MARGIN + line * (height + MARGIN), MARGIN + place * (width + MARGIN)
        sheet[top : top + height, left : left + width] = tile
    return sheet


def tile_table(rows: Sequence[str], columns: Sequence[str], cells: Mapping[tuple[str, str], Image]) -> Image:
    """Tiles under the names of their columns, beside those of their rows; uint8 [H, W, 3] RGB."""
    height, width = (max(one.shape[axis] for one in cells.values()) for axis in (0, 1))
    title = max(_text_width(name) for name in rows) + 2 * MARGIN
    sheet = _blank(LINE + MARGIN + len(rows) * (height + MARGIN), title + len(columns) * (width + MARGIN))
    for index, name in enumerate(columns):
        _write(sheet, _shortened(name, width), title + index * (width + MARGIN), LINE - 4)
    for i, row in enumerate(rows):
        top = LINE + MARGIN + i * (height + MARGIN)
        _write(sheet, row, MARGIN, top + height // 2)
        for j, column in enumerate(columns):
            left = title + j * (width + MARGIN)
            if (row, column) in cells:
                cell = cells[row, column]
                sheet[top : top + cell.shape[0], left : left + cell.shape[1]] = cell
    return sheet


def _headed(text: str, width: int) -> Image:
    """A heading in as many lines as it needs."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        fits = not lines[-1] or _text_width(longer, HEADING) <= width - 2 * MARGIN
        lines = [*lines[:-1], longer] if fits else [*lines, word]
    step = round(LINE * HEADING / SCALE)
    heading = _blank(MARGIN + len(lines) * step, width)
    for index, line in enumerate(lines):
        _write(heading, line, MARGIN, MARGIN + (index + 1) * step - 8, HEADING)
    return heading


def tile(picture: Image, above: str = "", below: str = "") -> Image:
    """A picture, its longer side TILE, with a line of text below, and one above if there is such; uint8 RGB."""
    scale = TILE / max(picture.shape[:2])
    size = [max(1, round(side * scale)) for side in picture.shape[1::-1]]
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    top = LINE if above else 0
    tile = _blank(top + small.shape[0] + LINE, small.shape[1])
    tile[top : top + small.shape[0]] = small
    _write(tile, _shortened(above, tile.shape[1]), 0, LINE - 5)
    _write(tile, _shortened(below, tile.shape[1]), 0, tile.shape[0] - 5)
    return tile


def _blank(height: int, width: int) -> Image:
    return np.full((height, width, 3), BACKGROUND, np.uint8)


def _colour_bars(explanations: Sequence[Explanation], height: int) -> Image:
    """One bar for maps in [0, 1], and one for signed maps, where there are such."""
    signed = {bool(one.heatmap.min() < 0) for one in explanations if one.colours is None}
    bars = [colour_bar(-1.0 if is_signed else 0.0, height) for is_signed in sorted(signed)]
    return np.hstack(bars) if bars else _blank(height, MARGIN)


def colour_bar(low: float, height: int) -> Image:
    """The colours of the values from `low` (0, or -1 of signed maps) to 1, uint8 [height, w, 3] RGB."""
    bar = _blank(height, BAR_WIDTH + BAR_LABELS)
    top = LINE + MARGIN
    bottom = min(height - MARGIN - LINE, top + MAX_BAR)
    heat = np.linspace(1, low, bottom - top, dtype=np.float32)[:, None]
    bar[top:bottom, :BAR_WIDTH] = colourise(np.repeat(heat, BAR_WIDTH, axis=1))
    for value in np.linspace(low, 1, 5):
        at = top + round((1 - value) / (1 - low) * (bottom - top))
        _write(bar, f"{value:g}", BAR_WIDTH + 4, at + 4)
    return bar


def _write(picture: npt.NDArray[np.uint8], text: str, left: int, baseline: int, scale: float = SCALE) -> None:
    cv2.putText(picture, _ascii(text), (left, baseline), FONT, scale, INK, 1, cv2.LINE_AA)


def _text_width(text: str, scale: float = SCALE) -> int:
    (width, _), _ = cv2.getTextSize(_ascii(text), FONT, scale, 1)
    return int(width)


def _shortened(text: str, width: int) -> str:
    """The text cut in its middle to what fits; names of layers differ at both ends."""
    short, keep = text, len(text)
    while keep > 4 and _text_width(short) > width:
        keep -= 1
        short = text[: keep - keep // 2] + ".." + text[len(text) - keep // 2 :]
    return short


def _ascii(text: str) -> str:
    """The text in what OpenCV's fonts have: accents dropped, the rest as question marks."""
    plain = [sign for sign in unicodedata.normalize("NFKD", text) if not unicodedata.combining(sign)]
    return "".join(plain).encode("ascii", "replace").decode()

"""A plain CSV: one object a line."""

from __future__ import annotations

import csv
import functools
from dataclasses import dataclass
from pathlib import Path

from ...graph_rewrites.errors import OnnxplainError, UsageError
from .annotation import AnnotatedImage, AnnotatedObject, Mask, Shape
from .dataset import Dataset, image_folder, read_text, require_images
from .voc import read_indices

REQUIRED, BOX, FURTHER = ("image", "label"), ("x0", "y0", "x1", "y1"), ("mask", "difficult")


@dataclass(frozen=True)
class MaskFile:
    """A grey PNG that is not zero where the object lies."""

    path: Path

    def __call__(self, shape: Shape) -> Mask:
        """The mask, of the PNG's own size.

        Raises:
            OnnxplainError: the PNG cannot be read.
        """
        return read_indices(self.path) > 0


def read_table(path: Path, images: Path | None = None, further: bool = False) -> Dataset:
    """Reads a CSV with the columns image and label, and as there are x0, y0, x1, y1, mask and difficult.

    Boxes are in pixels from 0, the end exclusive; a mask is a PNG that is not zero in the object; difficult is 0 or 1.
    Files are named from the folder of the images.

    Args:
        path: the file.
        images: the folder of the images; default: the file's own.
        further: whether other columns may be there too, which are then left alone.

    Raises:
        OnnxplainError: the file cannot be read.
        UsageError: it lacks columns, or has some that it may not, or no image is there.
    """
    reader = csv.DictReader(read_text(path).splitlines())
    columns = list(reader.fieldnames or ())
    missing = [name for name in REQUIRED if name not in columns]
    if missing or set(columns) & set(BOX) not in (set(), set(BOX)):
        lacking = missing or [name for name in BOX if name not in columns]
        raise UsageError(f"{path}: lacks the columns {lacking}; a CSV has {', '.join((*REQUIRED, *BOX, *FURTHER))}")
    unknown = sorted(set(columns) - {*REQUIRED, *BOX, *FURTHER})
    if unknown and not further:
        raise UsageError(f"{path}: unknown columns {unknown}; a CSV has {', '.join((*REQUIRED, *BOX, *FURTHER))}")
    folder = image_folder(images, path.parent)
    lines: dict[str, list[tuple[int, dict[str, str]]]] = {}
    for row in reader:
        lines.setdefault((row["image"] or "").strip(), []).append((reader.line_num, row))
    require_images(path, folder, (folder / name for name in lines))
    entries = {name: functools.partial(_annotated, path, folder, name, rows) for name, rows in lines.items()}
    classes = dict.fromkeys((row["label"] or "").strip() for rows in lines.values() for _, row in rows)
    return Dataset(path, "CSV", entries, tuple(classes))


def _annotated(source: Path, folder: Path, name: str, rows: list[tuple[int, dict[str, str]]]) -> AnnotatedImage:
    objects = []
    for number, row in rows:
        try:
            objects.append(_object(folder, row))
        except OnnxplainError as error:
            raise OnnxplainError(f"{source}, line {number}: {error}") from error
    return AnnotatedImage(folder / name, tuple(objects))


def _object(folder: Path, row: dict[str, str]) -> AnnotatedObject:
    label, sides = (row["label"] or "").strip(), [(row.get(side) or "").strip() for side in BOX]
    if not label:
        raise OnnxplainError("has no label; give the object's class")
    box = None
    if any(sides):
        try:
            x0, y0, x1, y1 = map(float, sides)
        except ValueError as error:
            raise OnnxplainError(f"the box {sides} is not four numbers; correct it") from error
        box = (x0, y0, x1, y1)
    mask = (row.get("mask") or "").strip()
    difficult = (row.get("difficult") or "0").strip()
    if difficult not in ("0", "1"):
        raise OnnxplainError(f"difficult is {difficult!r}; write 0 or 1")
    return AnnotatedObject(label, box, MaskFile(folder / mask) if mask else None, difficult == "1")

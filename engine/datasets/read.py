"""Reads a data set in whatever known format it is."""

from __future__ import annotations

from pathlib import Path

from ...graph_rewrites.errors import OnnxplainError, UsageError
from ..images.files import PathLike
from .coco import read_coco
from .dataset import Dataset, read_text
from .imagenet import COLUMNS, read_imagenet_csv, read_imagenet_xml
from .table import read_table
from .voc import read_voc


def read_dataset(path: PathLike, images: PathLike | None = None, further: bool = False) -> Dataset:
    """Reads a data set; its annotations and images are opened only as they are asked for.

    Args:
        path: COCO's JSON; a Pascal VOC folder, or a list in its ImageSets; a folder of ImageNet's XML files, or the
            localisation challenge's CSV; or a plain CSV with the columns image, label, x0, y0, x1, y1.
        images: the folder of the images; default: what the format has as its own, else that of the file.
        further: whether a plain CSV may have other columns too, such as those that `read_groups` reads.

    Raises:
        OnnxplainError: there is no such file, or it cannot be read.
        UsageError: a format that is not known, or a data set without images.
    """
    path, folder = Path(path), None if images is None else Path(images)
    if not path.exists():
        raise OnnxplainError(f"{path}: no such annotation file or folder; check the path")
    suffix = path.suffix.lower()
    if path.is_dir():
        if any((path / name).is_dir() for name in ("JPEGImages", "SegmentationClass")):
            return read_voc(path, folder)
        if any(path.rglob("*.xml")):
            return read_imagenet_xml(path, folder)
    elif suffix == ".json":
        return read_coco(path, folder)
    elif suffix == ".txt":
        return read_voc(path, folder)
    elif suffix == ".csv":
        first = read_text(path).partition("\n")[0].strip().split(",")
        return read_imagenet_csv(path, folder) if first == COLUMNS else read_table(path, folder, further)
    raise UsageError(
        f"{path}: not a data set that is known; give COCO's .json, a folder as VOC2012 or a list in its ImageSets, a"
        " folder of ImageNet's .xml, or a .csv"
    )

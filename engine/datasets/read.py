"""Reads a data set in whatever known format it is.

@reader("mine", lambda path: path.suffix == ".mine")
def read_mine(path: Path, images: Path | None, further: bool) -> Dataset:
...
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from ...graph_rewrites.errors import OnnxplainError, UsageError
from ..images.files import PathLike
from .coco import read_coco
from .dataset import Dataset, read_text
from .imagenet import COLUMNS, read_imagenet_csv, read_imagenet_xml
from .table import read_table
from .voc import read_voc

Recognise: TypeAlias = Callable[[Path], bool]
Read: TypeAlias = Callable[[Path, Path | None, bool], Dataset]


@dataclass(frozen=True)
class Reader:
    """One format: which files and folders are of it, and what reads them; see `read_dataset` for the arguments."""

    recognises: Recognise
    read: Read


READERS: dict[str, Reader] = {}


def reader(name: str, recognises: Recognise) -> Callable[[Read], Read]:
    """Registers the decorated function as the reader of a format.

    Args:
        name: of the format.
        recognises: whether an existing file or folder is of it. The formats registered last are asked first.

    Raises:
        ValueError: the format has a reader already.
    """

    def register(read: Read) -> Read:
        if name in READERS:
            raise ValueError(f"the data set format {name!r} has a reader already")
        READERS[name] = Reader(recognises, read)
        return read

    return register


def read_dataset(path: PathLike, images: PathLike | None = None, further: bool = False) -> Dataset:
    """Reads a data set; its annotations and images are opened only as they are asked for.

    Args:
        path: COCO's JSON; a Pascal VOC folder, or a list in its ImageSets; a folder of ImageNet's XML files, or the
            localisation challenge's CSV; a plain CSV with the columns image, label, x0, y0, x1, y1; or a format that a
            plug-in reads.
        images: the folder of the images; default: what the format has as its own, else that of the file.
        further: whether a plain CSV may have other columns too, such as those that `read_groups` reads.

    Raises:
        OnnxplainError: there is no such file, or it cannot be read.
        UsageError: a format that is not known, or a data set without images.
    """
    path, folder = Path(path), None if images is None else Path(images)
    if not path.exists():
        raise OnnxplainError(f"{path}: no such annotation file or folder; check the path")
    for known in reversed(READERS.values()):
        if known.recognises(path):
            return known.read(path, folder, further)
    raise UsageError(
        f"{path}: not a data set that is known; give COCO's .json, a folder as VOC2012 or a list in its ImageSets, a"
        " folder of ImageNet's .xml, or a .csv"
    )


def _is_file(suffix: str) -> Recognise:
    return lambda path: path.is_file() and path.suffix.lower() == suffix


def _is_voc(path: Path) -> bool:
    folders = ("JPEGImages", "SegmentationClass")
    return any((path / name).is_dir() for name in folders) if path.is_dir() else _is_file(".txt")(path)


@reader("plain CSV", _is_file(".csv"))
def _csv(path: Path, images: Path | None, further: bool) -> Dataset:
    first = read_text(path).partition("\n")[0].strip().split(",")
    return read_imagenet_csv(path, images) if first == COLUMNS else read_table(path, images, further)


@reader("COCO", _is_file(".json"))
def _coco(path: Path, images: Path | None, further: bool) -> Dataset:
    return read_coco(path, images)


@reader("ImageNet XML", lambda path: path.is_dir() and any(path.rglob("*.xml")))
def _imagenet(path: Path, images: Path | None, further: bool) -> Dataset:
    return read_imagenet_xml(path, images)


@reader("Pascal VOC", _is_voc)
def _voc(path: Path, images: Path | None, further: bool) -> Dataset:
    return read_voc(path, images)

"""ImageNet's bounding boxes: a folder of XML files, or the CSV of its localisation challenge."""

from __future__ import annotations

import csv
import functools
from pathlib import Path

from ...graph_rewrites.errors import OnnxplainError
from .annotation import AnnotatedImage, AnnotatedObject
from .dataset import Dataset, image_folder, read_text, require_images
from .voc import image_files
from .xml_objects import read_objects

COLUMNS = ["ImageId", "PredictionString"]


def read_imagenet_xml(path: Path, images: Path | None = None) -> Dataset:
    """Reads a folder of XML files, one an image, which has the same name.

    Boxes are taken as they are: ImageNet's reach from 0 to the image's width and height.

    Args:
        path: the folder; subfolders are read too.
        images: the folder of the images and their subfolders; default: the same folder.

    Raises:
        OnnxplainError: there is no such folder of images.
        UsageError: there is no XML file, or no image.
    """
    folder = image_folder(images, path)
    files = image_files(folder)
    sources = {file.stem: file for file in sorted(path.rglob("*.xml"))}
    found = {name: files.get(name, folder / f"{name}.JPEG") for name in sources}
    require_images(path, folder, iter(found.values()))
    entries = {name: functools.partial(_from_xml, source, found[name]) for name, source in sources.items()}
    return Dataset(path, "ImageNet", entries)


def read_imagenet_csv(path: Path, images: Path | None = None) -> Dataset:
    """Reads the CSV of the localisation challenge: ImageId, and "class x0 y0 x1 y1" of each object.

    Args:
        path: the file.
        images: the folder of the images and their subfolders; default: the file's own.

    Raises:
        OnnxplainError: the file cannot be read.
        UsageError: no image is there.
    """
    rows = list(csv.DictReader(read_text(path).splitlines()))
    folder = image_folder(images, path.parent)
    files = image_files(folder)
    found = {row["ImageId"]: files.get(row["ImageId"], folder / f"{row['ImageId']}.JPEG") for row in rows}
    require_images(path, folder, iter(found.values()))
    entries = {
        row["ImageId"]: functools.partial(_from_text, found[row["ImageId"]], row["PredictionString"] or "")
        for row in rows
    }
    return Dataset(path, "ImageNet", entries)


def _from_xml(source: Path, image: Path) -> AnnotatedImage:
    return AnnotatedImage(image, read_objects(source, offset=0))


def _from_text(image: Path, text: str) -> AnnotatedImage:
    words = text.split()
    if not words or len(words) % 5:
        raise OnnxplainError(f"{image}: {text!r} is not class x0 y0 x1 y1 of each object; correct it")
    objects = []
    for at in range(0, len(words), 5):
        try:
            x0, y0, x1, y1 = map(float, words[at + 1 : at + 5])
            objects.append(AnnotatedObject(words[at], (x0, y0, x1, y1)))
        except ValueError as error:
            raise OnnxplainError(f"{image}: {' '.join(words[at + 1 : at + 5])!r} is no box; correct it") from error
        except OnnxplainError as error:
            raise OnnxplainError(f"{image}: {error}") from error
    return AnnotatedImage(image, tuple(objects))

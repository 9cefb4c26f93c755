"""Pascal VOC: a folder with Annotations, JPEGImages, ImageSets, and SegmentationClass and SegmentationObject."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import PIL.Image

from ...graph_rewrites.errors import OnnxplainError, UsageError
from ..images.decode import open_picture
from ..images.files import IMAGE_SUFFIXES, read_bytes
from .annotation import AnnotatedImage, AnnotatedObject, Mask, Shape
from .dataset import Dataset, image_folder, read_text, require_images
from .xml_objects import read_objects

# In the order of their values in SegmentationClass, from 1 (VOC 2012 development kit, section 3.2).
CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog"),
    *("horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
VOID = 255  # the value of borders between objects
OFFSET = -1  # boxes count from 1 and include their ends


@dataclass(frozen=True)
class IndexMask:
    """The pixels of one value in a PNG of indices, coloured by VOC's palette or grey."""

    path: Path
    value: int

    def __call__(self, shape: Shape) -> Mask:
        """The mask, of the PNG's own size.

        Raises:
            OnnxplainError: the PNG cannot be read.
        """
        return np.asarray(read_indices(self.path) == self.value)


def read_voc(path: Path, images: Path | None = None) -> Dataset:
    """Reads a data set in the layout of Pascal VOC.

    Args:
        path: the folder (VOC2012), or a list of names in it (VOC2012/ImageSets/Main/val.txt).
        images: the folder of the images; default: JPEGImages.

    Objects have the boxes of Annotations, and the masks of SegmentationObject where there is one for the image; without
    Annotations, each class in SegmentationClass is one object.

    Raises:
        OnnxplainError: the list or a folder cannot be read.
        UsageError: there is no annotation, or no image.
    """
    root = path if path.is_dir() else path.parents[2] if len(path.parents) > 2 else path.parent
    boxes, classes = root / "Annotations", root / "SegmentationClass"
    source, suffix = (boxes, ".xml") if boxes.is_dir() else (classes, ".png")
    if not source.is_dir():
        raise UsageError(f"{path}: has neither Annotations nor SegmentationClass beside it; give a folder as VOC2012")
    if path.is_dir():
        names = sorted(file.stem for file in source.iterdir() if file.suffix.lower() == suffix)
    else:
        # Lists of one class end each line with whether it is in the image.
        names = [line.split()[0] for line in read_text(path).splitlines() if line.strip()]
    folder = image_folder(images, root / "JPEGImages")
    files = image_files(folder)
    entries = {
        name: functools.partial(_annotated, root, name, files.get(name, folder / f"{name}.jpg")) for name in names
    }
    require_images(path, folder, (files.get(name, folder / f"{name}.jpg") for name in names))
    return Dataset(path, "Pascal VOC", entries, None if boxes.is_dir() else CLASSES)


def image_files(folder: Path) -> dict[str, Path]:
    """The image files in a folder and its subfolders, by their names without suffix."""
    files = (file for file in sorted(folder.rglob("*")) if file.suffix.lower() in IMAGE_SUFFIXES)
    return {file.stem: file for file in files}


def read_indices(path: Path) -> npt.NDArray[np.uint8]:
    """The values in a PNG of indices, uint8 [H, W]: grey values, or colours by their place in VOC's palette.

    Raises:
        OnnxplainError: it cannot be read, or has colours that are not in the palette.
    """
    with open_picture(path, read_bytes(path)) as picture:
        picture.load()
        if picture.mode in ("1", "L", "LA"):
            return np.array(picture.convert("L"))
        if picture.mode not in ("P", "RGB", "RGBA"):
            raise OnnxplainError(f"{path}: no PNG of 8 bits; write the segmentation as one")
        colours = np.array(picture.convert("RGBA"), np.int32)[..., :3]
    codes = colours @ (65536, 256, 1)
    palette = _palette()
    order = np.argsort(palette)
    places = np.minimum(np.searchsorted(palette, codes, sorter=order), len(palette) - 1)
    if (palette[order[places]] != codes).any():
        raise OnnxplainError(f"{path}: has colours that are not in Pascal VOC's palette; write it with that, or grey")
    return np.asarray(order[places], np.uint8)


def encode_indices(values: npt.NDArray[np.uint8]) -> bytes:
    """A PNG of the values, uint8 [H, W], coloured by VOC's palette."""
    codes = _palette()
    picture = PIL.Image.fromarray(values)
    picture.putpalette(np.stack([codes >> 16, codes >> 8, codes], axis=-1).astype(np.uint8).tobytes())
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


@functools.cache
def _palette() -> npt.NDArray[np.int32]:
    """The colour of each index as red * 65536 + green * 256 + blue.

    Each three bits of the index, from the lowest on, give a bit of red, green and blue, from the highest on (VOC 2012
    development kit, VOClabelcolormap.m).
    """
    colours = np.zeros(256, np.int32)
    for index in range(256):
        for place in range(3):
            for channel in range(3):
                bit = index >> (3 * place + channel) & 1
                colours[index] |= bit << (8 * (2 - channel) + 7 - place)
    return colours


def _annotated(root: Path, name: str, image: Path) -> AnnotatedImage:
    boxes, objects = root / "Annotations" / f"{name}.xml", root / "SegmentationObject" / f"{name}.png"
    if not boxes.parent.is_dir():
        return AnnotatedImage(image, tuple(_classes(root / "SegmentationClass" / f"{name}.png")))
    # Objects have the values 1, 2 ... in the order of the XML (VOC 2012 development kit, section 3.2).
    mask_of: Callable[[int], Callable[[Shape], Mask] | None] = (
        (lambda place: IndexMask(objects, place + 1)) if objects.is_file() else (lambda place: None)
    )
    return AnnotatedImage(image, read_objects(boxes, OFFSET, mask_of))


def _classes(path: Path) -> Iterable[AnnotatedObject]:
    """One object for each class in a SegmentationClass."""
    for value in np.unique(read_indices(path)):
        if value in (0, VOID):
            continue
        if value > len(CLASSES):
            raise OnnxplainError(f"{path}: has the value {value}; VOC's classes are 1 to {len(CLASSES)}")
        yield AnnotatedObject(CLASSES[value - 1], mask=IndexMask(path, int(value)))

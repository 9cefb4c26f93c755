"""COCO's JSON: boxes, and masks as polygons or run lengths."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from ...graph_rewrites.errors import OnnxplainError
from .annotation import AnnotatedImage, AnnotatedObject, Mask, Shape
from .dataset import Dataset, image_folder, read_text, require_images


@dataclass(frozen=True)
class Segmentation:
    """What COCO writes as an object's segmentation: polygons [[x, y, x, y ...] ...], or run lengths by column."""

    given: Any

    def __call__(self, shape: Shape) -> Mask:
        """The mask, rasterised as COCO's own evaluation does it.

        Raises:
            OnnxplainError: it is neither.
        """
        try:
            encoded = self.given
            if isinstance(encoded, list):
                encoded = coco_mask.merge(coco_mask.frPyObjects(encoded, *shape))
            elif isinstance(encoded["counts"], list):
                encoded = coco_mask.frPyObjects(encoded, *encoded["size"])
            return np.asarray(coco_mask.decode(encoded), np.bool_)
        except Exception as error:  # pycocotools raises what comes, Exception itself among them
            raise OnnxplainError(f"a segmentation is neither polygons nor run lengths ({error})") from error


def read_coco(path: Path, images: Path | None = None) -> Dataset:
    """Reads a data set in COCO's format (https://cocodataset.org/#format-data, object detection).

    Args:
        path: the JSON file.
        images: the folder of the images; default: the file's own.

    Raises:
        OnnxplainError: the file cannot be read, or is no such JSON.
        UsageError: no image is there.
    """
    text = read_text(path)
    try:
        data = json.loads(text)
        names = {category["id"]: str(category["name"]) for category in data["categories"]}
        files = {image["id"]: str(image["file_name"]) for image in data["images"]}
        found: dict[Any, list[dict[str, Any]]] = {image: [] for image in files}
        for annotation in data["annotations"]:
            found[annotation["image_id"]].append(annotation)
        used = {annotation["category_id"] for annotation in data["annotations"]}
        classes = tuple(names[category] for category in names if category in used)
        if unknown := used - names.keys():
            raise KeyError(f"category {sorted(unknown)[0]}")
    except json.JSONDecodeError as error:
        raise OnnxplainError(f"{path}: not valid JSON ({error})") from error
    except (KeyError, TypeError) as error:
        raise OnnxplainError(
            f"{path}: not in COCO's format (missing: {error}); it has images, annotations and categories"
        ) from error
    folder = image_folder(images, path.parent)
    require_images(path, folder, (folder / name for name in files.values()))
    entries = {name: functools.partial(_annotated, folder / name, found[image], names) for image, name in files.items()}
    return Dataset(path, "COCO", entries, classes)


def _annotated(path: Path, annotations: list[dict[str, Any]], names: Mapping[Any, str]) -> AnnotatedImage:
    try:
        return AnnotatedImage(path, tuple(_object(one, names[one["category_id"]]) for one in annotations))
    except OnnxplainError as error:
        raise OnnxplainError(f"{path}: {error}") from error


def _object(annotation: dict[str, Any], label: str) -> AnnotatedObject:
    segmentation = annotation.get("segmentation")
    box = annotation.get("bbox")
    if box is not None:
        try:
            x, y, width, height = map(float, box)
        except (TypeError, ValueError) as error:
            raise OnnxplainError(f"the box {box!r} of {label!r} is not [x, y, width, height]; correct it") from error
        box = (x, y, x + width, y + height)
    return AnnotatedObject(
        label,
        box=box,
        mask=Segmentation(segmentation) if segmentation else None,
        difficult=bool(annotation.get("iscrowd", 0)),
    )

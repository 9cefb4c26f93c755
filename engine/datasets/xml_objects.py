"""The XML in which Pascal VOC and ImageNet annotate an image."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

from ...graph_rewrites.errors import OnnxplainError
from .annotation import AnnotatedObject, Mask, Shape
from .dataset import read_text

MaskOf = Callable[[int], Callable[[Shape], Mask] | None]  # of the object in that place


def read_objects(path: Path, offset: float, mask_of: MaskOf = lambda place: None) -> tuple[AnnotatedObject, ...]:
    """The objects that an XML file lists.

    Args:
        path: the file.
        offset: what is added to xmin and ymin, so that boxes count from 0 and end exclusively.
        mask_of: the mask of the object in a place.

    Raises:
        OnnxplainError: the file cannot be read, is not XML, or an object lacks its name or box.
    """
    text = read_text(path)
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise OnnxplainError(f"{path}: not valid XML ({error}); copy it again") from error
    try:
        return tuple(_object(one, offset, mask_of(place)) for place, one in enumerate(root.findall("object")))
    except OnnxplainError as error:
        raise OnnxplainError(f"{path}: {error}") from error


def _object(element: ElementTree.Element, offset: float, mask: Callable[[Shape], Mask] | None) -> AnnotatedObject:
    label = (element.findtext("name") or "").strip()
    if not label:
        raise OnnxplainError("an object has no name; give its class")
    texts = [element.findtext(f"bndbox/{side}") for side in ("xmin", "ymin", "xmax", "ymax")]
    try:
        x0, y0, x1, y1 = (float(text or "") for text in texts)
    except ValueError as error:
        raise OnnxplainError(f"the bndbox of {label!r} is not four numbers; correct it") from error
    difficult = (element.findtext("difficult") or "0").strip() == "1"
    return AnnotatedObject(label, (x0 + offset, y0 + offset, x1, y1), mask, difficult)

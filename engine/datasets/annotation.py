"""What is known of an image: the objects in it, each with its class and where it lies."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ...graph_rewrites.errors import OnnxplainError

Box: TypeAlias = tuple[float, float, float, float]  # x0, y0, x1, y1 in pixels, the end exclusive
Mask: TypeAlias = npt.NDArray[np.bool_]
Shape: TypeAlias = tuple[int, int]  # height and width in pixels


@dataclass(frozen=True)
class AnnotatedObject:
    """One object in an image.

    Attributes:
        label: its class, as the data set calls it.
        box: x0, y0, x1, y1 in pixels of the image, the end exclusive; None where there is no box.
        mask: bool [H, W], or what makes it of the image's height and width; None where there is no mask.
        difficult: marked as one that nobody is asked to find: VOC's difficult objects, COCO's crowds.

    Raises:
        OnnxplainError: the box is empty.
    """

    label: str
    box: Box | None = None
    mask: Callable[[Shape], Mask] | Mask | None = None
    difficult: bool = False

    def __post_init__(self) -> None:
        if self.box is not None:
            x0, y0, x1, y1 = self.box
            if not (x0 < x1 and y0 < y1 and all(map(math.isfinite, self.box))):
                raise OnnxplainError(f"the box {list(self.box)} of {self.label!r} is empty; correct or remove it")

    @property
    def has_place(self) -> bool:
        """Whether it is known where the object lies."""
        return self.box is not None or self.mask is not None

    def region(self, shape: Shape) -> Mask:
        """Where the object lies, bool [H, W]: its mask, or else all pixels that its box touches.

        Raises:
            OnnxplainError: it has neither, or lies outside the image, or the mask has another size.
        """
        if self.mask is not None:
            mask = self.mask(shape) if callable(self.mask) else self.mask
            if mask.shape != shape:
                raise OnnxplainError(
                    f"the mask of {self.label!r} has {mask.shape[0]} x {mask.shape[1]} pixels, the image {shape[0]} x"
                    f" {shape[1]}; take the image that was annotated"
                )
            mask = mask.astype(np.bool_)
        else:
            mask = np.zeros(shape, np.bool_)
            x0, y0, x1, y1 = self.box or (0, 0, 0, 0)
            mask[max(0, math.floor(y0)) : max(0, math.ceil(y1)), max(0, math.floor(x0)) : max(0, math.ceil(x1))] = True
        if not mask.any():
            where = "has neither box nor mask" if not self.has_place else "has no pixel in the image"
            raise OnnxplainError(f"the object {self.label!r} {where}; correct its annotation")
        return mask

    def extent(self, shape: Shape) -> Box:
        """Its box within the image, or the one round its mask.

        Raises:
            OnnxplainError: as `region`.
        """
        if self.box is None:
            return bounding_box(self.region(shape))
        x0, y0, x1, y1 = self.box
        within = max(0.0, x0), max(0.0, y0), min(float(shape[1]), x1), min(float(shape[0]), y1)
        if not (within[0] < within[2] and within[1] < within[3]):
            raise OnnxplainError(f"the box {list(self.box)} of {self.label!r} lies outside the image; correct it")
        return within


@dataclass(frozen=True)
class AnnotatedImage:
    """An image file and the objects in it."""

    path: Path
    objects: tuple[AnnotatedObject, ...]

    @property
    def labels(self) -> list[str]:
        """The classes that one is asked to find: those with an object that is not marked as difficult."""
        return list(dict.fromkeys(one.label for one in self.objects if not one.difficult))

    def of(self, label: str) -> list[AnnotatedObject]:
        """The objects of a class whose place is known, difficult ones too."""
        return [one for one in self.objects if one.label == label and one.has_place]

    def region(self, label: str, shape: Shape) -> Mask:
        """Where all objects of a class lie, bool [H, W]; nowhere, if no place is known.

        Raises:
            OnnxplainError: as `AnnotatedObject.region`.
        """
        regions = [one.region(shape) for one in self.of(label)]
        return np.any(regions, axis=0) if regions else np.zeros(shape, np.bool_)


def bounding_box(mask: Mask) -> Box:
    """The box round the pixels of a mask, which must have some."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)

"""Seeded pictures of coloured shapes on textured backgrounds, of which it is known what is where.

    scene(np.random.default_rng(0))         a picture of 1 to 4 objects that do not overlap

Every attribute of an object is drawn uniformly and independently of the others. Objects of one size cover the same
area, whatever their shape, and each pair stands clearly above each other or side by side: `relation` is never in doubt.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
Image = npt.NDArray[np.uint8]

COLOURS = {
    "red": (215, 40, 40),
    "green": (45, 165, 60),
    "blue": (45, 75, 215),
    "yellow": (245, 215, 45),
    "purple": (150, 50, 175),
    "cyan": (55, 205, 220),
}
# Radii, as parts of the image's side, of the circle that covers as much as the object.
SIZES = {"small": (0.065, 0.075), "large": (0.105, 0.12)}
# Corners [x, y], y downwards, to be scaled to the area of the unit circle.
_CORNERS = {
    "circle": [(math.cos(t), math.sin(t)) for t in np.linspace(0, 2 * math.pi, 64, endpoint=False)],
    "square": [(-1, -1), (1, -1), (1, 1), (-1, 1)],
    "triangle": [(math.sin(t), -math.cos(t)) for t in (0, 2 * math.pi / 3, 4 * math.pi / 3)],
    "cross": [
        (-3, -1),
        (-1, -1),
        (-1, -3),
        (1, -3),
        (1, -1),
        (3, -1),
        (3, 1),
        (1, 1),
        (1, 3),
        (-1, 3),
        (-1, 1),
        (-3, 1),
    ],
}
OUTLINES = {
    shape: np.array(corners) * math.sqrt(math.pi / cv2.contourArea(np.array(corners, np.float32)))
    for shape, corners in _CORNERS.items()
}
SHAPES = tuple(OUTLINES)
RELATIONS = ("above", "below", "left of", "right of")
MOST_OBJECTS = 4

_EXTENTS = {shape: float(np.hypot(*outline.T).max()) for shape, outline in OUTLINES.items()}
_GAP = 0.02  # between two objects, and between an object and the image's edge; as a part of the side
_CLEARLY = 0.08  # by how much the distance along one axis exceeds that along the other; as a part of the side
_TILT = math.radians(12)
_TRIES = 30
_SUBPIXELS = 8  # per side of a pixel: coverage is counted in 64ths
_NOISE = 5.0  # standard deviation, in grey levels


@dataclass(frozen=True)
class SceneObject:
    """One coloured shape.

    Attributes:
        shape: one of SHAPES.
        colour: one of COLOURS.
        size: one of SIZES.
        x, y: the centre, as parts of the image's side, from the left and from the top.
        radius: of the circle that covers the same area, as a part of the image's side.
        angle: by which it is turned, in radians, clockwise.
    """

    shape: str
    colour: str
    size: str
    x: float
    y: float
    radius: float
    angle: float

    @property
    def extent(self) -> float:
        """The distance of the farthest corner from the centre, as a part of the image's side."""
        return self.radius * _EXTENTS[self.shape]


@dataclass(frozen=True, eq=False)
class Scene:
    """A picture and what it shows.

    Attributes:
        image: uint8 [H, W, 3], RGB.
        objects: what it shows, in no particular order.
        masks: bool [objects, H, W], the pixels that are covered by at least half.
    """

    image: Image
    objects: tuple[SceneObject, ...]
    masks: Mask

    def mask(self, objects: Iterable[SceneObject]) -> Mask | None:
        """The pixels of any of these objects, bool [H, W]; None for no objects."""
        chosen = [self.objects.index(each) for each in objects]
        return np.logical_or.reduce(self.masks[chosen]) if chosen else None


def scene(rng: np.random.Generator, size: int = 96) -> Scene:
    """A random scene of `size` x `size` pixels; the same generator state gives the same scene."""
    return render(layout(rng), rng, size)


def layout(rng: np.random.Generator) -> tuple[SceneObject, ...]:
    """1 to 4 objects, placed apart from each other; their number is drawn uniformly too."""
    colours, sizes = tuple(COLOURS), tuple(SIZES)
    count = rng.integers(1, MOST_OBJECTS + 1)
    drawn = rng.integers([len(SHAPES), len(colours), len(sizes)], size=(count, 3)).tolist()
    kinds = [(SHAPES[shape], colours[colour], sizes[size]) for shape, colour, size in drawn]
    while True:
        placed: list[SceneObject] = []
        for kind in kinds:
            found = _place(rng, *kind, placed)
            if found is None:
                break
            placed.append(found)
        else:
            return tuple(placed)


def relation(subject: SceneObject, other: SceneObject) -> str:
    """Where `subject` is, seen from `other`: one of RELATIONS, along the axis on which they are farther apart."""
    dx, dy = subject.x - other.x, subject.y - other.y
    if abs(dy) > abs(dx):
        return "above" if dy < 0 else "below"
    return "left of" if dx < 0 else "right of"


def render(objects: Sequence[SceneObject], rng: np.random.Generator, size: int = 96) -> Scene:
    """Draws objects, antialiased, over a background that `rng` chooses; sensor noise lies over all of it.

    The objects must lie inside the image.
    """
    canvas = _background(rng, size)
    masks = np.zeros((len(objects), size, size), np.bool_)
    for index, each in enumerate(objects):
        coverage = _coverage(each, size)
        masks[index] = coverage >= 0.5
        canvas += coverage[..., None] * (np.array(COLOURS[each.colour], np.float32) - canvas)
    canvas += _NOISE * rng.standard_normal(canvas.shape, np.float32)
    return Scene(np.rint(canvas.clip(0, 255)).astype(np.uint8), tuple(objects), masks)


def _place(
    rng: np.random.Generator, shape: str, colour: str, size: str, others: Sequence[SceneObject]
) -> SceneObject | None:
    radius, angle = float(rng.uniform(*SIZES[size])), float(rng.uniform(-_TILT, _TILT))
    border = radius * _EXTENTS[shape] + _GAP
    for x, y in rng.uniform(border, 1 - border, (_TRIES, 2)).tolist():
        found = SceneObject(shape, colour, size, x, y, radius, angle)
        if all(_are_apart(found, other) for other in others):
            return found
    return None


def _are_apart(one: SceneObject, other: SceneObject) -> bool:
    dx, dy = abs(one.x - other.x), abs(one.y - other.y)
    return math.hypot(dx, dy) >= one.extent + other.extent + _GAP and abs(dx - dy) >= _CLEARLY


def _coverage(each: SceneObject, size: int) -> npt.NDArray[np.float32]:
    """How much of each pixel the object covers, float32 [size, size] in 0..1."""
    left, top = (int((centre - each.extent) * size) for centre in (each.x, each.y))
    side = int(2 * each.extent * size) + 2
    turn = np.array([[math.cos(each.angle), math.sin(each.angle)], [-math.sin(each.angle), math.cos(each.angle)]])
    corners = (OUTLINES[each.shape] * each.radius @ turn + (each.x, each.y)) * size - (left, top)
    fine = np.zeros((side * _SUBPIXELS,) * 2, np.uint8)
    cv2.fillPoly(fine, [np.rint(corners * _SUBPIXELS - 0.5).astype(np.int32)], 255)
    coverage = np.zeros((size, size), np.float32)
    patch = coverage[top : top + side, left : left + side]
    patch[:] = cv2.resize(fine, (side, side), interpolation=cv2.INTER_AREA)[: len(patch), : patch.shape[1]] / 255
    return coverage


def _background(rng: np.random.Generator, size: int) -> npt.NDArray[np.float32]:
    """Clouds, a gradient or stripes between two greyish colours, float32 [size, size, 3] in 0..255."""
    first, second = (rng.uniform(60, 190, (2, 1)) + rng.uniform(-12, 12, (2, 3))).astype(np.float32)
    kind, angle = rng.integers(3), rng.uniform(0, 2 * math.pi)
    place = np.arange(size, dtype=np.float32) / size - 0.5
    along = place * math.cos(angle) + place[:, None] * math.sin(angle)
    if kind == 0:
        cells = int(rng.integers(4, 13))
        mix = cv2.resize(rng.random((cells, cells), np.float32), (size, size), interpolation=cv2.INTER_LINEAR)
    elif kind == 1:
        mix = 0.5 + along / math.sqrt(2)
    else:
        mix = 0.5 + 0.5 * np.sin(2 * math.pi * rng.uniform(3, 10) * along + rng.uniform(0, 2 * math.pi))
    return np.asarray(first + mix[..., None] * (second - first), np.float32)

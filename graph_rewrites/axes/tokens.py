"""Where the tokens of an axis lie on the grid of an input, by the axis' label."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from ..graph.tensors import Tensor
from .labels import Digit, Fold, Label, Part, Source, parts_of


@dataclass(frozen=True)
class Tokens:
    """Tokens that fill a grid.

    Attributes:
        sizes: of the grid, along the image's axes in order.
        order: the index of each position's token, row by row.
        count: how many tokens the axis has, those beside the grid among them.
        axes: the grids over the image's axes.
    """

    sizes: tuple[int, ...]
    order: tuple[int, ...]
    count: int
    axes: tuple[Source, ...]

    @property
    def is_raster(self) -> bool:
        """Whether the tokens at the end of the axis are the grid's, row by row."""
        return list(self.order) == list(range(self.count - len(self.order), self.count))


def traced_tokens(label: Label, image: Tensor) -> Tokens | None:
    """The tokens of an axis, where it goes once through every position of a grid over the image; else None."""
    parts = parts_of(label, _size(label))
    if parts is None or any(not isinstance(part.size, int) for part in parts):
        return None
    parts = _coarsened(parts)
    axes = _grid_axes(parts, image)
    if axes is None or len(axes) < 2:
        return None
    sizes = tuple(int(axis.size) for axis in axes)  # type: ignore[arg-type]
    places = np.full(sizes, -1)
    at = 0
    for part in parts:
        for index in _indices(part, axes) if part.fold else ():
            if places[tuple(index)] >= 0:
                return None  # a position that two tokens stand for
            places[tuple(index)] = at + index.token
        at += int(part.size)  # type: ignore[arg-type]
    return None if (places < 0).any() else Tokens(sizes, tuple(places.ravel().tolist()), at, tuple(axes))


def raster_at_the_end(label: Label, image: Tensor) -> tuple[Source, ...] | None:
    """The grids over the image's axes whose positions, row by row, are the last tokens, of any number; else None."""
    parts = parts_of(label, None)
    if not parts or any(digit.source.image is not None for part in parts[:-1] for digit in part.fold):
        return None
    last = parts[-1]
    grids = [digit.source if digit.is_whole else None for digit in last.fold]
    places = [source.image for source in grids if source is not None and source.image is not None]
    if last.start != 0 or len(places) < max(len(grids), 2) or any(place[0] != image.name for place in places):
        return None
    is_ascending = places == sorted(set(places))
    return tuple(source for source in grids if source is not None) if is_ascending else None


class _Index(tuple[int, ...]):
    """The place of a token on the grid; `token` is its index within its part."""

    token: int


def _coarsened(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """The parts on the grids that they step along: of patches of 2 x 2, on every second row and column."""
    digits = [digit for part in parts for digit in part.fold]
    units = {digit.source: math.gcd(*(d.stride for d in digits if d.source == digit.source)) for digit in digits}

    def coarse(digit: Digit) -> Digit:
        source, unit = digit.source, units[digit.source]
        if unit == 1 or not isinstance(source.size, int) or source.size % unit:
            return digit
        offset = source.offset + source.scale * (unit - 1) / 2
        grid = replace(source, size=source.size // unit, scale=source.scale * unit, offset=offset)
        return Digit(grid, digit.stride // unit, digit.size)

    return tuple(Part(tuple(map(coarse, part.fold)), part.start, part.size) for part in parts)


def _size(label: Label) -> int | None:
    if not isinstance(label, tuple) or any(not isinstance(digit.size, int) for digit in label):
        return None
    return int(np.prod([digit.size for digit in label], dtype=np.int64))  # type: ignore[arg-type]


def _grid_axes(parts: tuple[Part, ...], image: Tensor) -> list[Source] | None:
    """The sources that the tokens go through, in the order of the image's axes; None if they are no grid over it."""
    found: dict[tuple[str, int], Source] = {}
    for digit in (digit for part in parts for digit in part.fold):
        place = digit.source.image
        if place is None or place[0] != image.name or not isinstance(digit.source.size, int):
            return None
        if found.setdefault(place, digit.source) != digit.source:
            return None
    return [found[place] for place in sorted(found)]


def _indices(part: Part, axes: list[Source]) -> list[_Index]:
    """The places of a part's tokens, in order."""
    sizes = [int(digit.size) for digit in part.fold]  # type: ignore[arg-type]
    steps = np.unravel_index(np.arange(part.start, part.start + int(part.size)), sizes)  # type: ignore[arg-type]
    places = [_along(part.fold, steps, axis) for axis in axes]
    found = []
    for token, place in enumerate(zip(*places, strict=True)):
        index = _Index(map(int, place))
        index.token = token
        found.append(index)
    return found


def _along(fold: Fold, steps: tuple[np.ndarray, ...], axis: Source) -> np.ndarray:
    """The positions along one axis, by the steps of all digits."""
    own: list[tuple[Digit, np.ndarray]] = [pair for pair in zip(fold, steps, strict=True) if pair[0].source == axis]
    return np.sum([digit.stride * step for digit, step in own], axis=0) if own else np.zeros_like(steps[0])

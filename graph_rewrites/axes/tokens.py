"""Where the tokens of an axis lie on the grid of an input, by the axis' label."""

from __future__ import annotations

from dataclasses import dataclass

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
    """

    sizes: tuple[int, ...]
    order: tuple[int, ...]
    count: int

    @property
    def is_raster(self) -> bool:
        """Whether the tokens at the end of the axis are the grid's, row by row."""
        return list(self.order) == list(range(self.count - len(self.order), self.count))


def traced_tokens(label: Label, image: Tensor) -> Tokens | None:
    """The tokens of an axis, where it goes once through every position of a grid over the image; else None."""
    parts = parts_of(label, _size(label))
    if parts is None or any(not isinstance(part.size, int) for part in parts):
        return None
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
    return None if (places < 0).any() else Tokens(sizes, tuple(places.ravel().tolist()), at)


def may_be_raster(label: Label) -> bool:
    """Whether the tokens may be in the order of rows: nothing is known of them, or rows go before columns."""
    parts = parts_of(label, None)
    if parts is None:
        return True
    images = [digit.source.image for part in parts for digit in part.fold]
    known = [image for image in images if image is not None]
    return known == sorted(known) and len(known) == len(set(known))


class _Index(tuple[int, ...]):
    """The place of a token on the grid; `token` is its index within its part."""

    token: int


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

"""Labels of axes: which axis of an input or a layer an axis is, or how several are folded into it.

The positions of an axis count through its digits, the first of them slowest. Each digit steps along one source: a fold
of rows and columns into tokens has the digits (row, column); the same fold in windows of 2 x 2 has (outer row, outer
column, inner row, inner column), of which the outer ones have stride 2. So reshapes and transposes only move digits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

Size: TypeAlias = int | str | None


@dataclass(frozen=True)
class Source:
    """An axis that an input has, or that an operator makes.

    Attributes:
        tensor: the tensor's name.
        axis: the index of the axis in it.
        size: its length.
        image: the input and axis of which this one is a coarser or shifted grid, or the axis itself; else None.
        scale: the distance of two positions, in positions of `image`; negative where it is mirrored.
        offset: where position 0 lies, in positions of `image`.
        is_cut: whether positions of `image` were cut off, added or mirrored on the way, beside what windows do.
        view: the pieces that this axis is, so that it can be folded and split as a whole, or joined again; else None.
    """

    tensor: str
    axis: int
    size: Size
    image: tuple[str, int] | None = None
    scale: float = 1.0
    offset: float = 0.0
    is_cut: bool = False
    view: Pieces | None = None

    @property
    def is_made(self) -> bool:
        """Whether an operator made the axis anew, as a convolution makes channels."""
        return self.image is None and self.view is None


@dataclass(frozen=True)
class Digit:
    """Steps along a source: `size` positions, `stride` apart."""

    source: Source
    stride: int
    size: Size

    @property
    def is_whole(self) -> bool:
        """Whether it visits every position of its source, in order."""
        return self.stride == 1 and self.size == self.source.size


Fold: TypeAlias = tuple[Digit, ...]  # empty: of no source, the same at every position or of length 1


@dataclass(frozen=True)
class Part:
    """A run of positions of a fold: `size` of them from `start`."""

    fold: Fold
    start: int
    size: Size


@dataclass(frozen=True)
class Pieces:
    """An axis put together from parts, as tokens are from a class token and patches."""

    parts: tuple[Part, ...]


Label: TypeAlias = Fold | Pieces | None  # None: unknown


def whole(source: Source) -> Fold:
    """The label of an axis that is a source."""
    return (Digit(source, 1, source.size),)


def only_source(label: Label) -> Source | None:
    """The source that the axis is, whole and in order; None where it is anything else."""
    if isinstance(label, tuple) and len(label) == 1 and label[0].is_whole:
        return label[0].source
    return None


def grid_source(label: Label) -> Source | None:
    """The grid over an input's axis that the axis is: a source, or every nth position of one, for those in between.

    So are the rows that a space-to-depth leaves, whose blocks are channels then.
    """
    source = only_source(label)
    if source is not None or not isinstance(label, tuple) or len(label) != 1:
        return source if source is None or source.image is not None else None
    (digit,) = label
    if digit.source.image is None or not isinstance(digit.size, int) or not isinstance(digit.source.size, int):
        return None
    if digit.size * digit.stride != digit.source.size:
        return None
    source = digit.source
    offset = source.offset + source.scale * (digit.stride - 1) / 2
    return replace(source, size=digit.size, scale=source.scale * digit.stride, offset=offset)


def images_of(label: Label) -> list[str]:
    """The inputs whose axes an axis goes through."""
    parts = parts_of(label, None) or ()
    return [digit.source.image[0] for part in parts for digit in part.fold if digit.source.image is not None]


def length(fold: Fold) -> int | None:
    """The number of positions; None where it is not known."""
    sizes = [digit.size for digit in fold]
    return math.prod(sizes) if all(isinstance(size, int) for size in sizes) else None  # type: ignore[arg-type]


TIMES = " x "  # between the symbols and the number of a size that is a product


def multiplied(sizes: Sequence[Size]) -> Size:
    """The product of sizes: a number, or open symbols and a number in one order, as text; None where one is unknown."""
    number, symbols = 1, list[str]()
    for size in sizes:
        for factor in [size] if isinstance(size, int) else str(size).split(TIMES):
            if str(factor) == "None":
                return None
            if str(factor).isdigit():
                number *= int(factor)
            else:
                symbols.append(str(factor))
    return TIMES.join([*sorted(symbols), *([str(number)] if number != 1 else [])]) if symbols else number


def parts_of(label: Label, size: Size) -> tuple[Part, ...] | None:
    """The axis as parts; None where it is unknown."""
    if label is None:
        return None
    return label.parts if isinstance(label, Pieces) else (Part(label, 0, size),)


def joined(parts: Sequence[Part]) -> Label:
    """The axis that the parts make, one after the other; runs that go on are one, and cuts joined again are whole."""
    uncut = [each for part in parts for each in _uncut(part)]
    if uncut != list(parts):
        whole_again = joined(uncut)
        if isinstance(whole_again, tuple):
            return whole_again
    runs: list[Part] = []
    for part in parts:
        last = runs[-1] if runs else None
        goes_on = last is not None and last.fold == part.fold and part.fold and isinstance(last.size, int)
        if goes_on and last is not None and isinstance(last.size, int) and part.start == last.start + last.size:
            size = last.size + part.size if isinstance(part.size, int) else None
            runs[-1] = Part(part.fold, last.start, size)
        else:
            runs.append(part)
    if len(runs) == 1 and runs[0].start == 0 and runs[0].size in (length(runs[0].fold), _symbol(runs[0].fold)):
        return plain(runs[0].fold)
    return Pieces(tuple(runs))


def plain(fold: Fold) -> Label:
    """The fold; the pieces that it is where it goes through all of a view of some."""
    source = only_source(fold)
    return fold if source is None or source.view is None or source.image is not None else source.view


def _uncut(part: Part) -> tuple[Part, ...]:
    """The part as one of what it was cut from, where it is all of a cut."""
    source = only_source(part.fold)
    is_all = source is not None and part.start == 0 and part.size == source.size
    return source.view.parts if is_all and source is not None and source.view is not None else (part,)


def _symbol(fold: Fold) -> Size:
    """The size of a fold of one digit, which may be open."""
    return fold[0].size if len(fold) == 1 else None


def cut(label: Label, size: Size, start: int, stop: int) -> Label:
    """The positions from `start` to before `stop`, both not negative."""
    parts = parts_of(label, size)
    if parts is None:
        return None
    taken, at = [], 0
    for part in parts:
        if not isinstance(part.size, int):
            return None
        first, last = max(start, at), min(stop, at + part.size)
        if first < last:
            taken.append(Part(part.fold, part.start + first - at, last - first))
        at += part.size
    return joined(taken) if taken else ()


def merged(a: Label, b: Label) -> Label:
    """The label of an axis that two tensors share element by element; what is of no source takes the other's."""
    if a == b or b == ():
        return a
    if a == ():
        return b
    if a is None or b is None:
        return None
    one, other = only_source(a), only_source(b)
    for made, label in ((one, b), (other, a)):  # what an operator made anew lies where it is added to
        if made is not None and made.is_made:
            return label
    if one is None or other is None:
        return a if isinstance(a, tuple) and isinstance(b, tuple) and _same_images(a, b) else None
    if one.image == other.image:
        return overlaid([one, other])
    return None if one.image is None or other.image is None or one.image[0] == other.image[0] else a


def overlaid(sources: Sequence[Source]) -> Label:
    """The grid of several over one axis that lie in the same place, but for less than a cell; None of others.

    So lie the branches of a network, and the parts of an image of which each takes every second row.
    """
    first = sources[0]
    offsets = [source.offset for source in sources]
    alike = all(source.image == first.image and source.scale == first.scale for source in sources)
    if not alike or not max(offsets) - min(offsets) < abs(first.scale):
        return None
    is_cut = any(source.is_cut for source in sources)
    return whole(replace(first, offset=sum(offsets) / len(offsets), is_cut=is_cut))


def _same_images(a: Fold, b: Fold) -> bool:
    """Whether two folds go through the same axes of an input in the same way."""
    return [(d.source.image, d.stride, d.size) for d in a] == [(d.source.image, d.stride, d.size) for d in b]

"""Reshapes: digits are regrouped into other axes, and split where a new axis ends inside one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .labels import Digit, Label, Pieces, Size, Source, multiplied, parts_of, plain, whole

Item = tuple[Label, Size]  # a single digit, or an axis that cannot be taken apart, with its size


def reshaped(labels: Sequence[Label], before: Sequence[Size], after: Sequence[Size]) -> list[Label]:
    """The labels of the axes after a reshape from sizes to others.

    Sizes are matched from both ends; an axis between, of a size that is not known, holds what is left. Where several
    such remain, they are unknown.
    """
    items: list[Item] = [item for label, size in zip(labels, before, strict=True) for item in _items(label, size)]
    left = _matched(items, list(after), from_left=True)
    right = _matched(items, list(after)[len(left) :], from_left=False)
    rest = len(after) - len(left) - len(right)
    middle = [_fold(items)] if rest == 1 else [None] * rest
    lost = _sources(label for label, _ in items if isinstance(label, Pieces))
    # One position of a source may be taken and its axis dropped: the other digits of that source begin there, unknown.
    return [None if lost & _sources([label]) else label for label in (*left, *middle, *right[::-1])]


def _sources(labels: Iterable[Label]) -> set[Source]:
    """The sources of inputs and layers that labels go through."""
    parts = (part for label in labels for part in parts_of(label, None) or ())
    return {digit.source for part in parts for digit in part.fold if digit.source.tensor}


def _items(label: Label, size: Size) -> list[Item]:
    if isinstance(label, Pieces) and isinstance(size, int) and size > 1:
        label = whole(Source("pieces", 0, size, view=label))
    if isinstance(label, tuple) and label:
        return [((digit,), digit.size) for digit in label]
    return [] if label == () and size == 1 else [(label, size)]


def _matched(items: list[Item], sizes: list[Size], from_left: bool) -> list[Label]:
    """The labels of as many axes as can be told from one end; their items are taken off."""
    end = 0 if from_left else -1
    found: list[Label] = []
    while sizes:
        wanted = sizes[end]
        taken: list[Item] = []
        trial = list(items)
        if not _take(trial, taken, wanted, from_left):
            break
        items[:] = trial
        found.append(_fold(taken if from_left else taken[::-1]))
        sizes.pop(end)
    return found


def _take(items: list[Item], taken: list[Item], wanted: Size, from_left: bool) -> bool:
    """Takes items that make up an axis of a size; False where that cannot be told."""
    end = 0 if from_left else -1
    if wanted is None:
        return False
    if isinstance(wanted, str):
        while items and multiplied([size for _, size in taken]) != wanted:
            taken.append(items.pop(end))
        return multiplied([size for _, size in taken]) == wanted
    if wanted == 1:
        if items and items[end][1] == 1:
            taken.append(items.pop(end))
        return True
    missing = wanted
    while missing > 1:
        if not items:
            return False
        label, size = items.pop(end)
        if not isinstance(size, int) or size == 0:
            return False
        if missing % size == 0:
            taken.append((label, size))
            missing //= size
            continue
        halves = _split(label, size, missing, from_left)
        if halves is None:
            return False
        used, kept = halves
        taken.append(used)
        items.insert(0, kept) if from_left else items.append(kept)
        missing = 1
    return True


def _split(label: Label, size: int, wanted: int, from_left: bool) -> tuple[Item, Item] | None:
    """A digit as two, of which the outer (or inner) one has the size that is wanted; the used one first."""
    if size % wanted:
        return None
    outer, inner = (wanted, size // wanted) if from_left else (size // wanted, wanted)
    if isinstance(label, tuple) and len(label) == 1:
        digit = label[0]
        high: Item = ((Digit(digit.source, digit.stride * inner, outer),), outer)
        low: Item = ((Digit(digit.source, digit.stride, inner),), inner)
    else:
        blank: Label = () if label == () else None
        high, low = (blank, outer), (blank, inner)
    return (high, low) if from_left else (low, high)


def _fold(items: Sequence[Item]) -> Label:
    """The axis that items make, the first of them slowest."""
    items = [item for item in items if item[0] != () or item[1] != 1]
    if len(items) == 1:
        label = items[0][0]
        return plain(label) if isinstance(label, tuple) else label
    if not items:
        return ()
    if any(label is None or isinstance(label, Pieces) for label, _ in items):
        return None
    digits: list[Digit] = []
    for label, size in items:
        assert isinstance(label, tuple)
        digits.extend(label or (Digit(Source("", 0, size), 1, size),))
    return plain(tuple(_contiguous(digits)))


def _contiguous(digits: Sequence[Digit]) -> list[Digit]:
    """The digits, two that go on where the other ends as one."""
    result: list[Digit] = []
    for digit in digits:
        last = result[-1] if result else None
        fits = last is not None and last.source == digit.source and last.source.tensor
        known = fits and last is not None and isinstance(digit.size, int) and isinstance(last.size, int)
        if known and last.stride == digit.stride * digit.size:  # type: ignore[union-attr, operator]
            result[-1] = Digit(digit.source, digit.stride, last.size * digit.size)  # type: ignore[union-attr, operator]
        else:
            result.append(digit)
    return result

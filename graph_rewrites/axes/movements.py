"""Operators that move, cut and join axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from .constants import size_of
from .labels import Fold, Label, Part, Pieces, Size, Source, cut, grid_source, joined, only_source, parts_of, whole
from .reshape import reshaped
from .step import Step, axes_of


@axes_of("Transpose")
def transpose(step: Step) -> list[Label]:
    """The axes in another order."""
    labels = step.labels()
    order = step.attrs.get("perm") or range(len(labels))[::-1]
    return [labels[axis] for axis in order]


@axes_of("Reshape", "Flatten", "Squeeze", "Unsqueeze")
def reshape(step: Step) -> list[Label]:
    """The digits of all axes, grouped otherwise; which axes a Squeeze or Unsqueeze means is known exactly."""
    labels, before, after = step.labels(), step.shape(), list(step.out.shape)
    axes = step.value(1)
    asked = step.entries(1) if step.node.op == "Reshape" else None
    if asked is not None and len(asked) == len(after):  # 0 and -1 aside
        pairs = zip(asked, after, strict=True)
        after = [one if isinstance(one, str) or (isinstance(one, int) and one > 0) else size for one, size in pairs]
    if step.node.op == "Unsqueeze" and axes is not None:
        new = {int(axis) % step.rank for axis in axes.ravel()}
        rest = iter(labels)
        return [() if axis in new else next(rest) for axis in range(step.rank)]
    if step.node.op == "Squeeze":
        if axes is not None:
            gone = {int(axis) % len(labels) for axis in axes.ravel()}
        elif any(not isinstance(size, int) for size in before):
            return [None] * step.rank  # open ones may be 1
        else:
            gone = {axis for axis, size in enumerate(before) if size == 1}
        kept = [label for axis, label in enumerate(labels) if axis not in gone]
        return kept if len(kept) == step.rank else [None] * step.rank
    like = step.sized_like() if step.node.op == "Reshape" else None
    if like is not None and _digits(like) == _digits(labels) and len(like) == len(after):
        return like  # back into the form that they had
    if step.node.op == "Reshape" and axes is not None and len(axes) == len(after):
        copies = not step.attrs.get("allowzero")
        after = [before[i] if copies and axes[i] == 0 and i < len(before) else size for i, size in enumerate(after)]
    return reshaped(labels, before, after)


def _digits(labels: Sequence[Label]) -> list[object]:
    """The digits of all axes in order; what is no fold stands for itself."""
    return [digit for label in labels for digit in (label if isinstance(label, tuple) else [object()])]


@axes_of("Concat", "com.microsoft::QLinearConcat")
def concat(step: Step) -> list[Label]:
    """Along the axis one part after the other; elsewhere what the inputs say alike."""
    axis = step.attrs["axis"] % step.rank
    tensors = step.node.inputs[2::3] if step.node.op == "QLinearConcat" else step.node.inputs  # each with its scale
    each = [step.labels(step.node.inputs.index(tensor)) for tensor in tensors]
    result = [step.merge_all(labels) for labels in zip(*each, strict=True)]
    parts: list[Part] | None = []
    for labels, tensor in zip(each, tensors, strict=True):
        own = parts_of(labels[axis], size_of(labels[axis], tensor.shape[axis]))
        parts = None if own is None or parts is None else [*parts, *own]
    if parts is None:
        result[axis] = None
    elif all(not part.fold or _is_made(part.fold) for part in parts):
        result[axis] = step.made(axis)  # channels joined are channels
    else:
        result[axis] = joined(parts)
    return result


def _is_made(fold: Fold) -> bool:
    """Whether the axis goes through what operators made anew, such as channels."""
    return all(digit.source.is_made for digit in fold)


@axes_of("Slice")
def slice_(step: Step) -> list[Label]:
    """A run of positions, every nth, or backwards."""
    labels, shape = step.labels(), step.shape()
    starts, ends, axes, steps = (step.known(index) for index in (1, 2, 3, 4))
    if starts is None or ends is None:
        for axis in range(step.rank) if axes is None else (int(one) % step.rank for one in axes):
            if step.out.shape[axis] != shape[axis] or shape[axis] is None:
                labels[axis] = step.gridded(axis, labels[axis], math.nan, math.nan, cut=True)
        return labels
    chosen = range(len(starts)) if axes is None else [int(axis) % step.rank for axis in axes]
    jumps = [1] * len(starts) if steps is None else [int(one) for one in steps]
    for axis, start, end, jump in zip(chosen, map(int, starts), map(int, ends), jumps, strict=True):
        labels[axis] = _sliced(step, axis, labels[axis], shape[axis], start, end, jump)
    return labels


def _sliced(step: Step, axis: int, label: Label, size: Size, start: int, end: int, jump: int) -> Label:
    source = only_source(label)
    if jump == 1 and start == 0 and ((size == step.out.shape[axis] and size is not None) or end >= 2**31 - 1):
        return label
    if source is not None and source.image is not None and source.image[1] != 0:
        if isinstance(size, int):
            first, last, _ = slice(start, end, jump).indices(size)
            is_cut = jump < 0 or first >= jump or last <= size - jump
            made = only_source(step.made(axis, source, jump, first, is_cut))
            if jump != 1 or made is None:
                return step.made(axis, source, jump, first, is_cut)
            piece = Pieces((Part(whole(source), first, last - first),))
            return whole(replace(made, size=last - first, view=piece))
        is_cut = not (0 <= start < jump and end >= 2**31 - 1)
        return step.made(axis, source, jump, start if start >= 0 and jump > 0 else math.nan, is_cut)
    if jump != 1 or not isinstance(size, int):
        if jump == 1 and start >= 0 and isinstance(label, Pieces):
            return _dropped_front(label, start)
        return step.made(axis) if source is not None and source.is_made else None
    low, high, _ = slice(start, end).indices(size)
    if isinstance(label, tuple) and _is_made(label):
        return step.made(axis) if high - low != size else label
    return cut(label, size, low, high)


def _dropped_front(label: Pieces, count: int) -> Label:
    """The parts after the first positions, where these are whole parts."""
    parts = list(label.parts)
    while parts and count > 0 and isinstance(parts[0].size, int) and parts[0].size <= count:
        count -= parts.pop(0).size  # type: ignore[operator]
    return joined(parts) if parts and not count else None


@axes_of("Gather")
def gather(step: Step) -> list[Label]:
    """The axis is replaced by those of the indices; one constant index takes it out."""
    labels, shape = step.labels(), step.shape()
    axis = step.attrs["axis"] % len(labels)
    indices, chosen = step.value(1), step.node.inputs[1]
    if step.is_constant(0):  # rows of a table: an embedding of the indices' axes
        own = step.labels(1) if step.inputs[1] is not None else [None]
        rest = [step.made(at) for at in range(axis + len(chosen.shape or ()), step.rank)]
        return [*labels[:axis], *own, *rest][: step.rank]
    taken: list[Label]
    if indices is None:
        taken = [None] * len(chosen.shape or ())
    elif indices.ndim == 0:
        taken = []
    elif indices.ndim == 1 and (grid := _progression(step, axis, labels[axis], indices)) is not None:
        taken = [grid]
    elif isinstance(labels[axis], tuple) and _is_made(labels[axis] or ()):
        taken = [step.made(axis)] if indices.ndim == 1 else [None] * indices.ndim
    elif indices.ndim == 1 and isinstance(shape[axis], int):
        size = int(shape[axis] or 0)
        runs = [cut(labels[axis], size, int(one) % size, int(one) % size + 1) for one in indices]
        parts = [part for run in runs for part in (parts_of(run, 1) or ())]
        taken = [joined(parts) if len(parts) == indices.size else None]
    else:
        taken = [None] * indices.ndim
    return [*labels[:axis], *taken, *labels[axis + 1 :]]


def _progression(step: Step, axis: int, label: Label, indices: np.ndarray) -> Label:
    """The grid of positions at equal distances, as a crop or a mirror image is; None of others, and of samples."""
    source = grid_source(label)
    steps = np.unique(np.diff(indices))
    if source is None or source.image is None or source.image[1] == 0 or len(steps) != 1 or steps[0] == 0:
        return None
    first = int(indices[0])
    if first < 0 and not isinstance(source.size, int):
        return step.made(axis, source, math.nan, math.nan, cut=True)
    first += int(source.size or 0) if first < 0 else 0
    return step.made(axis, source, float(steps[0]), first, cut=True)


@axes_of("GatherElements")
def gather_elements(step: Step) -> list[Label]:
    """The axes of the indices, which go with the data's but along the axis that is picked from."""
    axis = step.attrs["axis"] % step.rank
    pairs = enumerate(zip(step.labels(0), step.labels(1), strict=True))
    return [own if at == axis else step.merge(label, own) for at, (label, own) in pairs]


@axes_of("Split")
def split(step: Step) -> list[Label]:
    """The first output's part; `outputs_of` gives the others'."""
    return split_at(step, 0)


def split_at(step: Step, index: int) -> list[Label]:
    """The labels of one of a Split's outputs."""
    labels, shape = step.labels(), step.shape()
    axis = step.attrs.get("axis", 0) % len(labels)
    given = step.attrs.get("split") or step.entries(1)
    whole_size, count = shape[axis], len(step.node.outputs)
    if given is None and isinstance(whole_size, int) and whole_size % count == 0:
        given = [whole_size // count] * count
    sizes = list(given) if given else [out.shape[axis] if out.shape else None for out in step.node.outputs]
    known = [size for size in sizes[: index + 1] if isinstance(size, int)]
    source = only_source(labels[axis])
    if len(known) <= index:
        labels[axis] = None
    elif source is not None and source.image is not None and source.image[1] != 0:
        out, at = step.node.outputs[index], source.offset + source.scale * sum(known[:index])
        labels[axis] = whole(Source(out.name, axis, known[index], source.image, source.scale, at, is_cut=True))
    elif source is not None and source.is_made:
        labels[axis] = whole(Source(step.node.outputs[index].name, axis, known[index]))
    else:
        labels[axis] = cut(labels[axis], shape[axis], sum(known[:index]), sum(known))
    return labels


@axes_of("Expand", "Tile")
def expand(step: Step) -> list[Label]:
    """The axes that keep their size."""
    labels, shape = step.labels(), step.shape()
    lead = step.rank - len(labels)
    asked = step.entries(1) or [None] * step.rank
    repeats = step.node.op == "Tile"
    kept = [
        label
        if label == ()
        or (shape[i] is not None and shape[i] in (step.out.shape[lead + i], None if repeats else one))
        or one == 1
        else None
        for i, (label, one) in enumerate(zip(labels, asked[-len(labels) :] if labels else [], strict=False))
    ]
    return [*[()] * lead, *(label if shape[i] != 1 else () for i, label in enumerate(kept))]

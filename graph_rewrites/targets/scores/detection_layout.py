"""Which numbers of a detector's output are boxes, scores and classes, by the pieces that it was put together from."""

from __future__ import annotations

from dataclasses import dataclass

from ...graph.operator_traits import traits_of
from ...graph.tensors import Tensor, is_float

BOX = 4


@dataclass(frozen=True)
class Columns:
    """Where the numbers of a box stand along an axis.

    Attributes:
        axis: that axis, -1 or -2.
        box: the first of its four numbers.
        scores: from which to before which number its scores are: one, or one for each class.
        label: its class; None where each class has a score.
        objectness: the score of there being an object, which those of the classes are to be multiplied by.
    """

    axis: int
    box: int
    scores: tuple[int, int]
    label: int | None = None
    objectness: int | None = None


def columns_of(output: Tensor) -> Columns | None:
    """The columns of an output [..., boxes, numbers] or [..., numbers, boxes]; None where the graph does not tell."""
    for axis in (-1, -2):
        if output.shape is None or len(output.shape) < -axis:
            continue
        pieces = _pieces(output, len(output.shape) + axis)
        found = None if pieces is None else _columns(pieces, axis)
        if found is not None:
            return found
    return None


def _columns(pieces: list[tuple[int, bool]], axis: int) -> Columns | None:
    """From the sizes of the pieces, and whether each holds integers."""
    at, starts = 0, []
    for size, _ in pieces:
        starts.append(at)
        at += size
    floats = [(start, size) for start, (size, whole) in zip(starts, pieces, strict=True) if not whole]
    wholes = [start for start, (size, whole) in zip(starts, pieces, strict=True) if whole and size == 1]
    if wholes and all(size != BOX for _, size in floats):  # cuts of one tensor may hold more than their sizes tell
        floats = _with_a_box(floats)
    boxes = [start for start, size in floats if size == BOX][:1]
    scores = [(start, start + size) for start, size in floats if [start] != boxes]
    if len(boxes) != 1 or any(whole and size != 1 for size, whole in pieces):
        return None
    if wholes and len(wholes) <= 2 and len(scores) == 1 and scores[0][1] - scores[0][0] == 1:
        return Columns(axis, boxes[0], scores[0], label=wholes[-1])  # the image's index stands before the class
    if not wholes and len(scores) == 1 and scores[0][1] - scores[0][0] > 1:
        return Columns(axis, boxes[0], scores[0])
    if not wholes and len(scores) == 2 and scores[0][1] - scores[0][0] == 1 < scores[1][1] - scores[1][0]:
        return Columns(axis, boxes[0], scores[1], objectness=scores[0][0])
    return None


def _with_a_box(floats: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The pieces, the first ones of which are one where they make up a box: two halves of it, or its four numbers."""
    for count in (2, 4):
        first = floats[:count]
        ends = [start + size for start, size in first]
        if len(first) == count and ends[:-1] == [start for start, _ in first[1:]] and ends[-1] - first[0][0] == BOX:
            return [(first[0][0], BOX), *floats[count:]]
    return floats


def _pieces(tensor: Tensor, axis: int) -> list[tuple[int, bool]] | None:
    """The sizes of what is joined along an axis, and whether each holds integers; None where nothing is."""
    while len(tensor.inputs) == 1:
        node = tensor.inputs[0]
        if node.op == "Concat" and node.attrs["axis"] % len(tensor.shape) == axis:
            found: list[tuple[int, bool]] = []
            for part in node.inputs:
                size = part.shape[axis] if part.shape else None
                if not isinstance(size, int):
                    return None
                inner = _pieces(part, axis) if size not in (1, BOX) and not _is_whole(part) else None
                found += inner or [(size, _is_whole(part))]
            return found
        before = _before(tensor, axis)
        if before is None:
            return None
        tensor, axis = before
    return None


def _is_whole(tensor: Tensor) -> bool:
    """Whether floats are integers that were cast, and picked or laid out since."""
    while len(tensor.inputs) == 1:
        if not is_float(tensor):
            return True
        node = tensor.inputs[0]
        is_moved = node.op in ("Cast", "Gather", "GatherND", "GatherElements", "Slice", "Compress", "Expand", "Tile")
        if not is_moved and not traits_of(node).values:
            return bool(node.op == "Floor")
        tensor = node.inputs[0]
    return not is_float(tensor)


def _before(tensor: Tensor, axis: int) -> tuple[Tensor, int] | None:
    """The tensor that a node took positions or rows of, and what the axis was there; None behind other nodes."""
    node = tensor.inputs[0]
    source, attrs, rank = node.inputs[0], dict(node.attrs), len(tensor.shape)
    if source.shape is None:
        return None
    if node.op == "Transpose":
        return source, list(attrs.get("perm") or range(rank)[::-1])[axis]
    if node.op in ("Reshape", "Squeeze", "Unsqueeze", "Flatten"):
        behind = list(tensor.shape[axis:])
        at = len(source.shape) - len(behind)
        return (source, at) if at >= 0 and list(source.shape[at:]) == behind else None
    if node.op == "Gather":
        picked, indices = attrs.get("axis", 0) % len(source.shape), len(node.inputs[1].shape or ())
        if axis < picked:
            return source, axis
        return (source, axis - indices + 1) if axis >= picked + indices else None
    if node.op == "GatherND":
        index = node.inputs[1].shape
        if not index or not isinstance(index[-1], int):
            return None
        return source, axis - (len(index) - 1) + index[-1]
    if node.op == "Concat":
        return source, axis
    if node.op in ("Slice", "Compress", "GatherElements", "TopK"):
        same = source.shape[axis] == tensor.shape[axis] and tensor.shape[axis] is not None
        return (source, axis) if same else None
    if node.op in ("Cast", "Identity") or traits_of(node).values == "in place":
        return source, axis
    return None

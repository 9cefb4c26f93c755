"""Scores of detectors, box by box: `detection(i)`, the class score of the i-th best box, and `detection(i).box[j]`.

`target` is the class whose i-th best box is explained; -1 is the i-th best box of all classes, -2 the one after it ...
Boxes may come as rows (box, score, class, perhaps the image's index), as several outputs (boxes, scores, labels), or
with a score for each class, behind non-maximum suppression or without any. Which numbers are which is read off the
graph: what integers were cast to, and what pieces the rows were put together from. Scores are those that the model
gives; gradients go through whatever picked the boxes, of each number of a box as in ODAM (Zhao and Chan 2023).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from ...build.emitter import Emitter
from ...errors import OnnxplainError, UsageError
from ...graph.tensors import Tensor, is_float
from .detection_layout import Columns, columns_of

FORM = re.compile(r"\s*detection\(\s*(\d+)\s*\)\s*(?:\.\s*box\s*\[\s*([0-3])\s*\])?\s*")
BOX = 4  # numbers of a box


@dataclass(frozen=True)
class Detections:
    """All boxes of each image, and which of them is explained.

    Attributes:
        table: [N, boxes, 4 + C]: the boxes, and the scores of C classes; or [N, boxes, 6]: boxes, scores, classes.
        has_classes: whether the last column is the class.
        rank: i, from 0.
        number: which of a box's numbers is explained; None: the class score.
    """

    table: Tensor
    has_classes: bool
    rank: int
    number: int | None

    def chosen(self, op: Emitter, target: Tensor) -> tuple[Tensor, Tensor]:
        """What is explained, and the boxes that it is of.

        Args:
            op: appends the nodes.
            target: int64 [rows, K].

        Returns:
            The scores [rows, K], minus infinity where there is no such box; and [rows, K, 6]: box, class score, class.
        """
        table = op.Cast(self.table, to=TensorProto.FLOAT)
        columns = op.Transpose(table, perm=[0, 2, 1])  # [rows, numbers, boxes]
        boxes = op.Slice(columns, [0], [BOX], [1])
        is_any = op.Unsqueeze(op.Less(target, 0), [2])
        if self.has_classes:
            scores, classes = op.Split(op.Slice(columns, [BOX], [BOX + 2], [1]), [1, 1], axis=1, outputs=2)
            wanted = op.Unsqueeze(op.Cast(target, to=TensorProto.FLOAT), [2])
            keyed = op.Where(op.Or(is_any, op.Equal(op.Round(classes), wanted)), scores, np.float32(-np.inf))
            of_box = op.Expand(classes, op.shape(keyed))
        else:
            scores = op.Slice(columns, [BOX], [np.iinfo(np.int64).max], [1])
            rows = op.join(op.shape(target), op.size(scores, 2))
            index = op.Expand(op.Unsqueeze(op.Max(target, 0), [2]), rows)
            own, best = op.GatherElements(scores, index, axis=1), op.reduce("ReduceMax", scores, [1])
            keyed = op.Where(is_any, best, own)
            top = op.Cast(op.ArgMax(scores, axis=1, keepdims=1), to=TensorProto.FLOAT)
            of_box = op.Where(is_any, top, op.Cast(index, to=TensorProto.FLOAT))
        place = op.Unsqueeze(op.Add(op.Max(op.Sub(op.Neg(target), 1), 0), self.rank), [2])
        count = op.Reshape(op.Add(op.reduce("ReduceMax", place, [0, 1, 2], keepdims=False), 1), [1])
        missing = op.Expand(np.full((1, 1, 1), -np.inf, np.float32), op.join(op.shape(target), count))
        every = op.Concat(keyed, missing, axis=2)
        _, order = op.TopK(every, count, outputs=2, axis=2)
        at = op.GatherElements(order, place, axis=2)

        def picked(values: Tensor) -> Tensor:
            return op.GatherElements(op.Concat(values, missing, axis=2), at, axis=2)

        score = op.GatherElements(every, at, axis=2)
        numbers = [op.Expand(op.Slice(boxes, [i], [i + 1], [1]), op.shape(keyed)) for i in range(BOX)]
        found = [*map(picked, numbers), score, picked(of_box)]
        explained = score
        if self.number is not None:
            explained = op.Where(op.Greater(score, np.float32(-np.inf)), found[self.number], score)
        return op.Squeeze(explained, [2]), op.Concat(*found, axis=2)


def is_detection(text: str) -> bool:
    """Whether a score is written `detection(...)`."""
    return text.strip().startswith("detection(")


def find_detections(
    op: Emitter, text: str, outputs: Mapping[str, Tensor], base: Callable[[str], tuple[Tensor, bool]]
) -> tuple[str, Detections]:
    """Reads off the graph what a model's outputs say of its boxes.

    Args:
        op: appends the nodes.
        text: detection(i), or detection(i).box[j].
        outputs: the model's outputs.
        base: as in `emit_expression`.

    Returns:
        The name of the output that has the scores, and the detections.

    Raises:
        UsageError: another form of the score.
        OnnxplainError: the outputs hold no boxes with scores, as far as the graph tells.
    """
    form = FORM.fullmatch(text)
    if form is None:
        raise UsageError(f"score {text!r} is not understood; write detection(0), the best box, or detection(0).box[2]")
    rank, number = int(form[1]), None if form[2] is None else int(form[2])
    if not any(map(is_float, outputs.values())):
        raise OnnxplainError(f"{op.model.name}: none of the outputs {list(outputs)} holds floats")
    name, table, has_classes = _table(op, outputs, base)
    return name, Detections(table, has_classes, rank, number)


def _table(
    op: Emitter, outputs: Mapping[str, Tensor], base: Callable[[str], tuple[Tensor, bool]]
) -> tuple[str, Tensor, bool]:
    """The output with the scores, the table of boxes, and whether its last column is the class."""

    def rows(name: str, rank: int) -> Tensor:
        """An output as float [N, boxes, ...] of so many axes."""
        tensor, has_samples = base(name)
        tensor = tensor if has_samples else op.Unsqueeze(tensor, [0])
        if len(tensor.shape) < rank:
            tensor = op.Unsqueeze(tensor, [len(tensor.shape)])
        if len(tensor.shape) != rank:
            raise _unknown(op, outputs)
        return op.Cast(tensor, to=TensorProto.FLOAT)

    shapes = {name: tensor.shape for name, tensor in outputs.items() if tensor.shape is not None}
    boxes = [name for name, shape in shapes.items() if shape[-1:] == [BOX] and is_float(outputs[name])]
    if len(boxes) == 1 and len(shapes) > 1:
        lead = shapes[boxes[0]][:-1]
        others = [
            name for name, shape in shapes.items() if name != boxes[0] and len(shape) in (len(lead), len(lead) + 1)
        ]
        labels = [name for name in others if not is_float(outputs[name]) and len(shapes[name]) == len(lead)]
        scores = [name for name in others if name not in labels and is_float(outputs[name])]
        if len(scores) == 1 and len(labels) <= 1:
            parts = [rows(boxes[0], 3), rows(scores[0], 3), *(rows(name, 3) for name in labels)]
            if labels or len(shapes[scores[0]]) > len(lead):  # else nothing tells the classes
                return scores[0], op.Concat(*parts, axis=2), bool(labels)
    for name in (name for name in outputs if is_float(outputs[name])):
        found = columns_of(outputs[name])
        if found is None:
            continue
        tensor = rows(name, 3)
        if found.axis == -2:
            tensor = op.Transpose(tensor, perm=[0, 2, 1])
        return name, _arranged(op, tensor, found), found.label is not None
    raise _unknown(op, outputs)


def _unknown(op: Emitter, outputs: Mapping[str, Tensor]) -> OnnxplainError:
    return OnnxplainError(
        f"{op.model.name}: the graph does not tell which numbers of {', '.join(map(repr, outputs))} are boxes, scores "
        "and classes; write the score by its columns, such as max(output[:, :, 4])"
    )


def _arranged(op: Emitter, tensor: Tensor, columns: Columns) -> Tensor:
    """[N, boxes, numbers] in the order box, scores, class; scores of classes times that of there being an object."""

    def part(start: int, stop: int) -> Tensor:
        return op.Slice(tensor, [start], [stop], [2])

    scores = part(*columns.scores)
    if columns.objectness is not None:
        scores = op.Mul(scores, part(columns.objectness, columns.objectness + 1))
    label = [] if columns.label is None else [part(columns.label, columns.label + 1)]
    return op.Concat(part(columns.box, columns.box + BOX), scores, *label, axis=2)

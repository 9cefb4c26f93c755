"""Sequences whose length or positions run time decides: the gradient of a sequence is the sequence of its elements'.

What a node puts into a sequence it finds at the same position of that sequence's gradient. Readers whose elements are
known before leave their nodes to the decompositions in `sequences.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ....build.emitter import Emitter
from ....build.sequences import lengths_along, position_in
from ....graph.tensors import Tensor
from ...cotangents import zeros_like
from ...reverse import Gradient, Node, gradient_of
from .sequences import is_decided_at_run_time


@gradient_of("SequenceAt")
def sequence_at(op: Emitter, node: Node, grad: Tensor) -> list[Gradient] | None:
    """Zeros but for the element's position."""
    if not is_decided_at_run_time(op, node):
        return None
    sequence, position = node.inputs

    def dsequence() -> Tensor:
        place = position_in(op, sequence, position)
        return op.SequenceInsert(op.SequenceErase(zeros_like(op, sequence), place), grad, place)

    return [dsequence, None, *_held(node)]


@gradient_of("SequenceConstruct")
def sequence_construct(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """The element at each input's position."""
    return [op.SequenceAt(grad, np.array(i)) for i in range(len(node.inputs))]


@gradient_of("SequenceInsert")
def sequence_insert(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """The sequence without the position, and the element there (without one given, the last)."""
    sequence, _, *positions = node.inputs
    if not positions:
        return [op.SequenceErase(grad), op.SequenceAt(grad, np.array(-1))]
    place = position_in(op, sequence, positions[0])
    return [op.SequenceErase(grad, place), op.SequenceAt(grad, place), None]


@gradient_of("SequenceErase")
def sequence_erase(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """The sequence with zeros in the erased position (without one given, the last)."""
    sequence, *positions = node.inputs
    place = position_in(op, sequence, positions[0] if positions else np.array(-1))
    erased = op.zeros_like(op.SequenceAt(sequence, place))
    return [op.SequenceInsert(grad, erased, place), *[None] * len(positions)]


@gradient_of("SplitToSequence")
def split_to_sequence(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """The pieces joined again."""
    x, *split = node.inputs
    alone = int(not split and not node.attrs["keepdims"])
    joined = op.ConcatFromSequence(grad, axis=node.attrs["axis"], new_axis=alone)
    return [op.declare(joined, x), *[None] * len(split)]


@gradient_of("ConcatFromSequence")
def concat_from_sequence(op: Emitter, node: Node, grad: Tensor) -> list[Gradient] | None:
    """Split where the elements met."""
    if not is_decided_at_run_time(op, node):
        return None
    (sequence,), axis = node.inputs, node.attrs["axis"]
    if node.attrs["new_axis"]:
        return [op.SplitToSequence(grad, axis=axis, keepdims=0), *_held(node)]
    return [op.SplitToSequence(grad, lengths_along(op, sequence, axis), axis=axis), *_held(node)]


def _held(node: Node) -> list[Any]:
    """No gradients of the tensors that the sequence holds: they receive theirs from what put them there."""
    return [None] * len(node.captured)

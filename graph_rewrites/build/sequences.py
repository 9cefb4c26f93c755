"""Sequences that are known only at run time: one made element by element, positions, sizes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs

from ..graph.tensors import Tensor, dtype_of, gs_dtype
from .emitter import Emitter

COUNTER, GOING = gs.Variable("i", np.dtype(np.int64), []), gs.Variable("going", np.dtype(np.bool_), [])


def sequence_of(op: Emitter, like: Tensor, length: Tensor, element: Callable[[Tensor], Tensor]) -> Tensor:
    """A sequence of the element type of `like`: what `element` emits for the position i (int64 scalar)."""
    start = op.SequenceEmpty(dtype=dtype_of(like))
    counter, going, made = op.parameter("i", COUNTER), op.parameter("going", GOING), op.parameter("made", start)
    with op.subgraph("each", [counter, going, made]) as body:
        body.outputs = [going, op.SequenceInsert(made, element(counter))]
    result = op.Loop(length, None, start, body=body)
    result.dtype, result.shape = gs_dtype(dtype_of(like)), like.shape
    return result


def position_in(op: Emitter, sequence: Tensor, position: Any) -> Tensor:
    """A position counted from the front, where it may be counted from behind (negative)."""
    place = op.Cast(position, to=dtype_of(COUNTER))
    behind = op.Cast(op.Less(place, np.array(0)), to=dtype_of(COUNTER))
    return op.Add(place, op.Mul(behind, op.SequenceLength(sequence)))


def lengths_along(op: Emitter, sequence: Tensor, axis: int) -> Tensor:
    """The elements' sizes along an axis: int64 vector."""
    counter, going = op.parameter("i", COUNTER), op.parameter("going", GOING)
    with op.subgraph("each", [counter, going]) as body:
        sizes = op.Shape(op.SequenceAt(sequence, counter))
        body.outputs = [going, op.Gather(sizes, np.array(axis), axis=0)]
    return op.Loop(op.SequenceLength(sequence), None, body=body)

"""Tensors taken out of sequences and optionals: each reader is expanded into the same computation on plain tensors.

A sequence has no gradient. A reader is followed back through the nodes that made its sequence to the tensors in it
(`node.held_tensors`), and these receive the gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from ..emit import Emitter
from ..errors import OnnxplainError
from ..expand import expansion_of
from ..node import Node
from ..tensors import Tensor, rank, value_of

Element: TypeAlias = Callable[[], Tensor]  # emits the element where it is used


@expansion_of("SequenceAt")
def sequence_at(op: Emitter, node: Node) -> Sequence[Tensor]:
    """The element itself."""
    sequence, position = node.inputs
    return [_elements(op, node, sequence)[_known(node, position)]()]


@expansion_of("ConcatFromSequence")
def concat_from_sequence(op: Emitter, node: Node) -> Sequence[Tensor]:
    """Concat of the elements, behind an axis of their own where `new_axis` is set."""
    axis = node.attrs["axis"]
    elements = [element() for element in _elements(op, node, node.inputs[0])]
    if node.attrs["new_axis"]:
        elements = [op.Unsqueeze(element, [axis]) for element in elements]
    return [op.Concat(*elements, axis=axis)]


@expansion_of("OptionalGetElement")
def optional_get_element(op: Emitter, node: Node) -> Sequence[Tensor]:
    """The tensor in the optional; from opset 18 on the input may be a plain tensor."""
    (held,) = node.inputs
    maker = held.inputs[0] if held.inputs else None
    return [op.Identity(maker.inputs[0] if maker is not None and maker.op == "Optional" else held)]


def _elements(op: Emitter, node: Node, sequence: Tensor) -> list[Element]:
    """The elements of a sequence, as the nodes that made it tell.

    Raises:
        OnnxplainError: what it holds is decided only at run time.
    """
    maker: Any = sequence.inputs[0] if sequence.inputs else None
    op_type = maker.op if maker is not None else "the caller"
    if op_type == "SequenceEmpty":
        return []
    if op_type == "SequenceConstruct":
        return [partial(op.Identity, tensor) for tensor in maker.inputs]
    if op_type in ("Identity", "Optional", "OptionalGetElement"):
        return _elements(op, node, maker.inputs[0])
    if op_type == "SplitToSequence":
        return _pieces(op, node, maker.inputs, maker.attrs.get("axis", 0), maker.attrs.get("keepdims", 1))
    if op_type in ("SequenceInsert", "SequenceErase"):
        elements = _elements(op, node, maker.inputs[0])
        arguments = maker.inputs[1:]
        if op_type == "SequenceInsert":
            place = _known(node, arguments[1]) if len(arguments) > 1 else len(elements)
            elements.insert(place, partial(op.Identity, arguments[0]))
        else:
            del elements[_known(node, arguments[0]) if arguments else -1]
        return elements
    raise OnnxplainError(
        f"{node.op_type} (node {node.name!r}) reads a sequence that is known only at run time ({sequence.name!r}, from "
        f"{op_type}); choose a layer after it, or export the model with its loops unrolled"
    )


def _pieces(op: Emitter, node: Node, inputs: Sequence[Tensor], axis: int, keepdims: int) -> list[Element]:
    """The elements that SplitToSequence makes of its input: slices, or single positions without their axis."""
    x, split = [*inputs, None][:2]
    axis %= rank(x)
    lengths, size = np.array(1) if split is None else value_of(split), x.shape[axis]
    if (
        lengths is not None and lengths.ndim == 0 and isinstance(size, int)
    ):  # pieces of one length, the last may be less
        starts = np.arange(0, size, int(lengths))
        lengths = np.minimum(size - starts, lengths)
    if lengths is None or lengths.ndim == 0:
        raise OnnxplainError(
            f"{node.op_type} (node {node.name!r}) reads pieces of {x.name!r} whose number is known only at run time; "
            "choose a layer after it, or export the model with fixed sizes"
        )
    if split is None and not keepdims:
        return [partial(op.Gather, x, np.array(place), axis=axis) for place in range(size)]
    ends = np.cumsum(lengths)
    return [partial(op.Slice, x, ends[i : i + 1] - lengths[i], ends[i : i + 1], [axis]) for i in range(len(ends))]


def _known(node: Node, position: Tensor) -> int:
    """A position in a sequence."""
    value = value_of(position)
    if value is None:
        raise OnnxplainError(
            f"{node.op_type} (node {node.name!r}) reads a sequence at a position that is known only at run time "
            f"({position.name!r}); choose a layer after it, or export the model with its loops unrolled"
        )
    return int(value)

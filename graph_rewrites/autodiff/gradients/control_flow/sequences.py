"""Tensors taken out of sequences and optionals: each reader is expanded into the same computation on plain tensors.

A reader is followed back through the nodes that made its sequence to the tensors in it (`node.held_tensors`), and these
receive the gradient: no sequence needs one. Where run time decides which tensor is read, the rules in
`run_time_sequences.py` take the reader.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from ....build.emitter import Emitter
from ....graph.node import Node
from ....graph.tensors import Tensor, rank, value_of
from ...decompose import decomposition_of, replay

Element: TypeAlias = Callable[[], Tensor]  # emits the element where it is used


class _KnownAtRunTimeError(Exception):
    """Which tensors a sequence holds is decided at run time."""


def is_decided_at_run_time(op: Emitter, node: Node) -> bool:
    """Whether it takes a run to tell which tensors a reader of a sequence reads."""
    try:
        _elements(op, node.inputs[0])
        for position in node.inputs[1:]:
            _known(position)
    except _KnownAtRunTimeError:
        return True
    return False


@decomposition_of("SequenceAt")
def sequence_at(op: Emitter, node: Node) -> Sequence[Tensor]:
    """The element itself."""
    sequence, position = node.inputs
    return [_elements(op, sequence)[_known(position)]()]


@decomposition_of("ConcatFromSequence")
def concat_from_sequence(op: Emitter, node: Node) -> Sequence[Tensor]:
    """Concat of the elements, behind an axis of their own where `new_axis` is set."""
    axis = node.attrs["axis"]
    elements = [element() for element in _elements(op, node.inputs[0])]
    if node.attrs["new_axis"]:
        elements = [op.Unsqueeze(element, [axis]) for element in elements]
    return [op.Concat(*elements, axis=axis)]


@decomposition_of("OptionalGetElement")
def optional_get_element(op: Emitter, node: Node) -> Sequence[Tensor]:
    """The tensor in the optional; from opset 18 on the input may be a plain tensor."""
    (held,) = node.inputs
    maker = held.inputs[0] if held.inputs else None
    return [op.Identity(maker.inputs[0] if maker is not None and maker.op == "Optional" else held)]


def _elements(op: Emitter, sequence: Tensor) -> list[Element]:
    """The elements of a sequence, as the nodes that made it tell.

    Raises:
        _KnownAtRunTimeError: what it holds is decided only at run time.
    """
    maker: Any = sequence.inputs[0] if sequence.inputs else None
    op_type = maker.op if maker is not None else "the caller"
    if op_type == "SequenceEmpty":
        return []
    if op_type == "SequenceConstruct":
        return [partial(op.Identity, tensor) for tensor in maker.inputs]
    if op_type in ("Identity", "Optional", "OptionalGetElement"):
        return _elements(op, maker.inputs[0])
    if op_type == "SplitToSequence":
        return _pieces(op, maker.inputs, maker.attrs.get("axis", 0), maker.attrs.get("keepdims", 1))
    if op_type in ("SequenceInsert", "SequenceErase"):
        elements = _elements(op, maker.inputs[0])
        arguments = maker.inputs[1:]
        if op_type == "SequenceInsert":
            place = _known(arguments[1]) if len(arguments) > 1 else len(elements)
            elements.insert(place, partial(op.Identity, arguments[0]))
        else:
            del elements[_known(arguments[0]) if arguments else -1]
        return elements
    if op_type == "SequenceMap":
        return _mapped(op, maker, sequence)
    raise _KnownAtRunTimeError


def _mapped(op: Emitter, maker: Any, sequence: Tensor) -> list[Element]:
    """The elements that SequenceMap makes: its body applied to those of its inputs, or to inputs that are tensors."""
    body, output = maker.attrs["body"], [tensor.name for tensor in maker.outputs].index(sequence.name)
    first = _elements(op, maker.inputs[0])
    further = [
        _elements(op, tensor) if _is_sequence(tensor) else [partial(op.Identity, tensor)] * len(first)
        for tensor in maker.inputs[1:]
    ]

    def apply(elements: Sequence[Element]) -> Tensor:
        known = {tensor.name: element() for tensor, element in zip(body.inputs, elements, strict=True)}
        result = body.outputs[output]
        return replay(op, body.nodes, known).get(result.name, result)

    return [partial(apply, elements) for elements in zip(first, *further, strict=True)]


def _is_sequence(tensor: Tensor) -> bool:
    makers = [maker.op for maker in tensor.inputs]
    return bool(makers) and (makers[0].startswith("Sequence") or makers[0] == "SplitToSequence")


def _pieces(op: Emitter, inputs: Sequence[Tensor], axis: int, keepdims: int) -> list[Element]:
    """The elements that SplitToSequence makes of its input: slices, or single positions without their axis.

    Their number must be known, their sizes need not.
    """
    x, split = [*inputs, None][:2]
    axis %= rank(x)
    size, lengths = x.shape[axis], np.array(1) if split is None else value_of(split)
    if lengths is not None and lengths.ndim == 0 and isinstance(size, int):  # of one length; the last may be shorter
        lengths = np.minimum(size - np.arange(0, size, int(lengths)), lengths)
    count = (
        len(lengths)
        if lengths is not None and lengths.ndim
        else (split.shape or [None])[0]
        if split is not None
        else None
    )
    if not isinstance(count, int):
        raise _KnownAtRunTimeError
    if split is None and not keepdims:
        return [partial(op.Gather, x, np.array(place), axis=axis) for place in range(count)]

    def piece(place: int) -> Tensor:
        if lengths is not None:
            end = int(lengths[: place + 1].sum())
            return op.Slice(x, [end - int(lengths[place])], [end], [axis])
        ends, length = op.CumSum(split, np.array(0)), op.Slice(split, [place], [place + 1])
        end = op.Slice(ends, [place], [place + 1])
        return op.Slice(x, op.Sub(end, length), end, [axis])

    return [partial(piece, place) for place in range(count)]


def _known(position: Tensor) -> int:
    """A position in a sequence."""
    value = value_of(position)
    if value is None:
        raise _KnownAtRunTimeError
    return int(value)

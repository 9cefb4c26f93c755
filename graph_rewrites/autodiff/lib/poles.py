"""Which nodes may make a finite gradient infinite: those with a pole that their input can reach."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx_graphsurgeon as gs

from ...graph.node import subgraphs
from ...graph.operator_traits import key_of, traits_of
from ...graph.tensors import Tensor, value_of

# How far back signs are followed; the ends of long chains are taken to have any.
DEPTH = 12


def has_pole(node: gs.Node) -> bool:
    """Whether the node's derivative may be infinite; of Loop, Scan and If, that of a node within."""
    if any(has_pole(inner) for graph in subgraphs(node) for inner in graph.nodes):
        return True
    key = key_of(node)
    if key in ("Sqrt", "Log", "Reciprocal", "ReduceLogSum"):  # at 0 alone
        return not is_positive(node.inputs[0])
    if key == "Div":
        return not (_is_nonzero_constant(node.inputs[1]) or is_positive(node.inputs[1]) or _is_norm(node.inputs[1]))
    if key == "Pow":
        return not (_powers_are_smooth(node.inputs[1]) or is_positive(node.inputs[0]))
    return traits_of(node).singular


def is_positive(tensor: Tensor, depth: int = DEPTH) -> bool:
    """Whether every value is surely above 0, but for underflow: variance + epsilon, an exponential, a bounded norm."""
    return _at_least_zero(tensor, depth, strictly=True)


def _at_least_zero(tensor: Tensor, depth: int, strictly: bool) -> bool:
    """Whether every value is surely above 0, or (not strictly) 0 or above."""
    known = value_of(tensor)
    if known is not None:
        return bool(np.all(known > 0 if strictly else known >= 0))
    if not tensor.inputs or depth == 0:
        return False
    maker = tensor.inputs[0]

    def each(tensors: list[Tensor], strictly: bool) -> Iterator[bool]:
        return (_at_least_zero(one, depth - 1, strictly) for one in tensors if one.name)

    key, inputs = key_of(maker), list(maker.inputs)
    if key in POSITIVE or (not strictly and key in NEVER_NEGATIVE):
        return True
    if key in ("Add", "Sum", "Mean"):
        return all(each(inputs, False)) and (not strictly or any(each(inputs, True)))
    if key == "Max":
        return any(each(inputs, strictly))
    if key == "Clip":
        return any(each(inputs[1:2], strictly)) or all(each([inputs[0], *inputs[2:]], strictly))
    if key == "Mul" and inputs[0] is inputs[1] and not strictly:
        return True
    if key in ("Mul", "Min", "Div", "Concat"):
        return all(each(inputs, strictly))
    if key == "Where":
        return all(each(inputs[1:], strictly))
    if key in FIRST or (key == "Pow" and strictly):
        return all(each(inputs[:1], strictly))
    if key == "Pow":
        power = value_of(inputs[1])
        return all(each(inputs[:1], False)) or (power is not None and bool(np.all(power % 2 == 0)))
    return False


POSITIVE = {"Exp", "Softmax", "Sigmoid", "Softplus", "Cosh"}
NEVER_NEGATIVE = {"Relu", "Abs", "HardSigmoid", "ReduceL1", "ReduceL2", "ReduceSumSquare"}
# What is positive where its first input is: moved, averaged, or through a function that keeps signs.
FIRST = {
    *("Identity", "Cast", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Transpose", "Slice", "Split"),
    *("Gather", "Expand", "Tile", "ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "AveragePool"),
    *("GlobalAveragePool", "MaxPool", "GlobalMaxPool", "Sqrt", "Reciprocal", "ReduceL1", "ReduceL2", "ReduceSumSquare"),
}


def _is_nonzero_constant(tensor: Tensor) -> bool:
    known = value_of(tensor)
    return known is not None and bool(np.all(known))


def _is_norm(tensor: Tensor) -> bool:
    """A vector over its own norm has no value at 0, so what its gradient is there matters to nobody."""
    while tensor.inputs and tensor.inputs[0].op in ("Expand", "Unsqueeze", "Identity", "Reshape", "Cast"):
        tensor = tensor.inputs[0].inputs[0]
    return bool(tensor.inputs) and tensor.inputs[0].op in ("ReduceL1", "ReduceL2", "Sqrt")


def _powers_are_smooth(exponent: Tensor) -> bool:
    """Exponents of at least 1, or 0."""
    known = value_of(exponent)
    return known is not None and bool(np.all((known >= 1) | (known == 0)))

"""Backward rules for ReLU: guided backpropagation and the deconvnet.

Both treat a rectifier alike however an exporter wrote it: Relu, Clip(0, 6), Max(x, 0), Min(Max(x, 0), 6),
Where(x > 0, x, 0), LeakyRelu, PRelu and ThresholdedRelu.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..autodiff.reverse import GRADIENTS, Gradient, Node
from ..build.emitter import Emitter
from ..graph.operator_traits import key_of, traits_of
from ..graph.tensors import Tensor, value_of
from .registry import default_rule


@default_rule("guided", subject="ReLU")
def guided(op: Emitter, node: Node, *grads: Tensor) -> list[Gradient] | None:
    """Only positive gradients, through positive activations (Springenberg et al. 2015, section 3.4)."""
    if rectified_input(node) is None:
        return None
    return list(GRADIENTS[key_of(node.source)](op, node, op.Relu(grads[0])))


@default_rule("deconvnet", subject="ReLU")
def deconvnet(op: Emitter, node: Node, *grads: Tensor) -> list[Gradient] | None:
    """Only positive gradients, wherever the input lay (Zeiler and Fergus 2014, section 2.1, "Rectification")."""
    index = rectified_input(node)
    if index is None:
        return None
    return [op.Relu(grads[0]) if i == index else None for i in range(len(node.inputs))]


def rectified_input(node: Node) -> int | None:
    """The index of the input that the node rectifies; None if it is no rectifier."""
    if not traits_of(node.source).rectifies:
        return None
    # Of the node itself, not the casts of float16 inputs: a Where is recognised by what its condition compares.
    return PATTERNS.get(node.op_type, _always)(list(node.source.inputs))


def _always(inputs: list[Tensor]) -> int | None:
    return 0


def _clip(inputs: list[Tensor]) -> int | None:
    """Clip(x, 0, ...)."""
    return 0 if len(inputs) > 1 and _is_zero(inputs[1]) else None


def _max(inputs: list[Tensor]) -> int | None:
    """Max(x, 0), either way round."""
    return next((i for i in (0, 1) if _is_zero(inputs[1 - i])), None) if len(inputs) == 2 else None


def _min(inputs: list[Tensor]) -> int | None:
    """Min(ReLU, constant), either way round: the cap of a ReLU6 that is written as two nodes."""
    if len(inputs) != 2:
        return None
    caps = [value_of(tensor) is not None for tensor in inputs]
    return next((i for i in (0, 1) if caps[1 - i] and _is_relu_output(inputs[i])), None)


def _where(inputs: list[Tensor]) -> int | None:
    """Where(x > 0, x, 0), with any comparison and either way round."""
    condition, *branches = inputs
    compare = condition.inputs[0] if condition is not None and condition.inputs else None
    if compare is None or compare.op not in ("Greater", "GreaterOrEqual", "Less", "LessOrEqual"):
        return None
    larger, smaller = compare.inputs if compare.op.startswith("Greater") else compare.inputs[::-1]
    for index, (kept, zero) in enumerate(((larger, smaller), (smaller, larger))):
        if branches[index] is kept and _is_zero(zero) and _is_zero(branches[1 - index]):
            return index + 1
    return None


# How operators rectify that do so for some operands only: from a node's inputs to the index of the rectified one.
PATTERNS: dict[str, Callable[[list[Tensor]], int | None]] = {"Clip": _clip, "Max": _max, "Min": _min, "Where": _where}


def _is_relu_output(tensor: Tensor) -> bool:
    makers = tensor.inputs
    return bool(makers) and (makers[0].op == "Relu" or (makers[0].op == "Max" and any(map(_is_zero, makers[0].inputs))))


def _is_zero(tensor: Tensor | None) -> bool:
    values = value_of(tensor)
    return values is not None and bool(np.all(values == 0))

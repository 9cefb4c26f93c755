"""Backward rule sets: tables laid over the gradient table, for methods that change how ReLU is differentiated.

    @backward_rule("mine", "Relu")
    def mine(op, node, grad):
        return [op.Mul(grad, 0.5)]          # or None: this node keeps its ordinary gradient

Both sets below treat a rectifier alike however an exporter wrote it: Relu, Clip(0, 6), Max(x, 0), Min(Max(x, 0), 6),
Where(x > 0, x, 0), LeakyRelu, PRelu and ThresholdedRelu.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from . import gradients as gradients  # registers the gradient table
from .backward import GRADIENTS, Gradient, Node, Override, Rules
from .emit import Emitter
from .errors import OnnxplainError, UsageError, closest
from .tensors import Tensor, value_of

RULES: dict[str, dict[str, Override]] = {"standard": {}}
RECTIFIERS = ("Relu", "Clip", "Max", "Min", "Where", "LeakyRelu", "PRelu", "ThresholdedRelu")


def backward_rule(name: str, *op_types: str) -> Callable[[Override], Override]:
    """Registers the decorated function in the rule set `name` for operators (`Name`, or `domain::Name`)."""

    def register(rule: Override) -> Override:
        for op_type in op_types:
            if op_type in RULES.setdefault(name, {}):
                raise ValueError(f"rule set {name!r} has a rule for {op_type} already")
            RULES[name][op_type] = rule
        return rule

    return register


def rule_set(name: str) -> Rules:
    """The gradient table under a rule set.

    Raises:
        UsageError: no rule set has this name.
    """
    if name not in RULES:
        raise UsageError(f"unknown backward rules {name!r}; {closest(name, RULES)}")
    return Rules(name, RULES[name])


@backward_rule("guided", *RECTIFIERS)
def guided(op: Emitter, node: Node, grad: Tensor) -> list[Gradient] | None:
    """Only positive gradients, through positive activations (Springenberg et al. 2015, section 3.4)."""
    if rectified_input(node) is None:
        return None
    return list(GRADIENTS[node.op_type](op, node, op.Relu(grad)))


@backward_rule("deconvnet", *RECTIFIERS)
def deconvnet(op: Emitter, node: Node, grad: Tensor) -> list[Gradient] | None:
    """Only positive gradients, wherever the input lay (Zeiler and Fergus 2014, section 2.1, "Rectification")."""
    index = rectified_input(node)
    if index is None:
        return None
    return [op.Relu(grad) if i == index else None for i in range(len(node.inputs))]


def require_applied(rules: Rules, model: str, end: str, start: Sequence[str]) -> None:
    """A rule set that changed nothing must not pass for one that did."""
    if rules.overrides and not rules.applied:
        what = "ReLU" if set(rules.overrides) <= set(RECTIFIERS) else f"operator that rules {rules.name!r} treat"
        raise OnnxplainError(
            f"{model}: no {what} lies between {', '.join(map(repr, start))} and {end!r}, so backward "
            f"rules {rules.name!r} would change nothing; choose an earlier layer, or rules='standard'"
        )


def rectified_input(node: Node) -> int | None:
    """The index of the input that the node rectifies; None if it is no rectifier."""
    inputs = node.source.inputs  # not the casts of float16 ones: a Where is recognised by what its condition compares
    if node.op_type in ("Relu", "LeakyRelu", "PRelu", "ThresholdedRelu"):
        return 0
    if node.op_type == "Clip":
        return 0 if len(inputs) > 1 and _is_zero(inputs[1]) else None
    if node.op_type == "Max" and len(inputs) == 2:
        return next((i for i in (0, 1) if _is_zero(inputs[1 - i])), None)
    if node.op_type == "Min" and len(inputs) == 2:  # the cap of a ReLU6 that is written as two nodes
        caps = [value_of(tensor) is not None for tensor in inputs]
        return next((i for i in (0, 1) if caps[1 - i] and _is_relu_output(inputs[i])), None)
    if node.op_type == "Where":
        condition, *branches = inputs
        compare = condition.inputs[0] if condition is not None and condition.inputs else None
        if compare is None or compare.op not in ("Greater", "GreaterOrEqual", "Less", "LessOrEqual"):
            return None
        larger, smaller = compare.inputs if compare.op.startswith("Greater") else compare.inputs[::-1]
        for index, (kept, zero) in enumerate(((larger, smaller), (smaller, larger))):
            if branches[index] is kept and _is_zero(zero) and _is_zero(branches[1 - index]):
                return index + 1
    return None


def _is_relu_output(tensor: Tensor) -> bool:
    makers = tensor.inputs
    return bool(makers) and (makers[0].op == "Relu" or (makers[0].op == "Max" and any(map(_is_zero, makers[0].inputs))))


def _is_zero(tensor: Tensor | None) -> bool:
    values = value_of(tensor)
    return values is not None and bool(np.all(values == 0))

"""How operators hand the labels of their inputs' axes on: a module a family, by operator or by its traits."""

from __future__ import annotations

from ..graph.operator_traits import Traits, key_of, traits_of
from . import movements as movements
from . import products as products
from .labels import Label
from .movements import split_at
from .step import RULES, Rule, Step, rule_for
from .windows import windows


def labels_of(step: Step) -> list[Label]:
    """The labels of the first output's axes; None for each where no rule tells."""
    traits = traits_of(step.node)
    rule = RULES.get(key_of(step.node)) or _by_traits(traits)
    return rule(step) if rule is not None else [None] * step.rank


def output_labels(step: Step, index: int) -> list[Label]:
    """The labels of any output of the node."""
    if step.node.op == "Split":
        return split_at(step, index)
    labels = labels_of(step)
    return labels[1:] if index else labels  # a recurrent layer's last states have no axis of steps


def _by_traits(traits: Traits) -> Rule | None:
    if traits.convolves or traits.pools:
        return windows
    if traits.pointwise:
        return pointwise
    if traits.normalises or traits.final:
        return same
    return None


@rule_for("DynamicQuantizeLinear", "LpNormalization", "MeanVarianceNormalization", "Hardmax")
def same(step: Step) -> list[Label]:
    """The axes of the first input."""
    labels = step.labels()
    return labels if len(labels) == step.rank else [None] * step.rank


def pointwise(step: Step) -> list[Label]:
    """The axes of all inputs, aligned at the last one: each is what any input says, if they agree."""
    result: list[Label] = [()] * step.rank
    for labels, tensor in zip(step.inputs, step.node.inputs, strict=True):
        if not tensor.name:
            continue
        if labels is None:
            return [None] * step.rank
        lead = step.rank - len(labels)
        for axis, label in enumerate(labels, lead):
            if tensor.shape[axis - lead] == 1 and step.out.shape[axis] != 1:
                continue
            result[axis] = step.merge(result[axis], label)
    return result

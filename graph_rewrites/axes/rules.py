"""How operators hand the labels of their inputs' axes on: a module a family, by operator or by its traits."""

from __future__ import annotations

from ..graph.operator_traits import Traits, key_of, traits_of
from . import movements as movements
from . import products as products
from .labels import Label
from .movements import split_at
from .products import recurrent
from .step import RULES, Rule, Step, axes_of
from .windows import windows


def labels_of(step: Step) -> list[Label]:
    """The labels of the first output's axes; None for each where no rule tells."""
    traits = traits_of(step.node)
    rule = RULES.get(key_of(step.node)) or _by_traits(traits)
    return rule(step) if rule is not None else [None] * step.rank


def output_labels(step: Step, index: int) -> list[Label]:
    """The labels of any output of the node; unknown of the further ones of most operators."""
    if step.node.op == "Split":
        return split_at(step, index)
    if step.node.op in ("LSTM", "GRU", "RNN"):
        return recurrent(step, index)
    if index and step.node.op != "TopK":
        return [None] * len(step.node.outputs[index].shape)
    return labels_of(step)


def _by_traits(traits: Traits) -> Rule | None:
    if traits.convolves or traits.pools:
        return windows
    if traits.pointwise:
        return pointwise
    if traits.normalises or traits.final:
        return same
    return None


@axes_of("DynamicQuantizeLinear", "LpNormalization", "MeanVarianceNormalization", "Hardmax")
def same(step: Step) -> list[Label]:
    """The axes of the first input."""
    labels = step.labels()
    return labels if len(labels) == step.rank else [None] * step.rank


@axes_of("ConstantOfShape", "EyeLike", "RandomNormal", "RandomUniform")
def filled(step: Step) -> list[Label]:
    """Axes of no source."""
    return [()] * step.rank


@axes_of("Det")
def leading(step: Step) -> list[Label]:
    """The axes before those of the matrices."""
    return step.labels()[:-2]


@axes_of("CumSum", "Trilu", "com.microsoft::QLinearSoftmax", "RandomNormalLike", "RandomUniformLike", "Bernoulli")
def first(step: Step) -> list[Label]:
    """The axes of the first input."""
    return step.labels()


@axes_of("Compress", "TopK", "ReverseSequence")
def reordered(step: Step) -> list[Label]:
    """The axes of the first input, but for the one along which positions are picked or moved."""
    labels = step.labels()
    axis = step.attrs.get("time_axis" if step.node.op == "ReverseSequence" else "axis")
    if axis is None or len(labels) != step.rank:
        return [None] * step.rank
    labels[axis] = None
    return labels


@axes_of("GridSample")
def sampled(step: Step) -> list[Label]:
    """Batch and channels; where the rest is taken from stands in the grid."""
    return [*step.labels()[:2], *[None] * (step.rank - 2)]


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

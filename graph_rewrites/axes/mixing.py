"""Which axes a node puts together, so that what it gives for one position depends on the others."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TypeAlias

import onnx_graphsurgeon as gs

from ..graph.operator_traits import key_of
from .labels import Label, Pieces, Source, only_source
from .products import contracted_letters, reduced_axes
from .step import Labels, Scope, Step

# The axes of the first input that a node puts together; None: all, and of its further inputs too.
Axes: TypeAlias = set[int] | None


def mixed_by(scope: Scope, node: gs.Node) -> Iterator[Source]:
    """The sources whose positions the node sums up, compares, normalises or picks from, or pairs with one another."""
    known = [(tensor, scope.labels[tensor.name]) for tensor in node.inputs if tensor.name in scope.labels]
    if not node.inputs or any(found is None for _, found in known):
        return  # unknown, as it has no rank
    step = scope.step(node)
    if node.op in ("MatMul", "Gemm", "com.microsoft::FusedMatMul"):
        yield from _contracted(step)
    elif node.op == "Einsum":
        yield from (source for label in contracted_letters(step) for source in sources_of(label))
    after = scope.labels.get(node.outputs[0].name) or []
    if node.op == "Slice":  # a part of the positions, or another order
        changed = [before for before, now in zip(step.labels(), after, strict=False) if before != now]
        yield from (source for label in changed for source in sources_of(label))
    rule = MIXED.get(key_of(node)) or (reduced_axes if node.op.startswith("Reduce") else None)
    axes: Axes = set() if rule is None else rule(step)
    for index, (_, found) in enumerate(known):
        for axis, label in enumerate(found or ()):
            if axes is None or (axis in axes and index == 0):
                yield from sources_of(label)
    counts = Counter(source for source in map(only_source, after) if source is not None)
    yield from (source for source, count in counts.items() if count > 1)  # a table of all against all


def crossings(labels: Labels) -> Iterator[frozenset[Source]]:
    """The pairs of inputs' batches that are different axes of one tensor."""
    batches = {source for source in map(only_source, labels or ()) if source and source.image and not source.image[1]}
    yield from map(frozenset, itertools.combinations(batches, 2))


def sources_of(label: Label) -> Iterator[Source]:
    """The sources that an axis goes through."""
    folds = [part.fold for part in label.parts] if isinstance(label, Pieces) else [label or ()]
    for fold in folds:
        yield from (digit.source for digit in fold)


def _contracted(step: Step) -> Iterator[Source]:
    a, b = step.labels(0), step.labels(1)
    if a:
        yield from sources_of(a[-2] if step.attrs.get("transA") and len(a) > 1 else a[-1])
    if len(b) > 1:
        yield from sources_of(b[-1] if step.attrs.get("transB") else b[-2])


def _at(default: int) -> Callable[[Step], Axes]:
    """The axis that the attribute `axis` names."""
    return lambda step: {step.attrs.get("axis", default) % len(step.labels())}


def _from_axis(step: Step) -> Axes:
    """The axes that a layer's normalisation runs over."""
    rank = len(step.labels())
    return set(range(step.attrs.get("axis", -1) % rank, rank))


def _norm_over(step: Step) -> Axes:
    return {axis % len(step.labels()) for axis in step.attrs.get("axes") or (0, 2, 3)}


def _in_training(step: Step) -> Axes:
    return {0, *range(2, len(step.labels()))} if step.attrs.get("training_mode") else set()


def _steps(step: Step) -> Axes:
    return {1 if step.attrs.get("layout") else 0}


def _summed_up(step: Step) -> Axes:
    axis = step.known(1)
    return None if axis is None else {int(axis.ravel()[0]) % len(step.labels())}


def _compressed(step: Step) -> Axes:
    axis = step.attrs.get("axis")
    return None if axis is None else {axis % len(step.labels())}


def _picked(step: Step) -> Axes:
    """The axis that a Gather picks from, other than that of a table."""
    return set() if step.is_constant(0) else {step.attrs.get("axis", 0) % len(step.labels())}


def _split(step: Step) -> Axes:
    return {step.attrs.get("axis", 0) % len(step.labels())} if len(step.node.outputs) > 1 else set()


def _every(step: Step) -> Axes:
    return None


MIXED: dict[str, Callable[[Step], Axes]] = {
    **dict.fromkeys(("ArgMax", "ArgMin"), reduced_axes),
    **dict.fromkeys(("Softmax", "LogSoftmax", "Hardmax", "LpNormalization", "TopK"), _at(-1)),
    **dict.fromkeys(("GatherElements", "ScatterElements"), _at(0)),
    **dict.fromkeys(("LayerNormalization", "RMSNormalization"), _from_axis),
    "MeanVarianceNormalization": _norm_over,
    "BatchNormalization": _in_training,
    **dict.fromkeys(("LSTM", "GRU", "RNN"), _steps),
    "CumSum": _summed_up,
    "Compress": _compressed,
    "ReverseSequence": lambda step: {step.attrs.get("time_axis", 0)},
    "Gather": _picked,
    "Split": _split,
    **dict.fromkeys(("NonMaxSuppression", "NonZero", "Unique"), _every),
}

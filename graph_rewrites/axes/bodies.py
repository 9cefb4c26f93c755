"""The bodies of If, Loop and Scan: their nodes are followed as those around them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import onnx_graphsurgeon as gs

from ..graph.node import subgraphs
from ..graph.tensors import Tensor
from .labels import Label, Source, only_source, whole
from .step import Labels, Mixed, Scope

ROUNDS = 4  # of a loop's body, until what it carries stays what it is


Visit: TypeAlias = Callable[[Scope, gs.Node], None]


def visit_bodies(scope: Scope, node: gs.Node, mixed: Mixed, visit: Visit) -> None:
    """Labels the outputs of a node with bodies; `mixed` is what its inputs no longer keep apart."""
    runs = {"If": _branches, "Loop": _loop, "Scan": _scan}.get(node.op, _unknown)
    for out, (labels, own) in zip(node.outputs, runs(scope, node, visit), strict=False):
        if not out.name:
            continue
        rank = None if out.shape is None else len(out.shape)
        scope.labels[out.name] = labels if labels is None or len(labels) == rank else None
        if mixed or own:
            scope.mixing[out.name] = {**mixed, **own}


Result: TypeAlias = tuple[Labels, Mixed]


def _unknown(scope: Scope, node: gs.Node, visit: Visit) -> list[Result]:
    return [(None, {})] * len(node.outputs)


def _branches(scope: Scope, node: gs.Node, visit: Visit) -> list[Result]:
    """What both branches say."""
    found = [_results(scope.inner(), graph, visit) for graph in subgraphs(node)]
    return [
        (_agreed([labels for labels, _ in each]), _union([own for _, own in each])) for each in zip(*found, strict=True)
    ]


def _loop(scope: Scope, node: gs.Node, visit: Visit) -> list[Result]:
    """What is carried is what it was before and is after; what each round gives has an axis of rounds in front."""
    (body,) = subgraphs(node)
    start = [(scope.of(tensor), scope.mixing.get(tensor.name, {})) for tensor in node.inputs[2:]]
    count = len(start)
    carried, found = _carried(scope, body, [([], {}), ([], {})], start, 1, visit)
    scans = [
        (None if labels is None else [_rounds(node.outputs[count + i]), *labels], own)
        for i, (labels, own) in enumerate(found[1 + count :])
    ]
    return [*carried, *scans]


def _scan(scope: Scope, node: gs.Node, visit: Visit) -> list[Result]:
    """Slices along an axis go in, and come out along one, which is the same where they all went along one."""
    (body,) = subgraphs(node)
    count = len(node.inputs) - node.attrs["num_scan_inputs"]
    start = [(scope.of(tensor), scope.mixing.get(tensor.name, {})) for tensor in node.inputs[:count]]
    slices: list[Result] = []
    along: list[Label] = []
    for i, tensor in enumerate(node.inputs[count:]):
        labels = scope.of(tensor)
        axis = (node.attrs.get("scan_input_axes") or [0] * len(node.inputs))[i]
        along.append(None if labels is None else labels[axis])
        rest = None if labels is None else [label for at, label in enumerate(labels) if at != axis % len(labels)]
        slices.append((rest, scope.mixing.get(tensor.name, {})))
    carried, found = _carried(scope, body, [], start, 0, visit, slices)
    turned = any([*(node.attrs.get("scan_input_directions") or []), *(node.attrs.get("scan_output_directions") or [])])
    source = None if turned or any(label != along[0] for label in along[1:]) else only_source(along[0])
    recurrent: Mixed = {} if not count else {one: node for label in along if (one := only_source(label)) is not None}
    scans: list[Result] = []
    for i, (labels, own) in enumerate(found[count:]):
        if labels is not None:
            axis = (node.attrs.get("scan_output_axes") or [0] * len(found))[i] % (len(labels) + 1)
            labels = [*labels[:axis], None if source is None else whole(source), *labels[axis:]]
        scans.append((labels, {**own, **recurrent}))
    return [*((labels, {**own, **recurrent}) for labels, own in carried), *scans]


def _carried(
    scope: Scope,
    body: gs.Graph,
    before: Sequence[Result],
    start: Sequence[Result],
    skipped: int,
    visit: Visit,
    behind: Sequence[Result] = (),
) -> tuple[list[Result], list[Result]]:
    """Runs a body until what it carries is the same before and after; returns that, and all results of the last run.

    Args:
        scope: around the body.
        body: its inputs are those `before`, the carried ones, and those `behind`.
        before: what the first inputs hold.
        start: what is carried, at the start.
        skipped: how many results come before the carried ones.
        visit: labels a node's outputs.
        behind: what the last inputs hold.
    """
    carried = list(start)
    found: list[Result] = []
    for _ in range(ROUNDS):
        inner = scope.inner()
        for tensor, (labels, own) in zip(body.inputs, [*before, *carried, *behind], strict=True):
            inner.labels[tensor.name], inner.mixing[tensor.name] = labels, own
        found = _results(inner, body, visit)
        after = found[skipped : skipped + len(start)]
        both = [
            (_agreed([one[0], other[0]]), _union([one[1], other[1]])) for one, other in zip(carried, after, strict=True)
        ]
        if both == carried:
            return carried, found
        carried = both
    return [(None, own) for _, own in carried], [(None, own) for _, own in found]


def _results(inner: Scope, graph: gs.Graph, visit: Visit) -> list[Result]:
    for node in graph.nodes:
        visit(inner, node)
    return [(inner.of(tensor), inner.mixing.get(tensor.name, {})) for tensor in graph.outputs]


def _agreed(several: Sequence[Labels]) -> Labels:
    """What all say of each axis, unknown where they do not; what is of no source takes the others' word."""
    first, *others = several
    if first is None or any(labels is None or len(labels) != len(first) for labels in others):
        return None
    result: list[Label] = []
    for each in zip(*(labels or [] for labels in several), strict=True):
        said = [label for label in each if label != ()] or [()]
        result.append(said[0] if all(label == said[0] for label in said) else None)
    return result


def _union(several: Sequence[Mixed]) -> Mixed:
    return {source: node for own in several for source, node in own.items()}


def _rounds(tensor: Tensor) -> Label:
    return whole(Source(tensor.name, 0, tensor.shape[0] if tensor.shape else None))

"""The labels of every tensor's axes, from the inputs on; which rows depend on which; which inputs share rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import onnx_graphsurgeon as gs

from ..graph.node import subgraphs, used_tensors
from ..graph.operator_traits import key_of
from ..graph.reachability import sources
from ..graph.tensors import Tensor, is_float
from ..model.model import Model
from .bodies import visit_bodies
from .labels import Label, Source, only_source, whole
from .mixing import crossings, mixed_by
from .rules import output_labels
from .step import Labels, Scope


@dataclass(frozen=True)
class AxisTrace:
    """What the axes of a model's tensors are.

    Attributes:
        labels: of each tensor's axes, by the tensor's name.
        mixing: by a tensor's name, the sources whose positions it no longer keeps apart, and the node that mixed them.
        meetings: pairs of sources that some operator takes position by position.
        crossings: pairs of sources, the batches of inputs, that are different axes of one tensor.
    """

    labels: Mapping[str, Labels]
    mixing: Mapping[str, Mapping[Source, gs.Node]]
    meetings: frozenset[frozenset[Source]]
    crossings: frozenset[frozenset[Source]]

    def of(self, tensor: Tensor) -> list[Label]:
        """The labels of a tensor's axes; None for each where nothing is known."""
        found = self.labels.get(tensor.name)
        return [None] * len(tensor.shape or ()) if found is None else list(found)

    def axis_of(self, tensor: Tensor, source: Source) -> int | None:
        """The axis that is a source, whole and alone."""
        return next((axis for axis, label in enumerate(self.of(tensor)) if only_source(label) == source), None)

    def met_by(self, sources: Collection[Source]) -> set[Source]:
        """The sources, and all that go with them position by position, directly or by others."""
        found, waiting = set(sources), list(sources)
        while waiting:
            source = waiting.pop()
            new = {other for pair in self.meetings if source in pair for other in pair} - found
            found |= new
            waiting.extend(new)
        return found

    def mixed(self, tensor: Tensor, source: Source) -> gs.Node | None:
        """The node by which positions of a source touch each other before the tensor; None where they do not."""
        return self.mixing.get(tensor.name, {}).get(source)


def lost_behind(model: Model, trace: AxisTrace, tensor: Tensor) -> str:
    """The first node before a tensor behind which axes are unknown, as the end of a clause, if there is one."""
    before = sources(model.graph.nodes, [tensor.name])
    for node in model.graph.nodes:
        out = node.outputs[0] if node.outputs else None
        if out is None or out.name not in before or not out.shape or not is_float(out):
            continue
        labels = [label for read in node.inputs if read.name in trace.labels for label in trace.of(read)]
        if None in trace.of(out) and labels and None not in labels:
            return f" behind {key_of(node)} (node {node.name or out.name!r})"
    return ""


def trace_axes(model: Model) -> AxisTrace:
    """Follows all axes through the model's nodes, once as long as these are the same."""
    trace: AxisTrace = model.once("axes", _trace)
    return trace


def _trace(model: Model) -> AxisTrace:
    scope = Scope(model)
    for tensor in model.inputs:
        if tensor.shape is not None:
            sources = [Source(tensor.name, axis, size, (tensor.name, axis)) for axis, size in enumerate(tensor.shape)]
            scope.labels[tensor.name] = [whole(source) for source in sources]
    for node in model.graph.nodes:
        _visit(scope, node)
    return AxisTrace(scope.labels, scope.mixing, frozenset(scope.meetings), frozenset(scope.crossings))


def _visit(scope: Scope, node: gs.Node) -> None:
    labels = scope.labels
    read = [tensor for tensor in used_tensors(node) if tensor.name]
    if not node.outputs or not any(tensor.name in labels for tensor in read):
        return
    mixed = {source: by for tensor in read for source, by in scope.mixing.get(tensor.name, {}).items()}
    if any(subgraphs(node)):
        visit_bodies(scope, node, mixed, _visit)
        return
    for index, out in enumerate(node.outputs):
        if out.name:
            labels[out.name] = None if out.shape is None else _labels(scope, node, index)
    own = {**mixed, **dict.fromkeys(mixed_by(scope, node), node)}
    for out in node.outputs:
        if own and out.name:
            scope.mixing[out.name] = own
        scope.crossings.update(crossings(labels.get(out.name)))


def _labels(scope: Scope, node: gs.Node, index: int) -> Labels:
    if any(tensor.name and tensor.shape is None for tensor in node.inputs) or not node.inputs:
        return [None] * len(node.outputs[index].shape)
    step = scope.step(node)
    found = output_labels(step, index)
    scope.meetings.update(map(frozenset, step.meetings))
    rank = len(node.outputs[index].shape)
    return found if len(found) == rank else [None] * rank

"""What is known of tensors while nodes are followed, one node with the labels of what it reads, and the rules."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import onnx_graphsurgeon as gs

from ..graph.node import view
from ..graph.tensors import Tensor, value_of
from ..model.model import Model
from .constants import known_entries, known_value, size_of
from .labels import Fold, Label, Size, Source, grid_source, merged, only_source, overlaid, whole

Labels: TypeAlias = list[Label] | None  # of a tensor's axes; None where its rank is unknown
Rule: TypeAlias = Callable[["Step"], list[Label]]
Mixed: TypeAlias = Mapping[Source, gs.Node]
RULES: dict[str, Rule] = {}


class Step:
    """One node, with the labels of what it reads.

    Attributes:
        node: the node, of operator set `opset`; its attributes with the specification's defaults are `attrs`.
        inputs: the labels of each input's axes.
        rank: the number of axes of the first output.
    """

    def __init__(self, node: gs.Node, opset: int, labels: Sequence[Labels], known: Mapping[str, Labels]) -> None:
        self.node, self.inputs, self.opset, self._known = node, labels, opset, known
        self.attrs: dict[str, Any] = view(node, opset).attrs
        self.out: Tensor = node.outputs[0]
        self.rank = len(self.out.shape or ())
        self.meetings: list[tuple[Source, Source]] = []  # axes of two inputs that go position by position

    def shape(self, index: int = 0) -> list[Size]:
        """The sizes of an input, as inference or its labels know them."""
        sizes = list(self.node.inputs[index].shape)
        labels = self.inputs[index] or [None] * len(sizes)
        return [size_of(label, size) for label, size in zip(labels, sizes, strict=True)]

    def labels(self, index: int = 0) -> list[Label]:
        """The labels of an input's axes."""
        found = self.inputs[index]
        return [None] * self.rank if found is None else list(found)

    def value(self, index: int) -> np.ndarray | None:
        """The values of an input that is constant."""
        inputs = self.node.inputs
        return value_of(inputs[index]) if index < len(inputs) and inputs[index].name else None

    def known(self, index: int) -> np.ndarray | None:
        """The values of an input that is constant, or follows from sizes that are known."""
        inputs = self.node.inputs
        return (
            known_value(inputs[index], self.opset, self._known) if index < len(inputs) and inputs[index].name else None
        )

    def entries(self, index: int) -> list[Size] | None:
        """The values of a vector of integers: numbers, symbols of open sizes, or None; None where nothing is known."""
        inputs = self.node.inputs
        return (
            known_entries(inputs[index], self.opset, self._known)
            if index < len(inputs) and inputs[index].name
            else None
        )

    def merge(self, a: Label, b: Label) -> Label:
        """The label of an axis that two inputs share element by element."""
        one, other = only_source(a), only_source(b)
        if one is not None and other is not None and one != other:
            self.meetings.append((one, other))
        return merged(a, b)

    def merge_all(self, labels: Sequence[Label]) -> Label:
        """The label of an axis that any number of inputs share."""
        sources = [source for source in map(only_source, labels) if source is not None and source.image is not None]
        if len(sources) == len(labels) and len(set(sources)) > 1 and len({source.image for source in sources}) == 1:
            return overlaid(sources)
        result: Label = ()
        for label in labels:
            result = self.merge(result, label)
        return result

    def sized_like(self) -> Labels:
        """The labels of the tensor whose whole shape is what the second input holds; None where it is another."""
        for maker in self.node.inputs[1].inputs if len(self.node.inputs) > 1 else ():
            if maker.op == "Shape" and not {"start", "end"} & set(maker.attrs):
                return self._known.get(maker.inputs[0].name)
        return None

    def is_constant(self, index: int) -> bool:
        """Whether an input is a weight, or computed from weights alone."""
        return self.node.inputs[index].name not in self._known

    def gridded(self, axis: int, label: Label, scale: float, shift: float, cut: bool = False) -> Label:
        """A new axis that is a grid over a label's own; unknown where that is no grid over an input."""
        source = grid_source(label)
        return None if source is None else self.made(axis, source, scale, shift, cut)

    def made(
        self, axis: int, like: Source | None = None, scale: float = 1, shift: float = 0, cut: bool = False
    ) -> Fold:
        """A new axis of the output; a grid over that of `like`, whose position 0 lies at its position `shift`."""
        axis %= self.rank
        size = self.out.shape[axis]
        if like is None or like.image is None:
            return whole(Source(self.out.name, axis, size))
        offset = like.offset + like.scale * shift
        return whole(Source(self.out.name, axis, size, like.image, like.scale * scale, offset, like.is_cut or cut))


def axes_of(*op_types: str) -> Callable[[Rule], Rule]:
    """Registers the decorated function, `(step) -> labels of the first output`, for operators (`Name`, `domain::Name`).

        @axes_of("my::Cube")
        def cube(step):
            return step.labels()

    Raises:
        ValueError: an operator has a rule already.
    """

    def register(rule: Rule) -> Rule:
        for op_type in op_types:
            if op_type in RULES:
                raise ValueError(f"{op_type} has a rule for its axes already: {RULES[op_type].__qualname__}")
            RULES[op_type] = rule
        return rule

    return register


@dataclass(frozen=True)
class Scope:
    """What is known of the tensors that a graph's nodes may read; the fields are those of `AxisTrace`, growing."""

    model: Model
    labels: MutableMapping[str, Labels] = field(default_factory=dict)
    mixing: MutableMapping[str, Mixed] = field(default_factory=dict)
    meetings: set[frozenset[Source]] = field(default_factory=set)
    crossings: set[frozenset[Source]] = field(default_factory=set)

    def of(self, tensor: Tensor) -> Labels:
        """The labels of a tensor's axes; weights, and what is made of them, are of no source."""
        if tensor.name in self.labels:
            return self.labels[tensor.name]
        return None if tensor.shape is None else [()] * len(tensor.shape)

    def step(self, node: gs.Node) -> Step:
        """A node with the labels of what it reads."""
        return Step(node, self.model.opset, [self.of(tensor) for tensor in node.inputs], self.labels)

    def inner(self) -> Scope:
        """The scope of a body, which sees all of this one."""
        labels, mixing = ChainMap({}, self.labels), ChainMap({}, self.mixing)
        return Scope(self.model, labels, mixing, self.meetings, self.crossings)

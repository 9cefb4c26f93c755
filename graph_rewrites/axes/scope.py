"""What is known of the tensors of a graph while its nodes are followed."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import TypeAlias

import onnx_graphsurgeon as gs

from ..graph.tensors import Tensor
from ..model.model import Model
from .labels import Source
from .step import Labels, Step

Mixed: TypeAlias = Mapping[Source, gs.Node]


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

"""One node with the labels of what it reads, and the rules by operator."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeAlias

import numpy as np
import onnx_graphsurgeon as gs

from ..graph.node import view
from ..graph.tensors import Tensor, value_of
from .labels import Fold, Label, Size, Source, merged, only_source, whole

Labels: TypeAlias = list[Label] | None  # of a tensor's axes; None where its rank is unknown
Rule: TypeAlias = Callable[["Step"], list[Label]]
RULES: dict[str, Rule] = {}


class Step:
    """One node, with the labels of what it reads.

    Attributes:
        node: the node; its attributes with the specification's defaults are `attrs`.
        inputs: the labels of each input's axes.
        rank: the number of axes of the first output.
    """

    def __init__(self, node: gs.Node, opset: int, labels: Sequence[Labels], computed: Collection[str]) -> None:
        self.node, self.inputs, self._computed = node, labels, computed
        self.attrs: dict[str, Any] = view(node, opset).attrs
        self.out: Tensor = node.outputs[0]
        self.rank = len(self.out.shape)
        self.meetings: list[tuple[Source, Source]] = []  # axes of two inputs that go position by position

    def shape(self, index: int = 0) -> list[Size]:
        """The sizes of an input."""
        return list(self.node.inputs[index].shape)

    def labels(self, index: int = 0) -> list[Label]:
        """The labels of an input's axes."""
        found = self.inputs[index]
        return [None] * self.rank if found is None else list(found)

    def value(self, index: int) -> np.ndarray | None:
        """The values of an input that is constant."""
        inputs = self.node.inputs
        return value_of(inputs[index]) if index < len(inputs) and inputs[index].name else None

    def merge(self, a: Label, b: Label) -> Label:
        """The label of an axis that two inputs share element by element."""
        one, other = only_source(a), only_source(b)
        if one is not None and other is not None and one != other:
            self.meetings.append((one, other))
        return merged(a, b)

    def is_constant(self, index: int) -> bool:
        """Whether an input is a weight, or computed from weights alone."""
        return self.node.inputs[index].name not in self._computed

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


def rule_for(*op_types: str) -> Callable[[Rule], Rule]:
    """Registers the decorated function for operators (`Name`, or `domain::Name`)."""

    def register(rule: Rule) -> Rule:
        RULES.update(dict.fromkeys(op_types, rule))
        return rule

    return register

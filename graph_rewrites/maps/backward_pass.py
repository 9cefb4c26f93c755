"""The reverse pass from the score: the gradients of any tensors, in one sweep."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import onnx_graphsurgeon as gs

from ..autodiff.reverse import Rules, sweep
from ..build.emitter import Emitter
from ..graph.tensors import Tensor


@dataclass(frozen=True)
class BackwardPass:
    """The reverse pass from the score through the model; what it made once it keeps.

    Attributes:
        op: appends nodes.
        nodes: the model's nodes, to the score.
        scores: [rows, 1], one row per sample and class.
        rules: the backward rules.
        how: makes the gradients.
        names: the tensors whose gradients maps ask for; all are made in one sweep.
    """

    op: Emitter
    nodes: Sequence[gs.Node]
    scores: Tensor
    rules: Rules
    how: Backward
    names: tuple[str, ...] = ()
    _known: dict[str, Tensor | None] = field(default_factory=dict)

    def gradients(self, names: Sequence[str]) -> dict[str, Tensor | None]:
        """dy/d<tensor> of some tensors; None where the score does not depend on one."""
        if not set(names) <= set(self._known):
            self._known.update(self.how(self, list(dict.fromkeys([*self.names, *names]))))
        return {name: self._known[name] for name in names}

    @property
    def is_used(self) -> bool:
        """Whether any gradient was asked for."""
        return bool(self._known)

    def ones(self) -> Tensor:
        """The gradient of every score with respect to itself."""
        return self.op.expand_like(np.ones((), np.float32), self.scores)

    def sweep(self, cotangents: dict[str, Tensor], names: Sequence[str], rules: Rules) -> dict[str, Tensor | None]:
        """The vector-Jacobian product of the model's nodes."""
        return sweep(self.op, self.nodes, cotangents, names, rules)


Backward: TypeAlias = Callable[[BackwardPass, Sequence[str]], dict[str, Tensor | None]]


def plain_backward(backward: BackwardPass, names: Sequence[str]) -> dict[str, Tensor | None]:
    """One reverse sweep from the score."""
    return backward.sweep({backward.scores.name: backward.ones()}, names, backward.rules)

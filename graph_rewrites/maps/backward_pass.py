"""What explanation methods draw on: the activations at a place of the model, and the gradient of the score there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import onnx_graphsurgeon as gs

from ..autodiff.reverse import Rules, sweep
from ..build.emitter import Emitter
from ..errors import OnnxplainError
from ..graph.tensors import Tensor
from ..targets.grid import Grid
from .heatmap import heatmaps, pixel_heatmap

FLOAT32 = gs.Variable("float32", np.dtype(np.float32))


@dataclass
class Trace:
    """The way from the score back through the model.

    Attributes:
        op: appends nodes.
        nodes: the model's nodes, to the score.
        scores: [rows, 1], one row per sample and class.
        rules: the backward rules.
        backward: how gradients are made of them.
        names: the tensors whose gradients the places ask for; all are made in one sweep.
    """

    op: Emitter
    nodes: Sequence[gs.Node]
    scores: Tensor
    rules: Rules
    backward: Backward
    names: Sequence[str] = ()
    _known: dict[str, Tensor | None] = field(default_factory=dict)

    def gradients(self, names: Sequence[str]) -> dict[str, Tensor | None]:
        """dy/d<tensor> of some tensors; None where the score does not depend on one."""
        if not set(names) <= set(self._known):
            self._known.update(self.backward(self, list(dict.fromkeys([*self.names, *names]))))
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


Backward: TypeAlias = Callable[[Trace, Sequence[str]], dict[str, Tensor | None]]


def plain_backward(trace: Trace, names: Sequence[str]) -> dict[str, Tensor | None]:
    """One reverse sweep from the score."""
    return trace.sweep({trace.scores.name: trace.ones()}, names, trace.rules)


@dataclass
class Place:
    """A tensor of the model that is explained: a layer's feature maps, or the input.

    Attributes:
        name: the tensor's name in the model.
        tensor: the model's own, one row per sample.
        rows: the same with one row per sample and class, where classes are computed together.
        grid: how its axes are laid out.
        trace: the way from the score to it.
        size: int64 vector, the spatial sizes of the input.
    """

    name: str
    tensor: Tensor
    rows: Tensor
    grid: Grid
    trace: Trace
    size: Tensor

    @property
    def op(self) -> Emitter:
        """Appends nodes."""
        return self.trace.op

    @cached_property
    def features(self) -> Tensor:
        """The activations A^k, [rows, C, *spatial], of the model's own dtype."""
        return self.grid.maps(self.op, self.rows)

    @cached_property
    def slopes(self) -> Tensor:
        """dy^c/dA^k, [rows, C, *spatial], of the model's own dtype, or float32 where that is narrower."""
        grad = self.trace.gradients([self.rows.name])[self.rows.name]
        if grad is None:
            raise OnnxplainError(f"the score's gradient at {self.name!r} is zero for every input; choose another layer")
        return self.grid.maps(self.op, grad)

    @cached_property
    def activation(self) -> Tensor:
        """The activations A^k, float32 [rows, C, *spatial]."""
        return self.op.cast_like(self.features, FLOAT32)

    @cached_property
    def gradient(self) -> Tensor:
        """dy^c/dA^k, float32 [rows, C, *spatial]."""
        return self.op.cast_like(self.slopes, FLOAT32)

    @property
    def spatial(self) -> list[int]:
        """The spatial axes of `activation` and `gradient`."""
        return list(range(2, len(self.activation.shape)))


@dataclass
class Maps:
    """What a method makes of one place.

    Attributes:
        at: where the method explains, see `Method`.
        build: the method.
        options: its options.
        place: the layer, or the input for a method that explains no layer.
        pixels: the input; None where nothing is wanted there.
    """

    at: str
    build: Callable[..., Tensor]
    options: Mapping[str, Any]
    place: Place
    pixels: Place | None

    @cached_property
    def cam(self) -> Tensor:
        """The map at the layer's resolution, or of the model at the input's: [rows, 1, *spatial]."""
        return self.build(self.place, **self.options)

    @cached_property
    def attribution(self) -> Tensor:
        """The map at the input, [rows, C, *size]; of a method that makes none, the gradient there."""
        if self.at == "input":
            return self.build(self.place, **self.options)
        if self.at == "both":
            return self.build(self.pixels, self.place, **self.options)
        return self.pixels.slopes if self.pixels else self.place.slopes


def heatmaps_of(maps: Sequence[Maps]) -> list[Tensor]:
    """The maps at the input's size, [rows, 1, *size] each; in [0, 1], or [-1, 1] where they are signed."""
    op, size = maps[0].place.op, maps[0].place.size
    if maps[0].at in ("input", "both"):
        return [pixel_heatmap(op, one.attribution) for one in maps]
    return heatmaps(op, [one.cam for one in maps], size)

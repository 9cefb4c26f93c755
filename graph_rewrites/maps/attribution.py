"""What a method makes of an explained tensor: a map at the layer, a map at the input, and heatmaps of those."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..graph.tensors import Tensor
from .explained_tensor import ExplainedTensor
from .heatmap import at_input_size, heatmaps, normalised, pixel_heatmap


@dataclass(frozen=True)
class Attribution:
    """What a method makes of one tensor.

    Attributes:
        at: where the method explains, see `Method`.
        build: the method.
        options: its options.
        subject: the layer, or the input for a method that explains no layer.
        pixels: the input; None where nothing is wanted there.
    """

    at: str
    build: Callable[..., Tensor]
    options: Mapping[str, Any]
    subject: ExplainedTensor
    pixels: ExplainedTensor | None

    @property
    def tensors(self) -> list[ExplainedTensor]:
        """What the method draws on."""
        return [self.subject, *([self.pixels] if self.pixels else [])]

    @cached_property
    def cam(self) -> Tensor:
        """The map at the layer's resolution, or of the model at the input's: [rows, 1, *spatial]."""
        return self.build(self.subject, **self.options)

    @cached_property
    def attribution(self) -> Tensor:
        """The map at the input, [rows, C, *size]; of a method that makes none, the gradient there."""
        if self.at == "input":
            return self.build(self.subject, **self.options)
        if self.at == "both":
            return self.build(self.pixels, self.subject, **self.options)
        return self.pixels.native_gradient if self.pixels else self.subject.native_gradient


def layer_heatmap(layer: ExplainedTensor, cam: Tensor) -> Tensor:
    """One map at the input's size: at its place, or over all of the input."""
    return normalised(layer.op, at_input_size(layer.op, cam, layer.size, layer.placement))


def heatmaps_of(maps: Sequence[Attribution]) -> list[Tensor]:
    """The maps at the input's size, [rows, 1, *size] each; in [0, 1], or [-1, 1] where they are signed."""
    op, size = maps[0].subject.op, maps[0].subject.size
    if maps[0].at in ("input", "both"):
        return [pixel_heatmap(op, one.attribution) for one in maps]
    spread = iter(heatmaps(op, [one.cam for one in maps if one.subject.placement is None], size))
    return [next(spread) if one.subject.placement is None else layer_heatmap(one.subject, one.cam) for one in maps]

"""What explanation methods draw on: the activations of a tensor of the model, and the gradient of the score there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from ..build.emitter import Emitter
from ..errors import OnnxplainError
from ..graph.tensors import FLOAT32, Tensor
from ..targets.grid import Grid
from ..targets.placement import Placement
from .backward_pass import BackwardPass


@dataclass(frozen=True)
class ExplainedTensor:
    """A tensor of the model that is explained: a layer's feature maps, or the input.

    Attributes:
        name: the tensor's name in the model.
        tensor: the model's own, one row per sample.
        rows: the same with one row per sample and class, where classes are computed together.
        grid: how its axes are laid out.
        backward: the reverse pass from the score to it.
        size: int64 vector, the spatial sizes of the input.
        placement: where its cells lie on the input; None where they cover it evenly.
        places: of the input: the same of the layers behind it, by name.
    """

    name: str
    tensor: Tensor
    rows: Tensor
    grid: Grid
    backward: BackwardPass
    size: Tensor
    placement: Placement | None = None
    places: Mapping[str, Placement | None] = field(default_factory=dict)

    @property
    def op(self) -> Emitter:
        """Appends nodes."""
        return self.backward.op

    @cached_property
    def native_activation(self) -> Tensor:
        """The activations A^k, [rows, C, *spatial], of the model's own dtype."""
        return self.grid.maps(self.op, self.rows)

    @cached_property
    def native_gradient(self) -> Tensor:
        """dy^c/dA^k, [rows, C, *spatial], of the model's own dtype, or float32 where that is narrower."""
        grad = self.backward.gradients([self.rows.name])[self.rows.name]
        if grad is None:
            raise OnnxplainError(f"the score's gradient at {self.name!r} is zero for every input; choose another layer")
        return self.grid.maps(self.op, grad)

    @cached_property
    def activation(self) -> Tensor:
        """The activations A^k, float32 [rows, C, *spatial]."""
        return self.op.cast_like(self.native_activation, FLOAT32)

    @cached_property
    def gradient(self) -> Tensor:
        """dy^c/dA^k, float32 [rows, C, *spatial]."""
        return self.op.cast_like(self.native_gradient, FLOAT32)

    @property
    def spatial(self) -> list[int]:
        """The spatial axes of `activation` and `gradient`."""
        return list(range(2, len(self.activation.shape)))

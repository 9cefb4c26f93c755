"""Operators on integers seen as functions of the reals that these stand for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..operands import MS, Array, Operator, Probe
from .changes import is_byte, is_float, on_reals
from .quantised import output_scale

ONE, TWO = ((0, 1, 2),), ((0, 1, 2), (3, 4, 5))
# Of each quantised tensor among the inputs: its index, that of its scale (None: of none), and that of its zero point.
QUANTISED = {
    **dict.fromkeys(("QLinearConv", "QLinearMatMul", f"{MS}QLinearConv", f"{MS}QGemm"), TWO),
    **dict.fromkeys((f"{MS}QLinearAdd", f"{MS}QLinearMul"), TWO),
    **dict.fromkeys((f"{MS}QLinear{op}" for op in ("AveragePool", "GlobalAveragePool", "ReduceMean")), ONE),
    **dict.fromkeys(("MatMulInteger", "ConvInteger"), ((0, None, 2), (1, None, 3))),
    f"{MS}MatMulIntegerToFloat": ((0, 2, 4), (1, 3, 5)),
    f"{MS}QAttention": ((0, 3, 6), (1, 4, 7)),
}


@dataclass(frozen=True, eq=False)
class Real:
    """A node as a function of its tensors of reals, to within a step of the output, if that is rounded.

    `tensors` has of each the index, that of its scale and that of its zero point; `scale` is the index of the output's.
    """

    probe: Probe
    tensors: Sequence[tuple[int, int | None, int | None]]
    scale: int | None = None
    finer: int = 1

    @cached_property
    def inputs(self) -> list[Array]:
        """What it is given."""
        read = [(self.probe.inputs[i], self._at(scale, 1), self._at(zero, 0)) for i, scale, zero in self.tensors]
        return [(np.float64(x) - zero) * scale for x, scale, zero in read]

    @cached_property
    def moderate(self) -> list[Array]:
        """The same, but small where a sum of products would leave the range of bytes."""
        rng = np.random.default_rng(7)
        is_bytes = [is_byte(self.probe.inputs[index]) for index, _, _ in self.tensors]
        return [self.draw(rng, i) if is_bytes[i] else own for i, own in enumerate(self.inputs)]

    @property
    def step(self) -> float:
        """By how much outputs are apart."""
        return 0.0 if self.scale is None else float(self.probe.inputs[self.scale]) / self.finer

    def __call__(self, *given: Array) -> Array:
        inputs = list(self.probe.inputs)
        for (index, scale, zero), x in zip(self.tensors, given, strict=True):
            own = np.asarray(self.probe.inputs[index])
            x = x if is_float(own) else np.rint(x / self._at(scale, 1) + self._at(zero, 0))
            inputs[index] = np.asarray(x).astype(own.dtype)
        if self.scale is None:
            return self.probe.run(inputs)[0].astype(np.float64)
        inputs[self.scale] = np.float32(self.step)
        return (self.probe.run(inputs)[0].astype(np.float64) - self._at(self.scale + 1, 0)) * self.step

    def with_(self, index: int, x: Array) -> Array:
        """Its value with another tensor in the place of one of its own."""
        return self(*(x if i == index else own for i, own in enumerate(self.moderate)))

    def draw(self, rng: np.random.Generator, index: int) -> Array:
        """Other reals for one of its tensors, of which integers hold small ones exactly."""
        own, scale, _ = self.tensors[index]
        shape = np.shape(self.probe.inputs[own])
        is_exact = is_float(self.probe.inputs[own])
        return rng.normal(size=shape) if is_exact else rng.integers(-20, 20, size=shape) * self._at(scale, 1)

    def _at(self, index: int | None, default: float) -> Array:
        return np.float64(default if index is None else self.probe.inputs[index])


def reals(operator: Operator, finer: int = 1) -> list[Real]:
    """Each node as a function of its tensors of floats, or of what integers of one scale stand for.

    Outputs that are rounded are so in steps that many times finer than usual.
    """
    found = []
    for probe in on_reals(operator):
        tensors = QUANTISED.get(operator.key)
        if tensors is None and is_float(probe.output):
            found.append(Real(probe, [(i, None, None) for i, x in enumerate(probe.inputs) if _is_operand(probe, x)]))
        elif tensors is not None and all(np.size(probe.inputs[i]) == 1 for _, *rest in tensors for i in rest if i):
            found.append(Real(probe, tensors, output_scale(operator) if is_byte(probe.output) else None, finer))
    return found


def _is_operand(probe: Probe, x: Array | None) -> bool:
    """Whether the input holds reals as the data does, rather than scales in float32."""
    return x is not None and np.size(x) > 0 and np.asarray(x).dtype == np.asarray(probe.data).dtype

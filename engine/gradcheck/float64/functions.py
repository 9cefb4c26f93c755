"""Functions and normalisations that onnx's reference evaluator computes wrongly or only in float32.

Found with onnx 1.23:

    Erf                          rounded to float32: `Erf(0.5) - math.erf(0.5)` is 5e-9 for a float64 input; so is Gelu
    Softsign                     refuses scalars
    LpNormalization              p = 1 sums x, not |x|: [3, -1] becomes [1.5, -0.5]
    LRN                          runs over x.shape[0] channels, not x.shape[1]; refuses any but 4 axes
    MeanVarianceNormalization    its function body mixes float32 constants with x, which float64 does not allow
    GroupNormalization           its function body computes in float32
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from onnx.reference.op_run import OpRun

Array: TypeAlias = np.ndarray[Any, Any]


class Erf(OpRun):
    """erf(x)."""

    def _run(self, x: Array) -> tuple[Array]:
        return (np.vectorize(math.erf, otypes=[np.float64])(x).astype(x.dtype),)


class Gelu(OpRun):
    """x*Phi(x), or its approximation by tanh."""

    def _run(self, x: Array, approximate: str = "none") -> tuple[Array]:
        if approximate == "tanh":
            gate = np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))
        else:
            gate = np.vectorize(math.erf, otypes=[np.float64])(x / math.sqrt(2))
        return ((x * (1 + gate) / 2).astype(x.dtype),)


class Softsign(OpRun):
    """x/(1 + |x|)."""

    def _run(self, x: Array) -> tuple[Array]:
        return (np.asarray(x / (1 + np.abs(x)), x.dtype),)


class LpNormalization(OpRun):
    """x over its p-norm along the axis; 0 where the norm is 0."""

    def _run(self, x: Array, axis: int = -1, p: int = 2) -> tuple[Array]:
        norm = np.linalg.norm(x, ord=p, axis=axis, keepdims=True)
        return (np.where(norm == 0, 0, x / np.where(norm == 0, 1, norm)).astype(x.dtype),)


class LRN(OpRun):
    """x/(bias + alpha/size * sum of x^2 over neighbouring channels)^beta."""

    def _run(self, x: Array, alpha: float, beta: float, bias: float, size: int) -> tuple[Array]:
        before, after = (size - 1) // 2, size // 2
        channels = range(x.shape[1])
        sums = [(x[:, max(c - before, 0) : c + after + 1] ** 2).sum(axis=1) for c in channels]
        return ((x / (bias + alpha / size * np.stack(sums, axis=1)) ** beta).astype(x.dtype),)


class MeanVarianceNormalization(OpRun):
    """(x - mean)/(standard deviation + 1e-9)."""

    def _run(self, x: Array, axes: Sequence[int] = (0, 2, 3)) -> tuple[Array]:
        axes = tuple(axes)
        centred = x - x.mean(axes, keepdims=True)
        return ((centred / (x.std(axes, keepdims=True) + 1e-9)).astype(x.dtype),)


class GroupNormalization(OpRun):
    """Scale and bias have one element a group (opset 18 to 20) or one a channel (from 21 on)."""

    def _run(
        self, x: Array, scale: Array, bias: Array, num_groups: int, epsilon: float = 1e-5, **_: Any
    ) -> tuple[Array]:
        groups = x.reshape(x.shape[0], num_groups, -1)
        variance = groups.var(axis=2, keepdims=True)
        normal = ((groups - groups.mean(axis=2, keepdims=True)) / np.sqrt(variance + epsilon)).reshape(x.shape)
        repeats = x.shape[1] // scale.size
        scale, bias = (np.repeat(v, repeats).reshape(-1, *[1] * (x.ndim - 2)) for v in (scale, bias))
        return ((normal * scale + bias).astype(x.dtype),)


FUNCTIONS: list[type[OpRun]] = [
    *(Erf, Gelu, Softsign, LpNormalization, LRN, MeanVarianceNormalization, GroupNormalization),
]

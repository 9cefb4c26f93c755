"""Elementary functions of one input, and operators whose output does not vary with their inputs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

from ....build.emitter import Emitter
from ....graph.operator_traits import traits_of
from ....graph.tensors import Tensor
from ...lib.singularities import masked_at_zero, settled
from ...reverse import Gradient, Node, gradient_of

Formula: TypeAlias = Callable[[Emitter, Tensor, Tensor, Tensor], Tensor]

# (op, g, x, y) -> dx, with the node's input x, its output y and the output's gradient g. At kinks and poles as PyTorch:
# Abs has derivative 0 at 0, Sqrt an infinite one. sinh(x) = cosh(x) tanh(x) neither cancels near 0 nor, as Sinh itself,
# lacks a CUDA kernel; (1-x)(1+x) keeps the digits that 1-x*x loses near 1.
FORMULAS: dict[str, Formula] = {
    "Neg": lambda op, g, x, y: op.Neg(g),
    "Abs": lambda op, g, x, y: op.Mul(g, op.Sign(x)),
    "Reciprocal": lambda op, g, x, y: op.Neg(op.Mul(g, op.Mul(y, y))),
    "Sqrt": lambda op, g, x, y: op.Div(op.Mul(g, 0.5), y),
    "Exp": lambda op, g, x, y: op.Mul(g, y),
    "Log": lambda op, g, x, y: op.Div(g, x),
    "Erf": lambda op, g, x, y: op.Mul(g, op.Mul(op.Exp(op.Neg(op.Mul(x, x))), 2 / math.sqrt(math.pi))),
    "Sin": lambda op, g, x, y: op.Mul(g, op.Cos(x)),
    "Cos": lambda op, g, x, y: op.Neg(op.Mul(g, op.Sin(x))),
    "Tan": lambda op, g, x, y: op.Mul(g, op.Add(op.Mul(y, y), 1.0)),
    "Asin": lambda op, g, x, y: op.Div(g, op.Sqrt(_one_minus_square(op, x))),
    "Acos": lambda op, g, x, y: op.Neg(op.Div(g, op.Sqrt(_one_minus_square(op, x)))),
    "Atan": lambda op, g, x, y: op.Div(g, op.Add(op.Mul(x, x), 1.0)),
    "Sinh": lambda op, g, x, y: op.Mul(g, op.Mul(op.Add(op.Exp(x), op.Exp(op.Neg(x))), 0.5)),
    "Cosh": lambda op, g, x, y: op.Mul(g, op.Mul(y, op.Tanh(x))),
    "Asinh": lambda op, g, x, y: op.Div(g, op.Sqrt(op.Add(op.Mul(x, x), 1.0))),
    "Acosh": lambda op, g, x, y: op.Div(g, op.Sqrt(op.Mul(op.Sub(x, 1.0), op.Add(x, 1.0)))),
    "Atanh": lambda op, g, x, y: op.Div(g, _one_minus_square(op, x)),
}


def _one_minus_square(op: Emitter, x: Tensor) -> Tensor:
    return op.Mul(op.Sub(1.0, x), op.Add(x, 1.0))


def _register(op_type: str, formula: Formula) -> None:
    @gradient_of(op_type)
    def rule(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
        dx = formula(op, grad, node.inputs[0], node.outputs[0])
        return [settled(op, node, grad, masked_at_zero(op, grad, dx) if traits_of(op_type).singular else dx)]


for _op_type, _formula in FORMULAS.items():
    _register(_op_type, _formula)


@gradient_of("Floor", "Ceil", "Round", "Sign", "Hardmax", "MelWeightMatrix")
def piecewise_constant(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx = 0, at the steps too (as PyTorch); MelWeightMatrix rounds the frequencies down to whole bins."""
    return [None] * len(node.inputs)


@gradient_of("EyeLike", "RandomNormalLike", "RandomUniformLike", "Bernoulli")
def independent(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx = 0: only the input's shape counts, or (Bernoulli) a random draw that has no derivative."""
    return [None]


@gradient_of("Range")
def range_(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """y_k = start + k*delta: dstart = sum(g), ddelta = sum(g*k); the limit sets the length alone."""
    start, _, delta = node.inputs

    def ddelta() -> Tensor:
        steps = op.arange(op.size(grad, 0))
        return op.reshape_like(op.ReduceSum(op.Mul(grad, op.cast_like(steps, grad)), keepdims=0), delta)

    return [lambda: op.reshape_like(op.ReduceSum(grad, keepdims=0), start), None, ddelta]


@gradient_of("OneHot")
def one_hot(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """Gradient of `values` = [off, on]: g summed over the entries that hold each; none for indices and depth."""
    indices, depth, values = node.inputs

    def dvalues() -> Tensor:
        # Which entries are on, laid out as [off, on] does: the same node with the values 0 and 1.
        on = op.OneHot(indices, depth, op.cast_like(op.tensor([0, 1]), values), axis=node.attrs["axis"])
        kept = op.Reshape(op.ReduceSum(op.Mul(grad, on), keepdims=0), [1])
        total = op.Reshape(op.ReduceSum(grad, keepdims=0), [1])
        return op.Concat(op.Sub(total, kept), kept, axis=0)

    return [None, None, dvalues]

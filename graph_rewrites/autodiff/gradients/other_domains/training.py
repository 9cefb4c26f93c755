"""Steps of optimisers (domain ai.onnx.preview.training) as primitives, one decomposition an operator.

Each takes the learning rate R, the update count T and n tensors of every kind (X, its gradient G, its accumulators),
grouped by kind, and returns the new X and accumulators, grouped likewise. Source: the operators' specifications.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from ....build.emitter import Emitter
from ....graph.node import Node
from ....graph.tensors import Tensor, dtype_of
from ...decompose import decomposition_of

DOMAIN = "ai.onnx.preview.training"
Update: TypeAlias = Callable[..., tuple[Tensor, ...]]


def _each(node: Node, kinds: int, update: Update) -> list[Tensor]:
    """Applies `update` to each tensor, with its gradient and accumulators."""
    tensors = node.inputs[2:]
    count = len(tensors) // kinds
    results = [update(*tensors[i::count]) for i in range(count)]
    return [tensor for kind in zip(*results, strict=True) for tensor in kind]


def _regularised(op: Emitter, node: Node, x: Tensor, g: Tensor) -> Tensor:
    return op.Add(op.Mul(x, node.attrs["norm_coefficient"]), g)


@decomposition_of(f"{DOMAIN}::Adagrad")
def adagrad(op: Emitter, node: Node) -> list[Tensor]:
    """H' = H + G^2, X' = X - R/(1 + T*decay_factor)*G/(sqrt(H') + epsilon), G with the norm's gradient."""
    rate, count = node.inputs[:2]
    decay = op.Add(op.Mul(op.Cast(count, to=dtype_of(rate)), node.attrs["decay_factor"]), 1.0)

    def update(x: Tensor, g: Tensor, h: Tensor) -> tuple[Tensor, ...]:
        g = _regularised(op, node, x, g)
        squares = op.Add(h, op.Mul(g, g))
        step = op.Div(g, op.Add(op.Sqrt(squares), node.attrs["epsilon"]))
        return op.Sub(x, op.Mul(op.Div(rate, decay), step)), squares

    return _each(node, 3, update)


@decomposition_of(f"{DOMAIN}::Momentum")
def momentum(op: Emitter, node: Node) -> list[Tensor]:
    """V' = alpha*V + beta*G (beta 1 at T = 0); X' = X - R*V', or X - R*(G + alpha*V') for mode nesterov."""
    rate, count = node.inputs[:2]
    alpha = node.attrs["alpha"]
    beta = op.Where(op.Greater(count, 0), op.tensor(node.attrs["beta"], rate), op.tensor(1.0, rate))

    def update(x: Tensor, g: Tensor, v: Tensor) -> tuple[Tensor, ...]:
        g = _regularised(op, node, x, g)
        velocity = op.Add(op.Mul(v, alpha), op.Mul(beta, g))
        nesterov = node.attrs["mode"] == "nesterov"
        step = op.Add(g, op.Mul(velocity, alpha)) if nesterov else velocity
        return op.Sub(x, op.Mul(rate, step)), velocity

    return _each(node, 3, update)


@decomposition_of(f"{DOMAIN}::Adam")
def adam(op: Emitter, node: Node) -> list[Tensor]:
    """V' = alpha*V + (1 - alpha)*G, H' = beta*H + (1 - beta)*G^2, X' = (1 - post)*(X - R'*V'/(sqrt(H') + epsilon)).

    R' = R*sqrt(1 - beta^T)/(1 - alpha^T), or R at T = 0.
    """
    rate, count = node.inputs[:2]
    alpha, beta = node.attrs["alpha"], node.attrs["beta"]
    updates = op.Cast(op.Max(count, 1), to=dtype_of(rate))
    first, second = (op.Sub(1.0, op.Pow(op.tensor(decay, rate), updates)) for decay in (alpha, beta))
    correction = op.Where(op.Greater(count, 0), op.Div(op.Sqrt(second), first), op.tensor(1.0, rate))

    def update(x: Tensor, g: Tensor, v: Tensor, h: Tensor) -> tuple[Tensor, ...]:
        g = _regularised(op, node, x, g)
        velocity = op.Add(op.Mul(v, alpha), op.Mul(g, 1 - alpha))
        squares = op.Add(op.Mul(h, beta), op.Mul(op.Mul(g, g), 1 - beta))
        step = op.Div(velocity, op.Add(op.Sqrt(squares), node.attrs["epsilon"]))
        moved = op.Sub(x, op.Mul(op.Mul(rate, correction), step))
        return op.Mul(moved, 1 - node.attrs["norm_coefficient_post"]), velocity, squares

    return _each(node, 4, update)

"""Batch normalisation, with the stored statistics and with those of the batch."""

from __future__ import annotations

from functools import reduce

from ....build.emitter import Emitter
from ....graph.tensors import Tensor
from ...lib.singularities import settled
from ...reverse import Gradient, Node, gradient_of
from .normalisation import all_but_channels, over_channels, standardise, standardised_gradient, statistics_gradient


@gradient_of("BatchNormalization")
def batch_normalization(op: Emitter, node: Node, *grads: Tensor | None) -> list[Gradient]:
    """Inference or training, as the attribute `training_mode` says."""
    return (_training if node.attrs["training_mode"] else _inference)(op, node, *grads)


def _inference(op: Emitter, node: Node, grad: Tensor, *_: Tensor | None) -> list[Gradient]:
    """y = scale*(x - mean)*r + bias, r = (var + eps)^-1/2, with the stored mean and variance.

    dx = g*scale*r, dscale = sum(g*(x - mean))*r, dbias = sum(g), dmean = -sum(g)*scale*r,
    dvar = -dscale*scale*r^2/2; sums over all axes but the channels.
    """
    x, scale, _, mean, variance = node.inputs
    r = op.Reciprocal(op.Sqrt(op.Add(variance, node.attrs["epsilon"])))
    factor = op.Mul(op.cast_like(scale, r), r)

    def sums(tensor: Tensor) -> Tensor:
        return op.reduce("ReduceSum", tensor, all_but_channels(x), keepdims=False)

    def dscale() -> Tensor:
        centred = op.Sub(x, over_channels(op, op.cast_like(mean, x), x))
        return op.Mul(op.cast_like(sums(op.Mul(grad, centred)), r), r)

    return [
        settled(op, node, grad, op.Mul(grad, op.cast_like(over_channels(op, factor, x), grad))),
        lambda: op.cast_like(dscale(), scale),
        lambda: op.cast_like(sums(grad), scale),
        lambda: op.Neg(op.Mul(op.cast_like(sums(grad), r), factor)),
        lambda: op.Mul(op.Mul(op.Mul(dscale(), factor), r), -0.5),
    ]


def _training(
    op: Emitter,
    node: Node,
    grad: Tensor | None,
    mean_grad: Tensor | None = None,
    variance_grad: Tensor | None = None,
) -> list[Gradient]:
    """y = scale*n + bias, n standardised over all axes but the channels; running = m*stored + (1 - m)*batch.

    dx: see `standardised_gradient`, for g*scale, and `statistics_gradient`; dscale = sum(g*n), dbias = sum(g).
    """
    x, scale = node.inputs[:2]
    axes, momentum = all_but_channels(x), node.attrs["momentum"]
    n, r = standardise(op, x, axes, node.attrs["epsilon"])

    def sums(tensor: Tensor) -> Tensor:
        return op.cast_like(op.reduce("ReduceSum", tensor, axes, keepdims=False), scale)

    def over(vector: Tensor) -> Tensor:
        return over_channels(op, op.cast_like(vector, n), x)

    def dx() -> Tensor:
        parts = []
        if grad is not None:
            scaled = op.Mul(op.cast_like(grad, n), over(scale))
            parts.append(standardised_gradient(op, scaled, n, r, axes))
        if mean_grad is not None:
            parts.append(statistics_gradient(op, x, axes, over(op.Mul(mean_grad, 1 - momentum))))
        if variance_grad is not None:  # the variance of x has the gradient 2*(x - mean)/N, and n = (x - mean)*r
            slope = op.Div(over(op.Mul(variance_grad, 2 * (1 - momentum))), r)
            parts.append(statistics_gradient(op, x, axes, op.Mul(slope, n)))
        return op.cast_like(reduce(op.Add, parts), x)

    def stored(flowing: Tensor | None) -> Tensor | None:
        return None if flowing is None else op.Mul(flowing, momentum)

    return [
        dx,
        None if grad is None else lambda: sums(op.Mul(op.cast_like(grad, n), n)),
        None if grad is None else lambda: sums(grad),
        stored(mean_grad),
        stored(variance_grad),
    ]

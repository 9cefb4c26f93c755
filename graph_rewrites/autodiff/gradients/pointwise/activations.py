"""Activation functions."""

from __future__ import annotations

import math

from ....build.emitter import Emitter
from ....graph.tensors import Tensor
from ...lib.singularities import masked, masked_at_zero, may_be_infinite, settled
from ...reverse import Gradient, Node, gradient_of


@gradient_of("Relu")
def relu(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx = g where x > 0 (0 at x = 0, as PyTorch)."""
    (y,) = node.outputs
    return [masked(op, node, grad, op.Greater(y, 0.0))]


@gradient_of("LeakyRelu")
def leaky_relu(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx = g where x > 0, else alpha*g (alpha*g at x = 0, as PyTorch)."""
    (x,), alpha = node.inputs, node.attrs["alpha"]
    return [settled(op, node, grad, op.Mul(grad, op.Add(op.Mul(_positive(op, x), 1 - alpha), alpha)))]


@gradient_of("PRelu")
def prelu(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx = g where x > 0, else slope*g (slope*g at x = 0, as PyTorch); dslope = g*min(x, 0)."""
    x, slope = node.inputs

    def dx() -> Tensor:
        dx = op.Mul(grad, op.Add(op.Mul(_positive(op, x), op.Sub(1.0, slope)), slope))
        return settled(op, node, grad, dx)

    return [dx, lambda: settled(op, node, grad, op.Mul(grad, op.Min(x, 0.0)))]


@gradient_of("ThresholdedRelu")
def thresholded_relu(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx = g where x > alpha (0 at x = alpha, as PyTorch's `threshold`)."""
    (x,) = node.inputs
    return [masked(op, node, grad, op.Greater(x, node.attrs["alpha"]))]


@gradient_of("Shrink")
def shrink(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx = g where |x| > lambd (0 at |x| = lambd, as PyTorch's shrinks)."""
    (x,) = node.inputs
    return [masked(op, node, grad, op.Greater(op.Abs(x), node.attrs["lambd"]))]


@gradient_of("Elu")
def elu(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx = g where x > 0, else g*alpha*exp(x) (g*alpha at x = 0, as PyTorch)."""
    return [settled(op, node, grad, op.Mul(grad, _exponential_slope(op, node, 1.0)))]


@gradient_of("Selu")
def selu(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx = g*gamma where x > 0, else g*gamma*alpha*exp(x) (g*gamma*alpha at x = 0, as PyTorch)."""
    return [settled(op, node, grad, op.Mul(grad, _exponential_slope(op, node, node.attrs["gamma"])))]


@gradient_of("Celu")
def celu(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx = g*exp(min(x, 0)/alpha), which is g where x >= 0."""
    (x,) = node.inputs
    return [settled(op, node, grad, op.Mul(grad, op.Exp(op.Mul(op.Min(x, 0.0), 1 / node.attrs["alpha"]))))]


@gradient_of("Sigmoid")
def sigmoid(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx = g*y*(1 - y)."""
    (y,) = node.outputs
    return [settled(op, node, grad, op.Mul(grad, op.Mul(y, op.Sub(1.0, y))))]


@gradient_of("Tanh")
def tanh(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx = g*(1 - y*y)."""
    (y,) = node.outputs
    return [settled(op, node, grad, op.Mul(grad, op.Sub(1.0, op.Mul(y, y))))]


@gradient_of("HardSigmoid")
def hard_sigmoid(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """y = clip(alpha*x + beta, 0, 1): dx = g*alpha where 0 < y < 1 (0 at both kinks, as PyTorch)."""
    (y,) = node.outputs
    inside = op.cast_like(op.And(op.Greater(y, 0.0), op.Less(y, 1.0)), grad)
    return [settled(op, node, grad, op.Mul(grad, op.Mul(inside, node.attrs["alpha"])))]


@gradient_of("HardSwish")
def hard_swish(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """y = x*(c + 1/2), c = clip(x/6, -1/2, 1/2): dx = g*(c + 1/2 + c where |x| < 3); 0 at x = -3, g at x = 3."""
    (x,) = node.inputs
    c = op.Clip(op.Mul(x, 1 / 6), -0.5, 0.5)
    inside = op.cast_like(op.Less(op.Abs(x), 3.0), grad)
    return [settled(op, node, grad, op.Mul(grad, op.Add(op.Mul(c, op.Add(inside, 1.0)), 0.5)))]


@gradient_of("Swish")
def swish(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """y = x*s, s = sigmoid(alpha*x): dx = g*(s + alpha*y*(1 - s))."""
    (x,), (y,), alpha = node.inputs, node.outputs, node.attrs["alpha"]
    s = op.Sigmoid(x if alpha == 1 else op.Mul(x, alpha))
    slope = op.Mul(y, op.Sub(1.0, s))
    return [settled(op, node, grad, op.Mul(grad, op.Add(s, slope if alpha == 1 else op.Mul(slope, alpha))))]


@gradient_of("Mish")
def mish(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """y = x*t, t = tanh(softplus(x)): dx = g*(t + x*sigmoid(x)*(1 - t*t))."""
    (x,) = node.inputs
    t = op.Tanh(op.Softplus(x))
    return [
        settled(op, node, grad, op.Mul(grad, op.Add(t, op.Mul(op.Mul(x, op.Sigmoid(x)), op.Sub(1.0, op.Mul(t, t))))))
    ]


@gradient_of("Gelu")
def gelu(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """y = x*Phi(x), dx = g*(Phi(x) + x*phi(x)); with approximate="tanh" the derivative of that approximation.

    y = x*(1 + t)/2, t = tanh(u), u = k*(x + c*x^3): dx = g*(1 + t + x*(1 - t*t)*k*(1 + 3*c*x^2))/2.
    """
    (x,) = node.inputs
    square = op.Mul(x, x)
    if node.attrs["approximate"] == "tanh":
        k, c = math.sqrt(2 / math.pi), 0.044715
        t = op.Tanh(op.Mul(x, op.Add(op.Mul(square, k * c), k)))
        slope = op.Mul(op.Mul(x, op.Sub(1.0, op.Mul(t, t))), op.Add(op.Mul(square, 3 * k * c), k))
        return [settled(op, node, grad, op.Mul(grad, op.Mul(op.Add(op.Add(t, 1.0), slope), 0.5)))]
    cumulative = op.Mul(op.Add(op.Erf(op.Mul(x, math.sqrt(0.5))), 1.0), 0.5)
    density = op.Mul(op.Exp(op.Mul(square, -0.5)), 1 / math.sqrt(2 * math.pi))
    return [settled(op, node, grad, op.Mul(grad, op.Add(cumulative, op.Mul(x, density))))]


@gradient_of("Softplus")
def softplus(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx = g*sigmoid(x), which overflows at neither end."""
    (x,) = node.inputs
    return [settled(op, node, grad, op.Mul(grad, op.Sigmoid(x)))]


@gradient_of("Softsign")
def softsign(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """y = x/(1 + |x|): dx = g/(1 + |x|)^2."""
    (x,) = node.inputs
    root = op.Reciprocal(op.Add(op.Abs(x), 1.0))
    return [settled(op, node, grad, op.Mul(grad, op.Mul(root, root)))]


@gradient_of("Softmax")
def softmax(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx = y*(g - sum(g*y)) along the axis; of -inf alone (a row of attention that is masked whole) y is NaN."""
    (y,) = node.outputs
    inner = op.ReduceSum(op.Mul(grad, y), [node.attrs["axis"]], keepdims=1)
    dx = op.Mul(y, op.Sub(grad, inner))
    return [masked_at_zero(op, grad, dx) if may_be_infinite(node.source.inputs[0]) else dx]


@gradient_of("LogSoftmax")
def log_softmax(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx = g - exp(y)*sum(g) along the axis; of -inf alone y is NaN."""
    (y,) = node.outputs
    dx = op.Sub(grad, op.Mul(op.Exp(y), op.ReduceSum(grad, [node.attrs["axis"]], keepdims=1)))
    return [masked_at_zero(op, grad, dx) if may_be_infinite(node.source.inputs[0]) else dx]


def _positive(op: Emitter, x: Tensor) -> Tensor:
    """1 where x > 0, else 0."""
    return op.cast_like(op.Greater(x, 0.0), x)


def _exponential_slope(op: Emitter, node: Node, scale: float) -> Tensor:
    """Scale where x > 0, else scale*alpha*exp(x); the exponent never exceeds 0, so it cannot overflow."""
    (x,), alpha = node.inputs, node.attrs["alpha"]
    decay = op.Exp(op.Min(x, 0.0))
    if scale * alpha != 1:
        decay = op.Mul(decay, scale * alpha)
    if alpha == 1:
        return decay
    return op.Add(decay, op.Mul(_positive(op, x), scale * (1 - alpha)))

"""Normalisation layers. Means and variances are recomputed in two passes, which keeps their digits in float32."""

from __future__ import annotations

from functools import reduce

from ....build.emitter import Emitter
from ....graph.tensors import Tensor, dtype_of, rank
from ...reverse import Gradient, Node, gradient_of


@gradient_of("InstanceNormalization")
def instance_normalization(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """y = scale*n + bias, n standardised over the spatial axes of each channel of each sample.

    dx: see `standardised_gradient`, for g*scale; dscale = sum(g*n), dbias = sum(g), over all axes but the channels.
    """
    x, scale, _ = node.inputs
    axes = list(range(2, rank(x)))
    n, r = standardise(op, x, axes, node.attrs["epsilon"])
    g = op.cast_like(grad, n)
    scaled = op.Mul(g, over_channels(op, op.cast_like(scale, n), x))
    return [
        op.cast_like(standardised_gradient(op, scaled, n, r, axes), x),
        lambda: op.cast_like(op.reduce("ReduceSum", op.Mul(g, n), all_but_channels(x), keepdims=False), scale),
        lambda: op.reduce("ReduceSum", grad, all_but_channels(x), keepdims=False),
    ]


@gradient_of("LayerNormalization")
def layer_normalization(
    op: Emitter, node: Node, grad: Tensor | None, mean_grad: Tensor | None = None, r_grad: Tensor | None = None
) -> list[Gradient]:
    """y = scale*n + bias, n standardised over the axes from `axis` on; further outputs: the mean and r = InvStdDev.

    dx: see `standardised_gradient`, for g*scale, and `statistics_gradient`; dscale = g*n, dbias = g, summed to their
    shapes.
    """
    x, scale = node.inputs[:2]
    axes = list(range(node.attrs["axis"] % rank(x), rank(x)))
    n, r = standardise(op, x, axes, node.attrs["epsilon"])

    def dx() -> Tensor:
        parts = []
        if grad is not None:
            scaled = op.Mul(op.cast_like(grad, n), op.cast_like(scale, n))
            parts.append(standardised_gradient(op, scaled, n, r, axes))
        if mean_grad is not None:
            parts.append(statistics_gradient(op, x, axes, op.cast_like(mean_grad, n)))
        if r_grad is not None:  # r = (var + eps)^-1/2 has the gradient -r^3*(x - mean)/N, and n = (x - mean)*r
            slope = op.Mul(op.cast_like(r_grad, n), op.Neg(op.Mul(r, r)))
            parts.append(statistics_gradient(op, x, axes, op.Mul(slope, n)))
        return op.cast_like(reduce(op.Add, parts), x)

    dscale = None if grad is None else lambda: op.cast_like(op.Mul(op.cast_like(grad, n), n), scale)
    return [dx, dscale, grad][: len(node.inputs)]


@gradient_of("GroupNormalization")
def group_normalization(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """y = scale*n + bias, n standardised over each group of channels; computed as [N, groups, elements of a group].

    dx: see `standardised_gradient`, for g*scale; dscale = sum(g*n), dbias = sum(g). Scale and bias have one element a
    group in opset 18 to 20 and one a channel from opset 21 on.
    """
    x, scale, _ = node.inputs
    by_group = op.model.opset < 21

    def grouped(tensor: Tensor) -> Tensor:
        return op.Reshape(tensor, [0, node.attrs["num_groups"], -1])

    def sums(tensor: Tensor) -> Tensor:
        if by_group:
            return op.reduce("ReduceSum", tensor, [0, 2], keepdims=False)
        return op.reduce("ReduceSum", op.reshape_like(tensor, x), all_but_channels(x), keepdims=False)

    n, r = standardise(op, grouped(x), [2], node.attrs["epsilon"])
    g, weights = grouped(op.cast_like(grad, n)), op.cast_like(scale, n)
    if by_group:
        scaled = op.Mul(g, op.Unsqueeze(weights, [1]))
    else:
        scaled = grouped(op.Mul(op.cast_like(grad, n), over_channels(op, weights, x)))
    dx = op.reshape_like(standardised_gradient(op, scaled, n, r, [2]), x)
    return [
        op.cast_like(dx, x),
        lambda: op.cast_like(sums(op.Mul(g, n)), scale),
        lambda: op.cast_like(sums(g), scale),
    ]


@gradient_of("MeanVarianceNormalization")
def mean_variance_normalization(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """y = c/(s + 1e-9), c = x - mean, s the standard deviation: dx = (g - mean(g) - c/s*mean(g*y))/(s + 1e-9).

    Where s = 0, c is 0 and so is the last term.
    """
    (x,), axes = node.inputs, node.attrs["axes"]
    c = op.Sub(x, op.reduce("ReduceMean", x, axes))
    s = op.Sqrt(op.reduce("ReduceMean", op.Mul(c, c), axes))
    divisor = op.Add(s, 1e-9)  # the specification's function body writes this constant out; it is no attribute
    # Not the node's own y: where s = 0, ONNX Runtime's is NaN.
    y, unit = op.Div(c, divisor), op.Div(c, op.divisor(s))
    mean, slope = op.reduce("ReduceMean", grad, axes), op.reduce("ReduceMean", op.Mul(grad, y), axes)
    return [op.Div(op.Sub(op.Sub(grad, mean), op.Mul(unit, slope)), divisor)]


@gradient_of("LpNormalization")
def lp_normalization(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """y = x/n, n the p-norm along the axis: dx = (g - u*sum(g*y))/n, u = y for p = 2 and sign(x) for p = 1.

    Where n = 0 the specification sets y = 0; the gradient there is taken as 0.
    """
    (x,), (y,), axes = node.inputs, node.outputs, [node.attrs["axis"]]
    norm = op.reduce("ReduceL1" if node.attrs["p"] == 1 else "ReduceL2", x, axes)
    unit = op.Sign(x) if node.attrs["p"] == 1 else y
    zero = op.cast_like(op.is_zero(norm), grad)
    inverse = op.Div(op.Sub(1.0, zero), op.Add(norm, zero))
    inner = op.reduce("ReduceSum", op.Mul(grad, y), axes)
    return [op.Mul(op.Sub(grad, op.Mul(unit, inner)), inverse)]


@gradient_of("LRN")
def lrn(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """y = x*d^-beta, d = bias + alpha*A(x^2), A the mean over `size` neighbouring channels (zeros beyond the ends).

    dx = g*d^-beta - 2*alpha*beta*x*A'(g*y/d); the adjoint A' looks the other way where size is even.
    """
    (x,), (y,), size = node.inputs, node.outputs, node.attrs["size"]
    alpha, beta = node.attrs["alpha"], node.attrs["beta"]
    before, after = (size - 1) // 2, size // 2

    def channel_mean(tensor: Tensor, before: int, after: int) -> Tensor:
        image = op.Reshape(op.Unsqueeze(tensor, [1]), [0, 0, 0, -1])  # [N, 1, C, elements of a channel]
        window = {"kernel_shape": [size, 1], "pads": [before, 0, after, 0], "count_include_pad": 1}
        return op.reshape_like(op.AveragePool(image, **window), x)

    d = op.Add(op.Mul(channel_mean(op.Mul(x, x), before, after), alpha), node.attrs["bias"])
    spread = channel_mean(op.Div(op.Mul(grad, y), d), after, before)
    direct = op.Mul(grad, op.Pow(d, -beta))
    return [op.Sub(direct, op.Mul(op.Mul(x, spread), 2 * alpha * beta))]


def standardise(op: Emitter, x: Tensor, axes: list[int], epsilon: float) -> tuple[Tensor, Tensor]:
    """n = (x - mean)*r and r = (variance + epsilon)^-1/2 over the axes; in float32 where x is narrower."""
    if dtype_of(x) in (10, 16):
        x = op.Cast(x, to=1)
    centred = op.Sub(x, op.reduce("ReduceMean", x, axes))
    variance = op.reduce("ReduceMean", op.Mul(centred, centred), axes)
    r = op.Reciprocal(op.Sqrt(op.Add(variance, epsilon)))
    return op.Mul(centred, r), r


def standardised_gradient(op: Emitter, grad: Tensor, n: Tensor, r: Tensor, axes: list[int]) -> Tensor:
    """The gradient of `standardise`: dx = r*(g - mean(g) - n*mean(g*n))."""
    mean = op.reduce("ReduceMean", grad, axes)
    slope = op.reduce("ReduceMean", op.Mul(grad, n), axes)
    return op.Mul(r, op.Sub(op.Sub(grad, mean), op.Mul(n, slope)))


def statistics_gradient(op: Emitter, x: Tensor, axes: list[int], total: Tensor) -> Tensor:
    """The gradient of a mean over the axes, of N elements: g/N, for the elements' g in `total`."""
    count = op.reduce("ReduceProd", op.sizes(x, axes), [0], keepdims=False)
    return op.expand_like(op.Div(total, op.Cast(count, to=dtype_of(total))), x)


def over_channels(op: Emitter, vector: Tensor, x: Tensor) -> Tensor:
    """A vector with one element a channel, shaped to broadcast over x [N, C, ...]."""
    return op.Unsqueeze(vector, list(range(1, rank(x) - 1))) if rank(x) > 2 else vector


def all_but_channels(x: Tensor) -> list[int]:
    """The axes of x [N, C, ...] without C."""
    return [axis for axis in range(rank(x)) if axis != 1]

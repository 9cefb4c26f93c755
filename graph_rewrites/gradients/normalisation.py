"""Normalisation layers. Means and variances are recomputed in two passes, which keeps their digits in float32."""

from __future__ import annotations

from ..backward import Gradient, Node, gradient_of
from ..emit import Emitter
from ..errors import OnnxplainError
from ..tensors import Tensor, dtype_of, rank


@gradient_of("BatchNormalization")
def batch_normalization(op: Emitter, node: Node, grad: Tensor, *statistics: Tensor) -> list[Gradient]:
    """y = scale*(x - mean)*r + bias, r = (var + eps)^-1/2, with the stored mean and variance.

    dx = g*scale*r, dscale = sum(g*(x - mean))*r, dbias = sum(g), dmean = -sum(g)*scale*r,
    dvar = -dscale*scale*r^2/2; sums over all axes but the channels.

    Raises:
        OnnxplainError: training_mode=1.
    """
    if node.attrs["training_mode"]:
        raise OnnxplainError(
            f"BatchNormalization (node {node.name!r}) is in training mode, whose gradient is not supported; export the "
            "model for inference"
        )
    x, scale, _, mean, variance = node.inputs
    r = op.Reciprocal(op.Sqrt(op.Add(variance, node.attrs["epsilon"])))
    factor = op.Mul(op.cast_like(scale, r), r)

    def sums(tensor: Tensor) -> Tensor:
        return op.reduce("ReduceSum", tensor, _all_but_channels(x), keepdims=False)

    def dscale() -> Tensor:
        centred = op.Sub(x, _over_channels(op, op.cast_like(mean, x), x))
        return op.Mul(op.cast_like(sums(op.Mul(grad, centred)), r), r)

    return [
        op.Mul(grad, op.cast_like(_over_channels(op, factor, x), grad)),
        lambda: op.cast_like(dscale(), scale),
        lambda: op.cast_like(sums(grad), scale),
        lambda: op.Neg(op.Mul(op.cast_like(sums(grad), r), factor)),
        lambda: op.Mul(op.Mul(op.Mul(dscale(), factor), r), -0.5),
    ]


@gradient_of("InstanceNormalization")
def instance_normalization(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """y = scale*n + bias, n standardised over the spatial axes of each channel of each sample.

    dx: see `_standardised_gradient`, for g*scale; dscale = sum(g*n), dbias = sum(g), over all axes but the channels.
    """
    x, scale, _ = node.inputs
    axes = list(range(2, rank(x)))
    n, r = _standardise(op, x, axes, node.attrs["epsilon"])
    g = op.cast_like(grad, n)
    scaled = op.Mul(g, _over_channels(op, op.cast_like(scale, n), x))
    return [
        op.cast_like(_standardised_gradient(op, scaled, n, r, axes), x),
        lambda: op.cast_like(op.reduce("ReduceSum", op.Mul(g, n), _all_but_channels(x), keepdims=False), scale),
        lambda: op.reduce("ReduceSum", grad, _all_but_channels(x), keepdims=False),
    ]


@gradient_of("LayerNormalization")
def layer_normalization(op: Emitter, node: Node, grad: Tensor | None, *statistics: Tensor | None) -> list[Gradient]:
    """y = scale*n + bias, n standardised over the axes from `axis` on.

    dx: see `_standardised_gradient`, for g*scale; dscale = g*n, dbias = g, summed to their shapes.

    Raises:
        OnnxplainError: a gradient flows into the outputs Mean or InvStdDev.
    """
    if grad is None or any(flowing is not None for flowing in statistics):
        raise OnnxplainError(
            f"the gradient of LayerNormalization (node {node.name!r}) through its outputs Mean and InvStdDev is not "
            "supported; choose a score that depends on its first output alone"
        )
    x, scale = node.inputs[:2]
    axes = list(range(node.attrs["axis"] % rank(x), rank(x)))
    n, r = _standardise(op, x, axes, node.attrs["epsilon"])
    g = op.cast_like(grad, n)
    scaled = op.Mul(g, op.cast_like(scale, n))
    dx = op.cast_like(_standardised_gradient(op, scaled, n, r, axes), x)
    return [dx, lambda: op.cast_like(op.Mul(g, n), scale), grad][: len(node.inputs)]


@gradient_of("GroupNormalization")
def group_normalization(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """y = scale*n + bias, n standardised over each group of channels; computed as [N, groups, elements of a group].

    dx: see `_standardised_gradient`, for g*scale; dscale = sum(g*n), dbias = sum(g). Scale and bias have one element a
    group in opset 18 to 20 and one a channel from opset 21 on.
    """
    x, scale, _ = node.inputs
    by_group = op.model.opset < 21

    def grouped(tensor: Tensor) -> Tensor:
        return op.Reshape(tensor, [0, node.attrs["num_groups"], -1])

    def sums(tensor: Tensor) -> Tensor:
        if by_group:
            return op.reduce("ReduceSum", tensor, [0, 2], keepdims=False)
        return op.reduce("ReduceSum", op.reshape_like(tensor, x), _all_but_channels(x), keepdims=False)

    n, r = _standardise(op, grouped(x), [2], node.attrs["epsilon"])
    g, weights = grouped(op.cast_like(grad, n)), op.cast_like(scale, n)
    if by_group:
        scaled = op.Mul(g, op.Unsqueeze(weights, [1]))
    else:
        scaled = grouped(op.Mul(op.cast_like(grad, n), _over_channels(op, weights, x)))
    dx = op.reshape_like(_standardised_gradient(op, scaled, n, r, [2]), x)
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
    y, unit = op.Div(c, divisor), op.Div(c, op.Add(s, op.cast_like(op.is_zero(s), s)))
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


def _standardise(op: Emitter, x: Tensor, axes: list[int], epsilon: float) -> tuple[Tensor, Tensor]:
    """n = (x - mean)*r and r = (variance + epsilon)^-1/2 over the axes; in float32 where x is narrower."""
    if dtype_of(x) in (10, 16):
        x = op.Cast(x, to=1)
    centred = op.Sub(x, op.reduce("ReduceMean", x, axes))
    variance = op.reduce("ReduceMean", op.Mul(centred, centred), axes)
    r = op.Reciprocal(op.Sqrt(op.Add(variance, epsilon)))
    return op.Mul(centred, r), r


def _standardised_gradient(op: Emitter, grad: Tensor, n: Tensor, r: Tensor, axes: list[int]) -> Tensor:
    """The gradient of `_standardise`: dx = r*(g - mean(g) - n*mean(g*n))."""
    mean = op.reduce("ReduceMean", grad, axes)
    slope = op.reduce("ReduceMean", op.Mul(grad, n), axes)
    return op.Mul(r, op.Sub(op.Sub(grad, mean), op.Mul(n, slope)))


def _over_channels(op: Emitter, vector: Tensor, x: Tensor) -> Tensor:
    """A vector with one element a channel, shaped to broadcast over x [N, C, ...]."""
    return op.Unsqueeze(vector, list(range(1, rank(x) - 1))) if rank(x) > 2 else vector


def _all_but_channels(x: Tensor) -> list[int]:
    return [axis for axis in range(rank(x)) if axis != 1]

"""Pooling over windows and over all spatial axes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import onnx_graphsurgeon as gs

from ....build.emitter import Emitter
from ....graph.tensors import Tensor, dtype_of, is_static
from ...lib.pads import pad
from ...reverse import Gradient, Node, gradient_of
from ..movement.indexing import added_up, element_count
from .convolution import Windows, sizes_of, spatial, strided_conv, transposed_conv, windows_of


@gradient_of("MaxPool")
def max_pool(op: Emitter, node: Node, grad: Tensor) -> Sequence[Gradient]:
    """dx[argmax of the window] += g; at ties the first maximum of the window in row-major order takes it, as PyTorch.

    The forward node itself gives the positions: its second output is appended where it is missing. (MaxUnpool would
    keep only one of several windows that share a maximum.)
    """
    (x,) = node.inputs
    indices = positions_of_maxima(op, node)
    flat = op.Expand(zero(grad), op.join(element_count(op, x)))
    return [op.reshape_like(added_up(op, flat, op.Reshape(indices, [-1]), op.Reshape(grad, [-1]), 0), x)]


def positions_of_maxima(op: Emitter, node: Node) -> Tensor:
    """Where each maximum lies in the flattened input, int64 of the output's shape."""
    if node.attrs["storage_order"]:  # column-major positions: pool again for row-major ones
        attributes = {key: value for key, value in node.source.attrs.items() if key != "storage_order"}
        return op.MaxPool(node.inputs[0], outputs=2, **attributes)[1]
    outputs = node.source.outputs
    if len(outputs) > 1 and outputs[1].name:
        return outputs[1]
    indices = gs.Variable(op.unique("Indices"), np.dtype(np.int64), outputs[0].shape)
    if len(outputs) > 1:
        outputs[1] = indices
    else:
        outputs.append(indices)
    return indices


@gradient_of("AveragePool")
def average_pool(op: Emitter, node: Node, grad: Tensor) -> Sequence[Gradient]:
    """dx[i] = sum over the windows around i of g / (the number of elements the window averages)."""
    (x,) = node.inputs
    windows, box = box_windows(op, node, grad)
    return [spread_box(op, op.Div(grad, averaged(op, node, box, windows)), box, x, windows)]


@gradient_of("LpPool")
def lp_pool(op: Emitter, node: Node, grad: Tensor) -> Sequence[Gradient]:
    """y = (sum |x|^p)^(1/p): dx = sign(x) |x|^(p-1) * (sum over windows of g y^(1-p)); 0 where a window is all zero."""
    (x,), (y,), p = node.inputs, node.outputs, node.attrs["p"]
    windows, box = box_windows(op, node, grad)
    return [op.Mul(signed_power(op, x, p - 1), spread_box(op, norm_slope(op, grad, y, p), box, x, windows))]


@gradient_of("GlobalAveragePool")
def global_average_pool(op: Emitter, node: Node, grad: Tensor) -> Sequence[Gradient]:
    """dx = g / (the number of spatial positions), everywhere."""
    (x,) = node.inputs
    count = op.reduce("ReduceProd", op.sizes(x, spatial(x)), [0], keepdims=False)
    if is_static(x):
        count = op.constant(np.asarray(np.prod(x.shape[2:]), np.int64))
    return [op.expand_like(op.Div(grad, op.cast_like(count, grad)), x)]


@gradient_of("GlobalMaxPool")
def global_max_pool(op: Emitter, node: Node, grad: Tensor) -> Sequence[Gradient]:
    """dx = g at the first maximum of each channel, as PyTorch's adaptive_max_pool."""
    (x,) = node.inputs
    flat = op.Reshape(x, [0, 0, -1])
    winner = op.ArgMax(flat, axis=2, keepdims=1)
    return [op.reshape_like(op.ScatterElements(op.zeros_like(flat), winner, op.Reshape(grad, [0, 0, -1]), axis=2), x)]


@gradient_of("GlobalLpPool")
def global_lp_pool(op: Emitter, node: Node, grad: Tensor) -> Sequence[Gradient]:
    """dx = sign(x) |x|^(p-1) * g y^(1-p); 0 where a channel is all zero."""
    (x,), (y,), p = node.inputs, node.outputs, node.attrs["p"]
    return [op.Mul(signed_power(op, x, p - 1), norm_slope(op, grad, y, p))]


def box_windows(op: Emitter, node: Node, grad: Tensor) -> tuple[Windows, Tensor]:
    """The windows of a pooling node, and the weight [1, 1, *kernel] of ones that sums over them."""
    kernel = np.array(node.attrs["kernel_shape"])
    windows = windows_of(op, node, node.inputs[0], node.outputs[0], kernel)
    return windows, op.constant(np.ones((1, 1, *kernel), zero(grad).dtype))


def spread_box(op: Emitter, values: Tensor, box: Tensor, x: Tensor, windows: Windows) -> Tensor:
    """Adds `values`, one per window [N, C, ...], to every element of the window; of the shape of `x`."""
    axes = spatial(x)
    flat = op.Reshape(values, op.join([-1, 1], op.sizes(values, axes)))
    return op.reshape_like(transposed_conv(op, flat, box, x, windows), x)


def averaged(op: Emitter, node: Node, box: Tensor, windows: Windows) -> Tensor:
    """How many elements each window averages: a number, or [1, 1, ...] where windows reach over the border."""
    (x,), padded = node.inputs, bool(node.attrs["count_include_pad"])
    full = op.constant(np.array(np.prod(node.attrs["kernel_shape"]), box.dtype))
    ceil_mode = node.attrs["ceil_mode"]
    if padded and not ceil_mode:
        return full
    if windows.is_static and all(windows.begin <= 0) and all(windows.end <= 0):
        return full
    # Sum ones over what counts: the input, or the input and its declared padding (what ceil_mode adds never counts).
    axes = spatial(x)
    size = op.join([1, 1], sizes_of(op, x, axes))
    counted = op.Expand(np.ones((), box.dtype), size)
    if padded and node.attrs.get("pads"):
        counts = [0, 0, *node.attrs["pads"][: len(axes)], 0, 0, *node.attrs["pads"][len(axes) :]]
        counted = pad(op, counted, counts, op.constant(np.ones((), box.dtype)))
        end = op.tensor(windows.end)
        left = op.Sub(end, np.array(node.attrs["pads"][len(axes) :]))
        windows = Windows(windows.strides, windows.dilations, np.zeros(len(axes), np.int64), left)
    return strided_conv(op, counted, box, windows)


def norm_slope(op: Emitter, grad: Tensor, y: Tensor, p: int) -> Tensor:
    """g y^(1-p), with g where y is 0 (it meets the zeros of x there)."""
    safe = op.Add(y, op.cast_like(op.Equal(y, 0.0), y))
    return grad if p == 1 else op.Div(grad, safe if p == 2 else op.Pow(safe, float(p - 1)))


def signed_power(op: Emitter, x: Tensor, exponent: int) -> Tensor:
    """sign(x) |x|^exponent."""
    if exponent == 1:
        return x
    return op.Sign(x) if exponent == 0 else op.Mul(op.Sign(x), op.Pow(op.Abs(x), float(exponent)))


def zero(like: Tensor) -> np.ndarray:
    """The scalar zero in the dtype of a tensor."""
    return np.zeros((), onnx.helper.tensor_dtype_to_np_dtype(dtype_of(like)))

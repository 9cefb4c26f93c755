"""Explanation maps as graph nodes: each method is defined here, once, and runs wherever the file runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from .emit import Emitter
from .tensors import Tensor

CamMethod: TypeAlias = Callable[[Emitter, Tensor, Tensor], Tensor]
CAM_METHODS: dict[str, CamMethod] = {}


def cam_method(name: str) -> Callable[[CamMethod], CamMethod]:
    """Registers a method: `(op, activation, gradient) -> map`.

    The method gets the layer's feature maps A^k and the gradient dy^c/dA^k, both [rows, C, *spatial], and returns the
    map [rows, 1, *spatial].
    """

    def register(method: CamMethod) -> CamMethod:
        if name in CAM_METHODS:
            raise ValueError(f"a map named {name!r} is registered already")
        CAM_METHODS[name] = method
        return method

    return register


@cam_method("grad-cam")
def grad_cam(op: Emitter, activation: Tensor, gradient: Tensor) -> Tensor:
    """ReLU(sum_k alpha_k A^k) with alpha_k the spatial mean of dy^c/dA^k (Selvaraju et al. 2017, eq. 1 and 2)."""
    alpha = spatial_mean(op, gradient)
    # As a matrix product: on the CPU half the time of a product and a sum over channels.
    weighted = op.MatMul(op.Reshape(alpha, [0, 1, -1]), op.Reshape(activation, [0, 0, -1]))
    spatial = op.sizes(activation, range(2, len(activation.shape)))
    return op.Relu(op.Reshape(weighted, op.join([0, 1], spatial)))


def spatial_mean(op: Emitter, tensor: Tensor) -> Tensor:
    """The mean over the spatial axes, kept with size 1: [rows, C, *spatial] to [rows, C, 1, ...].

    Behind global average pooling a gradient is one value per channel, expanded: that value is its mean.
    """
    maker = tensor.inputs[0] if tensor.inputs else None
    if maker is not None and maker.op == "Expand":
        value = maker.inputs[0]
        kept = [*tensor.shape[:2], *[1] * (len(tensor.shape) - 2)]
        if None not in kept and list(value.shape or []) == kept:
            return value
    return op.reduce("ReduceMean", tensor, range(2, len(tensor.shape)))


def heatmap(op: Emitter, cam: Tensor, size: Tensor) -> Tensor:
    """The map at the input's size, divided by its maximum; all zero where the map is.

    Args:
        op: appends the nodes.
        cam: non-negative, [rows, 1, *spatial], one to three spatial axes.
        size: int64 vector, the input's spatial sizes.

    Returns:
        [rows, 1, *size] in [0, 1], resized (bi-, tri-)linearly with half-pixel centres.
    """
    spatial = len(cam.shape) - 2
    rows = op.size(cam, 0)
    if spatial == 1:  # runtimes resize lines as images of height 1
        image = op.Unsqueeze(cam, [2])
        large = op.Squeeze(_resize(op, image, op.Concat(rows, [1, 1], size, axis=0)), [2])
    else:
        large = _resize(op, cam, op.Concat(rows, [1], size, axis=0))
    peak = op.reduce("ReduceMax", large, range(1, spatial + 2))
    return op.Div(large, op.Add(peak, op.cast_like(op.Equal(peak, 0.0), peak)))


def _resize(op: Emitter, tensor: Tensor, sizes: Tensor) -> Tensor:
    return op.Resize(tensor, None, None, sizes, mode="linear", coordinate_transformation_mode="half_pixel")

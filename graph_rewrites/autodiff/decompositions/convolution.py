"""Convolutions and poolings that ONNX Runtime fuses, or lays out with the channels last."""

from __future__ import annotations

from ...build.emitter import Emitter
from ...errors import OnnxplainError
from ...graph.node import Node
from ...graph.tensors import Tensor, rank
from ..decompose import decomposition_of
from .activations import activate

# The names of the activations' parameters, in the order of `activation_params`.
PARAMETERS = {"LeakyRelu": ("alpha",), "Clip": ("min", "max"), "HardSigmoid": ("alpha", "beta")}
OWN = {"activation", "activation_params", "channels_last"}


@decomposition_of("com.microsoft::FusedConv")
def fused_conv(op: Emitter, node: Node) -> list[Tensor]:
    """Y = activation(Conv(X, W, B) + Z)."""
    x, w, bias, z = [*node.inputs, None, None][:4]
    y = (
        op.Conv(x, w, bias, **convolution_attributes(node))
        if bias is not None
        else op.Conv(x, w, **convolution_attributes(node))
    )
    return [_activated(op, y if z is None else op.Add(y, z), node)]


@decomposition_of("com.microsoft::NhwcConv", "com.microsoft::NhwcFusedConv")
def nhwc_conv(op: Emitter, node: Node) -> list[Tensor]:
    """Y = activation(Conv(X, W, B) + Z) with the channels of X, Y and Z last."""
    x, w, bias, z = [*node.inputs, None, None][:4]
    inputs = [channels_first(op, x), w, *([] if bias is None else [bias])]
    y = channels_last(op, op.Conv(*inputs, **convolution_attributes(node)))
    return [_activated(op, y if z is None else op.Add(y, z), node)]


@decomposition_of("com.microsoft::NhwcMaxPool")
def nhwc_max_pool(op: Emitter, node: Node) -> list[Tensor]:
    """Y = MaxPool(X) with the channels last."""
    return [channels_last(op, op.MaxPool(channels_first(op, node.inputs[0]), **node.attrs))]


@decomposition_of("com.microsoft::ConvTransposeWithDynamicPads")
def conv_transpose_with_dynamic_pads(op: Emitter, node: Node) -> list[Tensor]:
    """The transposed convolution without padding, cut by the pads."""
    x, w, pads, bias = [*node.inputs, None, None][:4]
    if node.attrs.get("auto_pad", "NOTSET") != "NOTSET":
        raise OnnxplainError(
            f"ConvTransposeWithDynamicPads (node {node.name!r}) with auto_pad has no gradient; choose a layer after it"
        )
    full = op.ConvTranspose(*([x, w] if bias is None else [x, w, bias]), **node.attrs)
    if pads is None:
        return [full]
    axes = list(range(2, rank(x)))
    begin, end = op.split(pads, 2, 0)
    return [op.declare(op.Slice(full, begin, op.Sub(op.sizes(full, axes), end), axes), node.outputs[0])]


def convolution_attributes(node: Node) -> dict[str, object]:
    """The attributes that a plain Conv has too."""
    return {key: value for key, value in node.attrs.items() if key not in OWN}


def channels_first(op: Emitter, x: Tensor) -> Tensor:
    """[N, ..., C] as [N, C, ...]."""
    return op.Transpose(x, perm=[0, rank(x) - 1, *range(1, rank(x) - 1)])


def channels_last(op: Emitter, x: Tensor) -> Tensor:
    """[N, C, ...] as [N, ..., C]."""
    return op.Transpose(x, perm=[0, *range(2, rank(x)), 1])


def _activated(op: Emitter, y: Tensor, node: Node) -> Tensor:
    name = node.attrs.get("activation")
    parameters = dict(zip(PARAMETERS.get(name or "", ()), node.attrs.get("activation_params") or (), strict=False))
    return activate(op, y, name, parameters, node)

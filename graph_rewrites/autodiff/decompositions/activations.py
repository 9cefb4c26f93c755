"""Activations that ONNX Runtime fuses, alone and at the end of another operator."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ...build.emitter import Emitter
from ...errors import OnnxplainError
from ...graph.node import Node
from ...graph.tensors import Tensor
from ..decompose import decomposition_of


@decomposition_of("com.microsoft::Gelu")
def gelu_node(op: Emitter, node: Node) -> list[Tensor]:
    """y = x*Phi(x)."""
    return [gelu(op, node.inputs[0])]


@decomposition_of("com.microsoft::BiasGelu")
def bias_gelu(op: Emitter, node: Node) -> list[Tensor]:
    """y = u*Phi(u), u = x + bias."""
    x, bias = node.inputs
    return [gelu(op, op.Add(x, bias))]


@decomposition_of("com.microsoft::FastGelu")
def fast_gelu(op: Emitter, node: Node) -> list[Tensor]:
    """The approximation of gelu by tanh, of x + bias."""
    x, bias = [*node.inputs, None][:2]
    return [tanh_gelu(op, x if bias is None else op.Add(x, bias))]


@decomposition_of("com.microsoft::QuickGelu")
def quick_gelu(op: Emitter, node: Node) -> list[Tensor]:
    """y = x*sigmoid(alpha*x)."""
    (x,), alpha = node.inputs, node.attrs.get("alpha", 1.702)
    return [op.Mul(x, op.Sigmoid(op.Mul(x, alpha)))]


@decomposition_of("com.microsoft::BiasSplitGelu")
def bias_split_gelu(op: Emitter, node: Node) -> list[Tensor]:
    """y = u*gelu(v), where u and v are the halves of x + bias along the last axis."""
    x, bias = node.inputs
    left, right = op.split(op.Add(x, bias), 2, -1)
    return [op.Mul(left, gelu(op, right))]


@decomposition_of("com.microsoft::BiasAdd")
def bias_add(op: Emitter, node: Node) -> list[Tensor]:
    """y = x + bias + skip."""
    x, bias, skip = node.inputs
    return [op.Add(op.Add(x, bias), skip)]


@decomposition_of("com.microsoft::BiasSoftmax")
def bias_softmax(op: Emitter, node: Node) -> list[Tensor]:
    """y = softmax(x + bias) over all axes from `axis` on."""
    x, bias = node.inputs
    flat = op.Flatten(op.Add(x, bias), axis=node.attrs.get("axis", 1))
    return [op.reshape_like(op.Softmax(flat, axis=1), x)]


def gelu(op: Emitter, x: Tensor) -> Tensor:
    """x*Phi(x)."""
    return op.Mul(op.Mul(x, op.Add(op.Erf(op.Mul(x, math.sqrt(0.5))), 1.0)), 0.5)


def tanh_gelu(op: Emitter, x: Tensor) -> Tensor:
    """x*(1 + tanh(sqrt(2/pi)*(x + 0.044715*x^3)))/2."""
    k = math.sqrt(2 / math.pi)
    t = op.Tanh(op.Mul(x, op.Add(op.Mul(op.Mul(x, x), 0.044715 * k), k)))
    return op.Mul(op.Mul(x, op.Add(t, 1.0)), 0.5)


def activate(op: Emitter, x: Tensor, name: str | None, parameters: Mapping[str, Any], node: Node) -> Tensor:
    """The activation that is fused into a node; `parameters` are the activation's own attributes.

    Raises:
        OnnxplainError: an activation that is not known here.
    """
    given = {key: value for key, value in parameters.items() if value is not None}
    if not name:
        return x
    if name in (
        "Relu",
        "Sigmoid",
        "Tanh",
        "LeakyRelu",
        "HardSigmoid",
        "Softplus",
        "Softsign",
        "Elu",
        "Selu",
        "HardSwish",
    ):
        return op.emit(name, x, **given)
    if name == "Clip":
        return op.Clip(x, op.tensor(given["min"], x), op.tensor(given["max"], x))
    if name == "Gelu":
        return gelu(op, x)
    if name == "FastGelu":
        return tanh_gelu(op, x)
    raise OnnxplainError(
        f"{node.op_type} (node {node.name!r}) is fused with the activation {name!r}, which has no gradient here; save "
        "the model before ONNX Runtime's optimiser, or choose a layer after it"
    )

"""The activation functions of recurrent cells (operator specification of RNN, GRU and LSTM, "Activation functions")."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from ...build.emitter import Emitter
from ...errors import OnnxplainError
from ...graph.tensors import Tensor
from ..reverse import Node

Activation: TypeAlias = Callable[[Emitter, Tensor], Tensor]
Function: TypeAlias = Callable[[Emitter, Tensor, float, float], Tensor]

# By name: the function, and its default alpha and beta (of the operator of that name); None where it takes none.
# "Affine" and "ScaledTanh" name no operator of today, so that the specification gives them no defaults.
FUNCTIONS: dict[str, tuple[Function, float | None, float | None]] = {
    "relu": (lambda op, x, alpha, beta: op.Relu(x), None, None),
    "tanh": (lambda op, x, alpha, beta: op.Tanh(x), None, None),
    "sigmoid": (lambda op, x, alpha, beta: op.Sigmoid(x), None, None),
    "softsign": (lambda op, x, alpha, beta: op.Div(x, op.Add(op.Abs(x), 1.0)), None, None),
    "softplus": (lambda op, x, alpha, beta: op.Softplus(x), None, None),
    "leakyrelu": (lambda op, x, alpha, beta: op.LeakyRelu(x, alpha=alpha), 0.01, None),
    "thresholdedrelu": (lambda op, x, alpha, beta: op.ThresholdedRelu(x, alpha=alpha), 1.0, None),
    "elu": (lambda op, x, alpha, beta: op.Elu(x, alpha=alpha), 1.0, None),
    "hardsigmoid": (lambda op, x, alpha, beta: op.HardSigmoid(x, alpha=alpha, beta=beta), 0.2, 0.5),
    "affine": (lambda op, x, alpha, beta: op.Add(op.Mul(x, alpha), beta), float("nan"), float("nan")),
    "scaledtanh": (lambda op, x, alpha, beta: op.Mul(op.Tanh(op.Mul(x, beta)), alpha), float("nan"), float("nan")),
}
DEFAULTS = {"RNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"]}


def activations(node: Node, directions: int) -> list[list[Activation]]:
    """The cell's activations for each direction, their inputs clipped where the node says so.

    Functions consume `activation_alpha` and `activation_beta` in order, those that take one. The cell state goes into
    an LSTM's h as it is. In both as in ONNX Runtime; the specification is not clear.
    """
    each = DEFAULTS[node.op_type]
    names = [str(name) for name in node.attrs.get("activations") or each * directions]
    alphas, betas = (list(node.attrs.get(f"activation_{kind}") or []) for kind in ("alpha", "beta"))
    clip = node.attrs.get("clip")
    unclipped = [node.op_type == "LSTM" and index % len(each) == 2 for index in range(len(names))]
    functions = [
        _activation(node, name, alphas, betas, None if free else clip)
        for name, free in zip(names, unclipped, strict=True)
    ]
    return [functions[i * len(each) : (i + 1) * len(each)] for i in range(directions)]


def _activation(node: Node, name: str, alphas: list[float], betas: list[float], clip: float | None) -> Activation:
    if name.lower() not in FUNCTIONS:
        raise OnnxplainError(
            f"operator {node.op_type} (node {node.name!r}) has the activation {name!r}, which the specification does "
            "not know; check the file"
        )
    function, alpha, beta = FUNCTIONS[name.lower()]
    alpha = alphas.pop(0) if alpha is not None and alphas else alpha
    beta = betas.pop(0) if beta is not None and betas else beta
    if alpha != alpha or beta != beta:
        raise OnnxplainError(
            f"operator {node.op_type} (node {node.name!r}) does not say the alpha and beta of its activation {name!r}; "
            "set activation_alpha and activation_beta"
        )
    a, b = alpha or 0.0, beta or 0.0
    return lambda op, x: function(op, x if clip is None else op.Clip(x, -clip, clip), a, b)

"""Matrix products that ONNX Runtime fuses."""

from __future__ import annotations

from ...build.emitter import Emitter
from ...graph.node import Node
from ...graph.tensors import Tensor, rank
from ..decompose import decomposition_of
from .activations import activate, tanh_gelu


@decomposition_of(
    "com.microsoft::FusedMatMul", "com.microsoft::TransposeMatMul", "com.microsoft::FusedMatMulActivation"
)
def fused_matmul(op: Emitter, node: Node) -> list[Tensor]:
    """Y = activation(alpha * A' @ B'), each operand as `arranged`."""
    a, b = node.inputs
    y = op.MatMul(arranged(op, node, a, "A"), arranged(op, node, b, "B"))
    if node.attrs.get("alpha", 1.0) != 1:
        y = op.Mul(y, node.attrs["alpha"])
    return [activate(op, y, node.attrs.get("activation"), _parameters(node), node)]


def arranged(op: Emitter, node: Node, tensor: Tensor, side: str) -> Tensor:
    """An operand with its axes as the product takes them.

    `transBatch` brings the first axis behind the other batch axes, `trans` then swaps the last two.
    """
    order = list(range(rank(tensor)))
    if node.attrs.get(f"transBatch{side}") and len(order) > 2:
        order = [*order[1:-1], 0, order[-1]]
    if node.attrs.get(f"trans{side}") and len(order) > 1:
        order = [*order[:-2], order[-1], order[-2]]
    return tensor if order == sorted(order) else op.Transpose(tensor, perm=order)


@decomposition_of("com.microsoft::FusedGemm")
def fused_gemm(op: Emitter, node: Node) -> list[Tensor]:
    """Y = activation(alpha * A' @ B' + beta * C)."""
    own = {key: node.attrs.get(key) for key in ("alpha", "beta", "transA", "transB")}
    y = op.Gemm(*node.inputs, **own)
    return [activate(op, y, node.attrs.get("activation"), _parameters(node), node)]


@decomposition_of("com.microsoft::GemmFastGelu")
def gemm_fast_gelu(op: Emitter, node: Node) -> list[Tensor]:
    """Y = fast_gelu(X @ W + bias)."""
    x, w, bias = [*node.inputs, None][:3]
    y = op.MatMul(x, w)
    return [tanh_gelu(op, y if bias is None else op.Add(y, bias))]


def _parameters(node: Node) -> dict[str, float | None]:
    return {key: node.attrs.get(f"activation_{key}") for key in ("alpha", "beta", "gamma")}

"""CausalConvWithState: a convolution over time, each channel by itself, that sees the present and the past."""

from __future__ import annotations

from ....build.emitter import Emitter
from ....errors import OnnxplainError
from ....graph.node import Node
from ....graph.tensors import Tensor
from ...decompose import decomposition_of
from ...lib.pads import pad
from .convolution import compute, sizes_of


@decomposition_of("CausalConvWithState")
def causal_conv_with_state(op: Emitter, node: Node) -> list[Tensor]:
    """y = activation(w * [past, x] + b); the new state is the end of [past, x]."""
    x, weight, bias, past = [*node.inputs, None, None][:4]
    channels = next((size for size in (weight.shape[0], x.shape[1]) if isinstance(size, int)), None)
    if channels is None:
        raise OnnxplainError(
            f"CausalConvWithState (node {node.name!r}) has an unknown number of channels; give its weight or input a "
            "fixed one"
        )
    if past is None:
        whole = pad(op, x, op.join([0, 0], compute(op, "Sub", sizes_of(op, weight, [2]), 1), [0, 0, 0]))
    else:
        whole = op.Concat(past, x, axis=2)
    y = op.declare(op.Conv(whole, weight, bias, group=channels), x)
    if node.attrs["activation"] in ("silu", "swish"):
        y = op.Mul(y, op.Sigmoid(y))
    state = op.Slice(whole, op.size(x, 2), [2**62], [2])
    return [y, state][: len(node.outputs)]

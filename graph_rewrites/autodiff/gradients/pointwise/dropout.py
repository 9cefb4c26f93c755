"""Dropout, in inference and in training."""

from __future__ import annotations

import onnx_graphsurgeon as gs

from ....build.emitter import Emitter
from ....graph.tensors import Tensor, value_of
from ...lib.singularities import masked, settled
from ...reverse import Gradient, Node, gradient_of


@gradient_of("Dropout")
def dropout(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx = g in inference. In training y = x*mask/(1 - ratio): dx = g*mask/(1 - ratio), dratio = g*y/(1 - ratio)."""
    ratio, training = [*node.inputs[1:], None, None][:2]
    mode = value_of(training)
    if training is None or (mode is not None and not mode):
        return [grad, None, None][: len(node.inputs)]
    trains = op.cast_like(training, grad)
    # The specification gives a missing ratio the value 0.5.
    dropped = op.Mul(trains, 0.5) if ratio is None else op.Mul(trains, op.cast_like(ratio, grad))
    kept = op.Sub(1.0, dropped)

    def dratio() -> Tensor:
        total = op.Div(op.Mul(op.Mul(grad, node.outputs[0]), trains), kept)
        return op.cast_like(settled(op, node, grad, total), ratio)

    dx = op.Div(masked(op, node, grad, _mask(op, node)), kept)
    return [dx, dratio, None][: len(node.inputs)]


def _mask(op: Emitter, node: Node) -> Tensor:
    """The node's mask of what it kept; the node is made to output it where it does not."""
    if len(node.outputs) < 2 or not node.outputs[1].name:
        mask = gs.Variable(op.unique("mask"), bool, node.outputs[0].shape)
        node.source.outputs = [node.source.outputs[0], mask]  # not the float32 copy of a narrower output
    return node.source.outputs[1]

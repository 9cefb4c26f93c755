"""The signs that constant scales behind a layer give its channels, and its units behind them.

Batch normalisation with a negative scale turns a layer around: what the layer's weights lower excites the activation
that follows. Exporters fold it into the weights, or write it as one node, or as a product and a sum, the channels
first, or last behind a Transpose.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx_graphsurgeon as gs

from ...autodiff.precision import is_promotion
from ...build.emitter import Emitter
from ...graph.node import Node
from ...graph.tensors import Tensor, rank, value_of


def sign_corrected(op: Emitter, node: Node, weight: Tensor) -> Tensor:
    """A layer's weight, the signs of each output channel turned where a constant scale behind it is negative."""
    at = _outputs_of_weight(node, weight)
    if at is None:
        return weight
    for _, scale in _behind(op, node):
        if scale is not None:
            weight = op.Mul(weight, op.cast_like(op.Reshape(op.Sign(scale), at), weight))
    return weight


def units_as_read(op: Emitter, node: Node, weight: Tensor) -> Tensor:
    """A layer's units as the next layer sees them, behind constant scales and shifts, but laid out as its output is."""
    units = node.outputs[0]
    if _outputs_of_weight(node, weight) is None:
        return units
    order = list(range(rank(units)))  # of the output's axes
    for follower, _ in _behind(op, node):
        units = follower.outputs[0]
        order = [order[axis] for axis in _permutation(follower)] if follower.op == "Transpose" else order
    if order == sorted(order):
        return units
    return op.Transpose(units, perm=[order.index(axis) for axis in range(len(order))])


def is_constant(op: Emitter, tensor: Tensor) -> bool:
    """Whether the tensor is a weight, or computed from weights alone."""
    waiting, seen = [tensor], set[str]()
    while waiting:
        current = waiting.pop()
        if current.name in seen or value_of(current) is not None or current.name in op.model.weights:
            continue
        seen.add(current.name)
        if not current.inputs:
            return False  # an input of the model
        waiting.extend(one for one in current.inputs[0].inputs if one.name)
    return True


def _outputs_of_weight(node: Node, weight: Tensor) -> list[int] | None:
    """The shape of a vector over output channels that multiplies the weight; None where there is none to tell."""
    if node.inputs[1] is not weight or rank(weight) < 2:
        return None
    if node.op_type == "Conv" or (node.op_type == "Gemm" and node.attrs["transB"]):
        return [-1, *[1] * (rank(weight) - 1)]
    return [-1] if node.op_type in ("Gemm", "MatMul") else None


def _behind(op: Emitter, node: Node) -> Iterator[tuple[gs.Node, Tensor | None]]:
    """What scales, by the tensor beside it, or shifts a layer's channels by constants, before anything else follows."""
    tensor = node.source.outputs[0]  # not its cast to float32
    axis = 1 if node.op_type == "Conv" else rank(tensor) - 1  # of the channels
    while len(readers := [reader for reader in tensor.outputs if not is_promotion(reader)]) == 1:
        (follower,), scale = readers, None
        if follower.op == "BatchNormalization" and axis == 1:
            scale = follower.inputs[1]
        elif follower.op == "Transpose":
            axis = _permutation(follower).index(axis)
        elif follower.op in ("Mul", "Div", "Add", "Sub"):
            others = [other for other in follower.inputs if other is not tensor]
            if len(others) != 1 or not is_constant(op, others[0]):
                return
            if follower.op in ("Div", "Sub") and follower.inputs[0] is not tensor:
                return
            if follower.op in ("Mul", "Div"):
                (scale,) = others
                if not _is_per_channel(scale, rank(tensor), axis):
                    return
        elif follower.op not in ("Identity", "Cast", "Dropout"):
            return
        tensor = follower.outputs[0]
        yield follower, scale


def _permutation(transpose: gs.Node) -> list[int]:
    return list(transpose.attrs.get("perm") or range(rank(transpose.inputs[0]))[::-1])


def _is_per_channel(scale: Tensor, of_rank: int, axis: int) -> bool:
    """Whether the scale, broadcast to a tensor, differs along the axis of its channels alone."""
    shape = scale.shape
    if shape is None or len(shape) > of_rank:
        return False
    return all(size == 1 for i, size in enumerate(shape, of_rank - len(shape)) if i != axis)

"""The signs that constant scales behind a layer give its channels.

Batch normalisation with a negative scale turns a layer around: what the layer's weights lower excites the activation
that follows. Exporters fold it into the weights, or write it as one node, or as a product and a sum, the channels
first, or last behind a Transpose.
"""

from __future__ import annotations

from collections.abc import Iterator

from .emit import Emitter
from .node import Node
from .tensors import Tensor, rank, value_of


def turned(op: Emitter, node: Node, weight: Tensor) -> Tensor:
    """A layer's weight, the signs of each output channel turned where a constant scale behind it is negative."""
    at = _outputs_of_weight(node, weight)
    if at is None:
        return weight
    axis = 1 if node.op_type == "Conv" else rank(node.outputs[0]) - 1
    for scale in _scales_behind(op, node.outputs[0], axis):
        weight = op.Mul(weight, op.cast_like(op.Reshape(op.Sign(scale), at), weight))
    return weight


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


def _scales_behind(op: Emitter, tensor: Tensor, axis: int) -> Iterator[Tensor]:
    """The constant scales of a tensor's channels, before anything but constant shifts follows; `axis` holds them."""
    while len(tensor.outputs) == 1:
        (node,) = tensor.outputs
        if node.op == "BatchNormalization" and axis == 1:
            yield node.inputs[1]
        elif node.op == "Transpose":
            axis = list(node.attrs.get("perm") or range(rank(tensor))[::-1]).index(axis)
        elif node.op in ("Mul", "Div", "Add", "Sub"):
            others = [other for other in node.inputs if other is not tensor]
            if len(others) != 1 or not is_constant(op, others[0]):
                return
            if node.op in ("Div", "Sub") and node.inputs[0] is not tensor:
                return
            if node.op in ("Mul", "Div"):
                if not _is_per_channel(others[0], rank(tensor), axis):
                    return
                yield others[0]
        elif node.op not in ("Identity", "Cast", "Dropout"):
            return
        tensor = node.outputs[0]


def _is_per_channel(scale: Tensor, of_rank: int, axis: int) -> bool:
    """Whether the scale, broadcast to a tensor, differs along the axis of its channels alone."""
    shape = scale.shape
    if shape is None or len(shape) > of_rank:
        return False
    return all(size == 1 for i, size in enumerate(shape, of_rank - len(shape)) if i != axis)

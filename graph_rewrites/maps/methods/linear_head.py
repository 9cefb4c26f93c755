"""Whether a layer leads to the score by global average pooling and one linear layer, as CAM needs it."""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs

from ...errors import OnnxplainError
from ...graph.node import used_tensors
from ...graph.operator_traits import traits_of
from ...graph.reachability import tensors_between
from ...graph.tensors import value_of
from ..explained_tensor import ExplainedTensor


def require_linear_head(layer: ExplainedTensor) -> None:
    """Checks that nothing but averaging, one linear layer and renaming lies between the layer and the score.

    Raises:
        OnnxplainError: something else does; CAM is then not defined, and Grad-CAM is.
    """
    nodes = list(layer.op.nodes)
    path = tensors_between(nodes, [layer.rows.name], [layer.backward.scores.name])
    on_path = [n for n in nodes if any(t.name in path for t in n.outputs) and _enters(n, path)]
    linear = [node for node in on_path if traits_of(node).weighted]
    others = [n for n in on_path if n not in linear and not _averages(n) and not _moves(n) and not _adds_bias(n)]
    name = layer.name
    if others:
        reason = f"{others[0].op} (node {_name(others[0])!r}) lies between layer {name!r} and the score"
    elif len(linear) != 1:
        reason = f"{len(linear)} linear layers lie between layer {name!r} and the score, not one"
    elif not any(map(_averages, on_path)):
        reason = f"no global average pooling lies between layer {name!r} and the score"
    elif (window := next((n for n in on_path if n.op == "AveragePool"), None)) is not None and _is_local(window):
        reason = f"the pooling {_name(window)!r} behind layer {name!r} is not global"
    elif linear[0].op == "Conv" and any(size != 1 for size in linear[0].inputs[1].shape[2:]):
        reason = f"the convolution {_name(linear[0])!r} behind layer {name!r} is not 1 x 1"
    else:
        return
    raise OnnxplainError(
        f"{layer.op.model.name}: CAM needs global average pooling and one linear layer, but {reason}; use grad-cam, or "
        "the last convolutional layer"
    )


def _averages(node: gs.Node) -> bool:
    return traits_of(node).averages and node.op != "ReduceSum"


def _moves(node: gs.Node) -> bool:
    """Whether the node only renames, reshapes or repeats values, or picks a class of the logits."""
    whole = traits_of(node).values in ("in place", "reshaped")
    return whole or node.op in ("Transpose", "Expand", "GatherElements", "Gather", "Slice")


def _name(node: gs.Node) -> str:
    return str(node.name or node.outputs[0].name)


def _enters(node: gs.Node, path: set[str]) -> bool:
    return any(tensor.name in path for tensor in used_tensors(node))


def _adds_bias(node: gs.Node) -> bool:
    return node.op == "Add" and any(isinstance(value_of(t), np.ndarray) or _is_weight(t) for t in node.inputs)


def _is_weight(tensor: gs.Tensor) -> bool:
    """Whether the tensor is lifted from the file's initializers: an input of the graph that no node makes."""
    return not tensor.inputs


def _is_local(node: gs.Node) -> bool:
    sizes = node.outputs[0].shape
    return sizes is None or any(size != 1 for size in sizes[2:])

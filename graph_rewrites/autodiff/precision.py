"""What rules compute with: float32 where a tensor holds integers that stand for reals, or narrower floats.

So gradients of float16 and bfloat16 models are computed in float32, in which they do not underflow; only what is asked
for in the model's own type is rounded to it, at the end. No weight is stored twice: runtimes fold the casts at load.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import onnx
import onnx_graphsurgeon as gs

from ..build.emitter import Emitter
from ..graph.node import Node, subgraphs
from ..graph.operator_traits import traits_of
from ..graph.tensors import Tensor, dtype_of, is_float, is_sequence

NARROW = (onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16)


def promoted(op: Emitter, tensor: Tensor) -> Tensor:
    """A narrow float tensor in float32; any other as it is."""
    narrow = dtype_of(tensor) in NARROW and not is_sequence(tensor)
    return op.cast(tensor, onnx.TensorProto.FLOAT) if narrow else tensor


def is_promotion(node: gs.Node) -> bool:
    """Whether the node casts a narrow float to float32, as is done for rules to whatever they compute with."""
    return node.op == "Cast" and node.attrs["to"] == onnx.TensorProto.FLOAT and dtype_of(node.inputs[0]) in NARROW


def promoted_node(op: Emitter, node: Node, flowing: Sequence[Tensor | None]) -> tuple[Node, Sequence[Tensor | None]]:
    """The node and the gradients of its outputs as a rule takes them.

    Narrow floats, and quantised tensors on the path, are cast to float32. Operators that take quantised tensors for
    what they are see those as they are. So do those whose subgraphs hold tensors of the model's types.
    """
    if any(subgraphs(node.source)):
        return node, flowing
    takes_integers = traits_of(node.source).reads_quantised
    known: dict[str, Tensor] = {}
    for tensor in (*node.inputs, *node.outputs):
        if tensor is None or not tensor.name:
            continue
        is_quantised = tensor.name in node.path and not is_float(tensor)
        if dtype_of(tensor) in NARROW or (is_quantised and not takes_integers):
            known[tensor.name] = op.cast(tensor, onnx.TensorProto.FLOAT)
    if not known:
        return node, flowing
    real = replace(
        node,
        inputs=[t if t is None else known.get(t.name, t) for t in node.inputs],
        outputs=[known.get(t.name, t) for t in node.outputs],
        path=node.path | {tensor.name for name, tensor in known.items() if name in node.path},
    )
    return real, flowing

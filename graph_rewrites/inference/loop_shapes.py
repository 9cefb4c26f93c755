"""Shapes of what Loops carry, of which onnx infers nothing, as they may change from round to round.

A state that a round leaves as large as it found it keeps its shape; an axis that changes is open. That is an induction:
the shape at the start is put in for the body's input, and stays where the body's output has it too.
"""

from __future__ import annotations

import onnx


def carry_shapes(model: onnx.ModelProto, inferred: onnx.GraphProto) -> bool:
    """Adds what follows from `inferred`, the model's graph with its shapes; whether that is anything new.

    Called until nothing is: then the shapes that it put in are right.
    """
    known = {value.name: value.type for value in (*inferred.input, *inferred.value_info, *inferred.output)}
    for tensor in inferred.initializer:
        known.setdefault(tensor.name, onnx.helper.make_tensor_type_proto(tensor.data_type, tensor.dims))
    found = {name: node for node in inferred.node for name in node.output[:1]}
    changed = False
    for node in model.graph.node:
        if node.op_type == "Loop" and node.output and node.output[0] in found:
            changed |= _carry(model.graph, node, _body(node), _body(found[node.output[0]]), known)
    return changed


def _carry(
    graph: onnx.GraphProto,
    node: onnx.NodeProto,
    body: onnx.GraphProto,
    inferred: onnx.GraphProto,
    known: dict[str, onnx.TypeProto],
) -> bool:
    changed = False
    for i, name in enumerate(node.input[2:]):
        start, out = known.get(name), node.output[i]
        own, after = body.input[2 + i].type, inferred.output[1 + i].type
        if start is None or not _has_shape(start) or start.tensor_type.elem_type != own.tensor_type.elem_type:
            continue
        if not _has_shape(own):
            own.tensor_type.shape.CopyFrom(start.tensor_type.shape)
            changed = True
        elif not _has_shape(after) or len(after.tensor_type.shape.dim) != len(own.tensor_type.shape.dim):
            continue
        elif _open_what_differs(own, start) | _open_what_differs(own, after):
            changed = True
        elif out and not _has_shape(known.get(out)):
            told = next((value for value in (*graph.output, *graph.value_info) if value.name == out), None)
            if told is None or not _has_shape(told.type):
                (told or graph.value_info.add(name=out)).type.CopyFrom(own)
                changed = True
    return changed


def _open_what_differs(own: onnx.TypeProto, other: onnx.TypeProto) -> bool:
    """Clears the sizes that are not known to be the same; whether there were any."""
    changed = False
    for dim, seen in zip(own.tensor_type.shape.dim, other.tensor_type.shape.dim, strict=False):
        if dim != seen and dim.WhichOneof("value") is not None:
            dim.Clear()
            changed = True
    return changed


def _body(node: onnx.NodeProto) -> onnx.GraphProto:
    found: onnx.GraphProto = next(attribute.g for attribute in node.attribute if attribute.name == "body")
    return found


def _has_shape(kind: onnx.TypeProto | None) -> bool:
    return kind is not None and kind.HasField("tensor_type") and kind.tensor_type.HasField("shape")

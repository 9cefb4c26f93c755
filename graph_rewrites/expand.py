"""Composite operators as primitives: the function body that the operator's specification gives."""

from __future__ import annotations

from dataclasses import dataclass

import onnx
import onnx_graphsurgeon as gs
from onnx import inliner
from onnx_graphsurgeon.exporters.onnx_exporter import OnnxExporter

from .emit import Emitter
from .shape_inference import infer_shapes
from .tensors import Tensor, schema, type_proto


@dataclass(frozen=True)
class Body:
    """An operator's computation, appended beside it: `outputs` repeat the operator's own outputs."""

    nodes: list[gs.Node]
    outputs: list[Tensor]


def has_function_body(node: gs.Node, opset: int) -> bool:
    """Whether the operator's specification defines it by other operators."""
    specification = schema(node.op, opset, node.domain or "")
    names = ("has_function", "has_context_dependent_function")  # onnx's type stubs do not know them
    return any(getattr(specification, name, False) for name in names)


def function_body(op: Emitter, node: gs.Node) -> Body | None:
    """Appends the node's function body (operator specification, "Function Body") on the node's inputs.

    The node itself stays and keeps computing the forward values; the body recomputes what its gradient needs.
    Returns None where the specification defines no body.
    """
    if not has_function_body(node, op.model.opset):
        return None
    proto = OnnxExporter.export_node(node)
    inputs = {t.name: t for t in node.inputs if t.name}
    model = onnx.helper.make_model(
        onnx.helper.make_graph(
            [proto],
            "body",
            [onnx.ValueInfoProto(name=name, type=type_proto(tensor)) for name, tensor in inputs.items()],
            [onnx.ValueInfoProto(name=t.name) for t in node.outputs if t.name],
        ),
        opset_imports=[onnx.helper.make_opsetid("", op.model.opset)],
    )
    inlined = inliner.inline_selected_functions(model, [(node.domain or "", node.op)], inline_schema_functions=True)
    if any(inner.op_type == node.op for inner in inlined.graph.node):
        return None
    # Bodies compute shapes from sizes: inference over the whole body sees through that, node by node it does not.
    return _append(op, infer_shapes(inlined).graph, inputs, [t.name for t in node.outputs])


def _append(op: Emitter, graph: onnx.GraphProto, tensors: dict[str, Tensor], outputs: list[str]) -> Body:
    """Emits the nodes of `graph` on the tensors that its inputs name."""
    known = dict(tensors)
    start = len(op.nodes)
    shapes = {v.name: v.type.tensor_type.shape.dim for v in graph.value_info if v.type.tensor_type.HasField("shape")}
    for proto in graph.node:
        imported = gs.import_onnx(onnx.helper.make_model(onnx.helper.make_graph([proto], "node", [], []))).nodes[0]
        arguments = [known[name] if name else None for name in proto.input]
        results = op.emit(proto.op_type, *arguments, outputs=len(proto.output), **imported.attrs)
        for name, tensor in zip(proto.output, results if len(proto.output) > 1 else [results], strict=True):
            known[name] = tensor
            if tensor.shape is None and name in shapes:
                tensor.shape = [dim.dim_value or dim.dim_param or None for dim in shapes[name]]
    return Body(op.nodes[start:], [known[name] for name in outputs if name])

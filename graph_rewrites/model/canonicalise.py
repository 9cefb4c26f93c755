"""Bringing a model, its weights lifted out, into the one form the rewriter works on."""

from __future__ import annotations

from collections.abc import Iterator
from graphlib import TopologicalSorter

import onnx
from onnx import inliner

from ..inference.ceil_pools import state_dropped_windows
from ..inference.shape_inference import infer_shapes
from .opset_upgrade import raise_opset
from .subgraph_protos import hoist_initializers

# Every form the rewriter emits is valid from this opset on; older models are raised to it.
MIN_OPSET = 17
# From IR version 4 on initializers need not be graph inputs; opset 17 came with IR version 8.
MIN_IR_VERSION = 8


def canonicalise(
    proto: onnx.ModelProto,
) -> tuple[onnx.ModelProto, dict[str, onnx.ValueInfoProto], dict[str, onnx.NodeProto]]:
    """The model without model-local functions, of opset 17 or later, with types and shapes inferred.

    Beside it, the outputs whose shapes the file tells, as it tells them; and the nodes with bodies without what was
    inferred of these, by their first output.

    Raises:
        ValueError, RuntimeError: onnx cannot read, raise or infer the model.
    """
    _sort(proto.graph)
    if proto.functions:
        proto = inliner.inline_local_functions(proto)
        proto.graph.initializer.extend(hoist_initializers(proto.graph))
    for imported in proto.opset_import:
        if imported.domain == "ai.onnx":  # the default domain's other name
            imported.domain = ""
    if all(imported.domain for imported in proto.opset_import):  # a model of other domains' operators alone
        proto.opset_import.add(version=MIN_OPSET)
    opset = max(imported.version for imported in proto.opset_import if not imported.domain)
    metadata = {entry.key: entry.value for entry in proto.metadata_props}
    proto.ir_version = max(proto.ir_version, MIN_IR_VERSION)
    if opset < MIN_OPSET:
        proto = raise_opset(proto, opset, MIN_OPSET)
        proto.ir_version = max(proto.ir_version, MIN_IR_VERSION)
        onnx.helper.set_model_props(proto, metadata)
    _name_batch(proto.graph)
    declared = {value.name: value for value in proto.graph.output if value.type.tensor_type.HasField("shape")}
    bodies = {node.output[0]: node for node in proto.graph.node if any(a.HasField("g") for a in node.attribute)}
    proto = infer_shapes(_with_open_outputs(proto))
    state_dropped_windows(proto.graph)
    _restore_symbols(proto.graph, declared)
    return proto, declared, bodies


def _sort(graph: onnx.GraphProto) -> None:
    """Puts nodes after those whose outputs they read, as the format asks for and some converters do not keep to."""
    makers = {name: i for i, node in enumerate(graph.node) for name in node.output if name}
    needs = [{makers[name] for name in _read(node) if name in makers} for node in graph.node]
    if all(max(before, default=-1) < i for i, before in enumerate(needs)):
        return
    order = TopologicalSorter(dict(enumerate(needs))).static_order()
    nodes = [graph.node[i] for i in order]
    del graph.node[:]
    graph.node.extend(nodes)


def _read(node: onnx.NodeProto) -> Iterator[str]:
    """The tensors that the node or its subgraphs read."""
    yield from node.input
    for graph in (attribute.g for attribute in node.attribute):
        own = {value.name for value in graph.input}.union(*(inner.output for inner in graph.node))
        yield from (name for inner in graph.node for name in _read(inner) if name not in own)


def _with_open_outputs(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The model without the symbols of its outputs' sizes.

    Exporters often name an output's batch otherwise than the input's; inference tells that they are the same.
    """
    result = onnx.ModelProto()
    result.CopyFrom(proto)
    for value in result.graph.output:
        for dim in value.type.tensor_type.shape.dim:
            dim.ClearField("dim_param")
    return result


def _restore_symbols(graph: onnx.GraphProto, declared: dict[str, onnx.ValueInfoProto]) -> None:
    """Takes the file's symbols for the output sizes that inference could not tell to be an input's."""
    known = {dim.dim_param for value in graph.input for dim in value.type.tensor_type.shape.dim}
    for value in graph.output:
        was = declared[value.name].type.tensor_type.shape.dim if value.name in declared else []
        for dim, before in zip(value.type.tensor_type.shape.dim, was, strict=False):
            if before.dim_param and not dim.HasField("dim_value") and dim.dim_param not in known - {""}:
                dim.dim_param = before.dim_param


def _name_batch(graph: onnx.GraphProto) -> None:
    """Names the batch axis where exactly one input leaves it open without a name, for inference to carry it through.

    Sizes of 0 or -1, which some exporters write for an open one, are made open first.
    """
    for value in (*graph.input, *graph.output, *graph.value_info):
        for dim in value.type.tensor_type.shape.dim:
            if dim.HasField("dim_value") and dim.dim_value <= 0:
                dim.ClearField("dim_value")
    axes = [(v.name, v.type.tensor_type.shape.dim[0]) for v in graph.input if v.type.tensor_type.shape.dim]
    unnamed = [(name, axis) for name, axis in axes if not axis.WhichOneof("value")]
    if len(unnamed) == 1:
        ((name, axis),) = unnamed
        axis.dim_param = f"{name}_batch"

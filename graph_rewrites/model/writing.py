"""Writing a rewritten model without loss.

The new nodes are laid onto the protobuf that was read, so that nothing is lost that onnx-graphsurgeon does not model
(metadata, doc strings, quantisation annotations), and weights are copied once.
"""

from __future__ import annotations

import onnx
import onnx_graphsurgeon as gs
from onnx_graphsurgeon.exporters.onnx_exporter import OnnxExporter

from ..graph.node import used_tensors
from ..graph.tensors import Tensor
from .model import Model
from .model_file import load_external
from .subgraph_protos import node_proto


def write(model: Model) -> onnx.ModelProto:
    """Returns the rewritten model: the protobuf that was read, with the nodes, inputs and outputs of the graph."""
    known = {t.name for t in model.proto.graph.initializer} | {
        s.values.name for s in model.proto.graph.sparse_initializer
    }
    nodes, constants = [], {}
    for node in model.graph.nodes:
        nodes.append(node_proto(node, model.sources.get(id(node))))
        constants.update({t.name: t for t in used_tensors(node) if isinstance(t, gs.Constant) and t.name not in known})

    result = onnx.ModelProto()
    result.CopyFrom(model.proto)
    graph = result.graph
    del graph.node[:]
    graph.node.extend(nodes)
    graph.initializer.extend(OnnxExporter.export_tensor_proto(t) for t in constants.values())
    tensors = model.graph.tensors()
    described = [tensors.get(value.name) for value in graph.value_info if value.type.HasField("tensor_type")]
    del graph.value_info[:]
    graph.value_info.extend(
        OnnxExporter.export_value_info_proto(t, False) for t in described if t is not None and t.dtype
    )
    lifted = set(model.weights) - model.overridable
    declared = {value.name: value for value in (*graph.input, *graph.output)}
    inputs = [value for value in graph.input if value.name not in lifted]
    inputs += [OnnxExporter.export_value_info_proto(t, True) for t in model.inputs if t.name not in declared]
    outputs = [
        _without_contradicted(declared[t.name], t)
        if t.name in declared
        else OnnxExporter.export_value_info_proto(t, True)
        for t in model.graph.outputs
    ]
    for values, kept in ((graph.input, inputs), (graph.output, outputs)):
        del values[:]
        values.extend(kept)
    for tensor in model.weights.values():
        restored = graph.initializer.add()
        restored.CopyFrom(tensor)
        load_external(restored, model.folder, model.name)
    return result


def _without_contradicted(value: onnx.ValueInfoProto, tensor: Tensor) -> onnx.ValueInfoProto:
    """An output as the file declares it, but for numbers where inference tells that the size is open.

    They are left over from before an input's axis was opened; a runtime would fold them into what reads the output.
    """
    result = onnx.ValueInfoProto()
    result.CopyFrom(value)
    for dim, size in zip(result.type.tensor_type.shape.dim, tensor.shape or [], strict=False):
        if dim.HasField("dim_value") and not isinstance(size, int):
            dim.Clear()
    return result

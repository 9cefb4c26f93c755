"""Small tensors that follow from sizes and constants alone, such as where a centre crop begins."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_graphsurgeon as gs
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx_graphsurgeon.exporters.onnx_exporter import OnnxExporter

from ..graph.node import subgraphs
from ..graph.tensors import Tensor, value_of

MOST = 64  # nodes
MAX_VALUES = 64
# Two sizes for each open axis: what is the same for both does not depend on it.
OPEN = (37, 52)


def known_value(tensor: Tensor, opset: int) -> np.ndarray | None:
    """The tensor's values; None where they depend on inputs, or on sizes that are open."""
    constant = value_of(tensor)
    if constant is not None or not tensor.inputs:
        return constant
    nodes = _makers(tensor)
    if nodes is None:
        return None
    found = [_evaluated(nodes, tensor, opset, size) for size in OPEN]
    if any(values is None for values in found) or not np.array_equal(found[0], found[1]):
        return None
    return found[0]


def _makers(tensor: Tensor) -> list[gs.Node] | None:
    """The nodes that make the tensor from sizes and constants, in order; None where it takes others."""
    waiting, found = [tensor], dict[int, gs.Node]()
    while waiting:
        current = waiting.pop()
        if value_of(current) is not None or not current.name:
            continue
        if not current.inputs:
            return None
        (node,) = current.inputs
        if id(node) in found:
            continue
        if len(found) >= MOST or any(subgraphs(node)) or node.domain not in (None, "", "ai.onnx"):
            return None
        found[id(node)] = node
        if node.op != "Shape":
            waiting.extend(node.inputs)
        elif node.inputs[0].shape is None:
            return None
    return list(found.values())[::-1]


def _evaluated(nodes: list[gs.Node], wanted: Tensor, opset: int, size: int) -> np.ndarray | None:
    weights: dict[str, onnx.TensorProto] = {}
    protos = []
    for node in nodes:
        if node.op == "Shape":
            sizes = np.array([each if isinstance(each, int) else size for each in node.inputs[0].shape], np.int64)
            sizes = sizes[node.attrs.get("start", 0) : node.attrs.get("end", len(sizes))]
            weights[node.outputs[0].name] = numpy_helper.from_array(sizes, node.outputs[0].name)
            continue
        for tensor in node.inputs:
            value = value_of(tensor)
            if value is not None:
                if value.size > MAX_VALUES:
                    return None
                weights[tensor.name] = numpy_helper.from_array(np.asarray(value), tensor.name)
        protos.append(OnnxExporter.export_node(node))
    made = {name for proto in protos for name in proto.output}
    graph = onnx.helper.make_graph(
        _sorted(protos, set(weights)), "sizes", [], [onnx.ValueInfoProto(name=wanted.name)], list(weights.values())
    )
    if wanted.name not in made:
        return numpy_helper.to_array(weights[wanted.name])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])
    try:
        return np.asarray(ReferenceEvaluator(model).run(None, {})[0])
    except Exception:  # whatever onnx's evaluator lacks or refuses, these values stay unknown
        return None


def _sorted(protos: list[onnx.NodeProto], known: set[str]) -> list[onnx.NodeProto]:
    """The nodes, each after those that it reads."""
    result, waiting = [], list(protos)
    known = known | {""}
    while waiting:
        ready = [proto for proto in waiting if known.issuperset(proto.input)]
        if not ready:
            return protos
        result += ready
        known |= {name for proto in ready for name in proto.output}
        waiting = [proto for proto in waiting if proto not in ready]
    return result

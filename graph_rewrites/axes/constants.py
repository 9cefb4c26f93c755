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
# Two sizes for each open axis, as (of the first axis, more for each after): what is the same for both depends on none.
OPEN = ((37, 11), (53, 5))


def known_value(tensor: Tensor, opset: int) -> np.ndarray | None:
    """The tensor's values; None where they depend on inputs, or on sizes that are open."""
    constant = value_of(tensor)
    if constant is not None:
        return constant
    one, other = _for_open_sizes(tensor, opset)
    return one if one is not None and other is not None and np.array_equal(one, other) else None


def known_entries(tensor: Tensor, opset: int) -> list[float | None] | None:
    """The values of a vector, None of those that depend on open sizes; None where any depends on inputs."""
    constant = value_of(tensor)
    one, other = (constant, constant) if constant is not None else _for_open_sizes(tensor, opset)
    if one is None or other is None or one.shape != other.shape:
        return None
    pairs = zip(one.ravel().tolist(), other.ravel().tolist(), strict=True)
    return [value if value == second else None for value, second in pairs]


def _for_open_sizes(tensor: Tensor, opset: int) -> list[np.ndarray | None]:
    """The tensor's values for each choice of the open sizes; None where they depend on inputs."""
    nodes = _makers(tensor) if tensor.inputs else None
    return [None if nodes is None else _evaluated(nodes, tensor, opset, size) for size in OPEN]


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


def _evaluated(nodes: list[gs.Node], wanted: Tensor, opset: int, size: tuple[int, int]) -> np.ndarray | None:
    weights: dict[str, onnx.TensorProto] = {}
    protos = []
    for node in nodes:
        if node.op == "Shape":
            first, more = size
            known = [each if isinstance(each, int) else first + more * i for i, each in enumerate(node.inputs[0].shape)]
            sizes = np.array(known, np.int64)
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
        (found,) = ReferenceEvaluator(model).run(None, {})
        return np.asarray(found)
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

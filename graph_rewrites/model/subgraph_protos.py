"""Nodes with subgraphs (If, Loop, Scan) to and from protobuf.

All weights of a model stand in its main graph, where its subgraphs capture them: `hoist_initializers` moves there what
an exporter put elsewhere, so that a copy of a subgraph copies no weight.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import onnx
import onnx_graphsurgeon as gs
from onnx_graphsurgeon.exporters.onnx_exporter import OnnxExporter

from ..graph.node import subgraphs
from ..graph.tensors import Tensor, kind_of

Type: TypeAlias = tuple[Any, Any, str]  # dtype, shape and kind, as onnx-graphsurgeon holds them

TENSOR = "tensor_type"


def merged(a: Any, b: Any) -> Any:
    """The shape of a tensor that has one of two shapes; None where their ranks differ."""
    if a is None or b is None or len(a) != len(b):
        return None
    return [x if x == y else None for x, y in zip(a, b, strict=True)]


def _if_types(node: gs.Node) -> list[Type]:
    branches = zip(node.attrs["then_branch"].outputs, node.attrs["else_branch"].outputs, strict=True)
    return [(yes.dtype, merged(yes.shape, no.shape), kind_of(yes)) for yes, no in branches]


def _loop_types(node: gs.Node) -> list[Type]:
    states, outputs = node.inputs[2:], node.attrs["body"].outputs[1:]
    pairs = zip(states, outputs, strict=False)
    types = [(state.dtype, merged(state.shape, out.shape), kind_of(state)) for state, out in pairs]
    stacked = outputs[len(states) :]
    return types + [(out.dtype, None if out.shape is None else [None, *out.shape], TENSOR) for out in stacked]


def _scan_types(node: gs.Node) -> list[Type]:
    outputs, count = node.attrs["body"].outputs, len(node.inputs) - node.attrs["num_scan_inputs"]
    types = [(state.dtype, state.shape, TENSOR) for state in node.inputs[:count]]
    first, axis = node.inputs[count], (node.attrs.get("scan_input_axes") or [0])[0]
    steps = None if first.shape is None else first.shape[axis]
    axes = node.attrs.get("scan_output_axes") or [0] * len(outputs)
    for out, axis in zip(outputs[count:], axes, strict=False):
        shape = None if out.shape is None else list(out.shape)
        if shape is not None:
            shape.insert(axis if axis >= 0 else axis + len(shape) + 1, steps)
        types.append((out.dtype, shape, TENSOR))
    return types


# The types of the outputs of a node whose subgraphs have types.
CONTROL_FLOW: dict[str, Callable[[gs.Node], list[Type]]] = {"If": _if_types, "Loop": _loop_types, "Scan": _scan_types}


def parameter_types(node: gs.Node, inputs: Sequence[Tensor]) -> list[Type]:
    """The types of what a node on some inputs hands to its body; a state of a Loop may change its shape."""
    if node.op == "Loop":
        states = [(state.dtype, None, kind_of(state)) for state in inputs[2:]]
        return [(np.dtype(np.int64), [], TENSOR), (np.dtype(np.bool_), [], TENSOR), *states]
    if node.op == "Scan":
        first = len(inputs) - node.attrs["num_scan_inputs"]
        axes = node.attrs.get("scan_input_axes") or [0] * node.attrs["num_scan_inputs"]
        types = [(state.dtype, state.shape, TENSOR) for state in inputs[:first]]
        for tensor, axis in zip(inputs[first:], axes, strict=True):
            shape = None if tensor.shape is None else list(tensor.shape)
            if shape is not None:
                del shape[axis]
            types.append((tensor.dtype, shape, TENSOR))
        return types
    return []


def node_proto(node: gs.Node, source: onnx.NodeProto | None = None) -> onnx.NodeProto:
    """A node's protobuf: `source`, the one that was read, under the present tensor names, or a new one."""
    if source is not None:
        proto = onnx.NodeProto()
        proto.CopyFrom(source)
        _rename(node, proto)
        return proto
    if not any(subgraphs(node)):
        exported: onnx.NodeProto = OnnxExporter.export_node(node)
        return exported
    proto = onnx.helper.make_node(
        node.op, [t.name for t in node.inputs], [t.name for t in node.outputs], name=node.name, domain=node.domain
    )
    for name, value in node.attrs.items():
        if isinstance(value, gs.Graph):
            proto.attribute.append(onnx.helper.make_attribute(name, _graph_proto(value)))
        else:
            proto.attribute.extend(OnnxExporter.export_attributes({name: value}))
    return proto


def _rename(node: gs.Node, proto: onnx.NodeProto) -> None:
    proto.input[:] = [tensor.name for tensor in node.inputs]
    proto.output[:] = [tensor.name for tensor in node.outputs]
    for attribute in proto.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            for inner, inner_proto in zip(node.attrs[attribute.name].nodes, attribute.g.node, strict=True):
                _rename(inner, inner_proto)


def _graph_proto(graph: gs.Graph) -> onnx.GraphProto:
    """An emitted subgraph; the constants that it reads are the main graph's."""
    inner = [tensor for node in graph.nodes for tensor in node.outputs if tensor.name and tensor.dtype]
    return onnx.helper.make_graph(
        [node_proto(node) for node in graph.nodes],
        graph.name,
        [_value_info(tensor) for tensor in graph.inputs],
        [_value_info(tensor) for tensor in graph.outputs],
        value_info=[_value_info(tensor) for tensor in inner if not any(tensor is t for t in graph.outputs)],
    )


def _value_info(tensor: Tensor) -> onnx.ValueInfoProto:
    value: onnx.ValueInfoProto = OnnxExporter.export_value_info_proto(tensor, False)
    return value


def hoist_initializers(main: onnx.GraphProto, others: Iterable[onnx.TensorProto] = ()) -> list[onnx.TensorProto]:
    """Takes the initializers out of subgraphs, for the main graph to hold them (sparse ones are moved there).

    A name that the graph, a subgraph or `others`, the main graph's further initializers, have too becomes a new one.
    """
    counts = Counter([*definitions(main), *(tensor.name for tensor in others)])
    moved: list[onnx.TensorProto] = []
    for node in main.node:
        _hoist(node, main, moved, counts, {})
    return moved


def definitions(graph: onnx.GraphProto) -> Iterator[str]:
    """The name of every tensor and node that a graph and its subgraphs define."""
    yield from (named.name for named in (*graph.input, *graph.initializer, *graph.node) if named.name)
    yield from (sparse.values.name for sparse in graph.sparse_initializer)
    for node in graph.node:
        yield from node.output
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from definitions(inner)


def _hoist(
    node: onnx.NodeProto,
    main: onnx.GraphProto,
    moved: list[onnx.TensorProto],
    counts: Counter[str],
    renamed: dict[str, str],
) -> None:
    """Moves what the node's subgraphs hold; `renamed` maps the names of what was moved from the graphs around it."""
    node.input[:] = [renamed.get(name, name) for name in node.input]
    for graph in (attribute.g for attribute in node.attribute if attribute.type == onnx.AttributeProto.GRAPH):
        listed, outputs = {value.name for value in graph.input}, {value.name for value in graph.output}
        local = listed.union(*(made.output for made in graph.node))
        names = {name: new for name, new in renamed.items() if name not in local}
        dense, sparse = list(graph.initializer), list(graph.sparse_initializer)
        del graph.initializer[:], graph.sparse_initializer[:]
        graph.initializer.extend(tensor for tensor in dense if tensor.name in listed)
        moved += (tensor for tensor in dense if tensor.name not in listed)
        main.sparse_initializer.extend(sparse)
        held = [tensor for tensor in dense if tensor.name not in listed]
        held += [tensor.values for tensor in main.sparse_initializer[len(main.sparse_initializer) - len(sparse) :]]
        for tensor in held:
            name, tensor.name = tensor.name, _free_name(tensor.name, counts, tensor.name in outputs)
            if name in outputs:  # a graph cannot put out a tensor that is not its own
                graph.node.insert(0, onnx.helper.make_node("Identity", [tensor.name], [name]))
            else:
                names[name] = tensor.name
        for made in graph.node:
            _hoist(made, main, moved, counts, names)


def _free_name(name: str, counts: Counter[str], rename: bool) -> str:
    """The name itself where nothing else has it, else one with a number behind."""
    if counts[name] <= 1 and not rename:
        return name
    free = next(f"{name}_{i}" for i in itertools.count(1) if f"{name}_{i}" not in counts)
    counts[free] += 1
    return free

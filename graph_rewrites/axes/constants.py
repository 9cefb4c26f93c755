"""Small tensors that follow from sizes and constants alone, such as where a centre crop begins, or a new shape."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import onnx_graphsurgeon as gs
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx_graphsurgeon.exporters.onnx_exporter import OnnxExporter

from ..graph.node import subgraphs
from ..graph.tensors import Tensor, value_of
from .labels import TIMES, Label, Pieces, Size, multiplied

MOST = 64  # nodes
MAX_VALUES = 64
# Two sizes for each open axis, of the first symbol and more for each after: what is the same for both depends on none.
OPEN = ((37, 11), (53, 5))

Known = Mapping[str, "Sequence[Label] | None"]


def size_of(label: Label, size: Size) -> Size:
    """The size of an axis: as inference has it, or as its label does where that knows more."""
    if isinstance(size, int) or label is None:
        return size
    if isinstance(label, Pieces):
        sizes = [part.size for part in label.parts]
        return sum(each for each in sizes if isinstance(each, int)) if all(isinstance(s, int) for s in sizes) else size
    known = multiplied([digit.size for digit in label]) if label else None
    return size if known is None else known


def known_value(tensor: Tensor, opset: int, known: Known) -> np.ndarray | None:
    """The tensor's values; None where they depend on inputs, or on sizes that are open."""
    constant = value_of(tensor)
    if constant is not None:
        return constant
    (one, other), _ = _for_open_sizes(tensor, opset, known)
    return one if one is not None and other is not None and np.array_equal(one, other) else None


def known_entries(tensor: Tensor, opset: int, known: Known) -> list[Size] | None:
    """The values of a vector of integers: numbers, symbols of open sizes, None of what is computed from those.

    Returns None where any depends on inputs.
    """
    constant = value_of(tensor)
    if constant is not None:
        return [int(value) for value in constant.ravel()]
    (one, other), symbols = _for_open_sizes(tensor, opset, known)
    if one is None or other is None or one.shape != other.shape:
        return None
    named = {pair: symbol for symbol, pair in symbols.items()}
    pairs = [(int(a), int(b)) for a, b in zip(one.ravel(), other.ravel(), strict=True)]
    return [a if a == b else named.get((a, b)) for a, b in pairs]


def _for_open_sizes(
    tensor: Tensor, opset: int, known: Known
) -> tuple[tuple[np.ndarray | None, np.ndarray | None], dict[str, tuple[int, int]]]:
    """The tensor's values for each choice of the open sizes, None where they depend on inputs; and these choices."""
    nodes = _makers(tensor) if tensor.inputs else None
    if nodes is None:
        return (None, None), {}
    shapes: dict[str, list[Size]] = {}
    for node in (node for node in nodes if node.op == "Shape"):
        read = node.inputs[0]
        labels = known.get(read.name) or [None] * len(read.shape)
        sizes = [size_of(label, size) for label, size in zip(labels, read.shape, strict=True)]
        shapes[read.name] = [f"{read.name}, {i}" if size is None else size for i, size in enumerate(sizes)]
    every = dict.fromkeys(
        each for sizes in shapes.values() for size in sizes if isinstance(size, str) for each in _symbols_of(size)
    )
    symbols = {symbol: (OPEN[0][0] + i * OPEN[0][1], OPEN[1][0] + i * OPEN[1][1]) for i, symbol in enumerate(every)}
    found = []
    for which in (0, 1):
        numbers = {
            name: [_number(size, symbols, which) if isinstance(size, str) else int(size or 0) for size in sizes]
            for name, sizes in shapes.items()
        }
        found.append(_evaluated(nodes, tensor, opset, numbers))
    products = {size for sizes in shapes.values() for size in sizes if isinstance(size, str)}
    named = {size: (_number(size, symbols, 0), _number(size, symbols, 1)) for size in products}
    return (found[0], found[1]), symbols | named


def _symbols_of(size: str) -> list[str]:
    return [factor for factor in size.split(TIMES) if not factor.isdigit()]


def _number(size: str, symbols: Mapping[str, tuple[int, int]], which: int) -> int:
    """A product of symbols and a number, for one choice of the symbols."""
    factors = size.split(TIMES)
    return math.prod(int(factor) if factor.isdigit() else symbols[factor][which] for factor in factors)


def _makers(tensor: Tensor) -> list[gs.Node] | None:
    """The nodes that make the tensor from sizes and constants, in any order; None where it takes others."""
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
    return list(found.values())


def _evaluated(nodes: list[gs.Node], wanted: Tensor, opset: int, shapes: Mapping[str, list[int]]) -> np.ndarray | None:
    weights: dict[str, onnx.TensorProto] = {}
    protos = []
    for node in nodes:
        if node.op == "Shape":
            sizes = np.array(shapes[node.inputs[0].name], np.int64)
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
    if wanted.name in weights:
        return numpy_helper.to_array(weights[wanted.name])
    graph = onnx.helper.make_graph(
        _sorted(protos, set(weights)), "sizes", [], [onnx.ValueInfoProto(name=wanted.name)], list(weights.values())
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])
    try:
        (found,) = ReferenceEvaluator(model).run(None, {})
    except Exception:  # whatever onnx's evaluator lacks or refuses, these values stay unknown
        return None
    return np.asarray(found)


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

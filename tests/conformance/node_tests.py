"""ONNX's own backend node tests, as models whose inputs and outputs are tensors.

Sequences and optionals at the border of a test's graph are built from tensors by SequenceConstruct and Optional, and
taken apart by SequenceAt and OptionalGetElement: gradients are taken of tensors, through sequences and optionals.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.backend.test.loader import load_model_tests
from onnxplain.graph_rewrites.graph.tensors import FLOAT_TYPES


@dataclass(frozen=True)
class NodeTest:
    """One test: its model, the data of its inputs, and the operator that it is about."""

    name: str
    operator: str
    model: onnx.ModelProto
    feeds: dict[str, np.ndarray]

    @property
    def float_inputs(self) -> list[str]:
        """The inputs that gradients are taken of."""
        return [v.name for v in self.model.graph.input if v.name in self.feeds and _is_float(v)]

    @property
    def float_outputs(self) -> list[str]:
        """The outputs that are differentiated."""
        return [v.name for v in self.model.graph.output if _is_float(v)]


def _is_float(value: onnx.ValueInfoProto) -> bool:
    return value.type.tensor_type.elem_type in FLOAT_TYPES


@cache
def node_tests() -> dict[str, NodeTest]:
    """Every node test of the installed onnx, by name."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        cases = load_model_tests(kind="node")
    operators = {case.name: _key(case.model.graph.node[0]) for case in cases if len(case.model.graph.node) == 1}
    tests = {}
    for case in cases:
        plain = case.name.split("_expanded")[0]
        operator = operators.get(case.name) or operators.get(plain) or _key(case.model.graph.node[0])
        inputs, outputs = case.data_sets[0]
        tests[case.name] = NodeTest(case.name, operator, *_with_tensors_at_its_border(case.model, inputs, outputs))
    return tests


def _key(node: onnx.NodeProto) -> str:
    return f"{node.domain}::{node.op_type}" if node.domain not in ("", "ai.onnx") else str(node.op_type)


def _with_tensors_at_its_border(
    source: onnx.ModelProto, inputs: list[Any], outputs: list[Any]
) -> tuple[onnx.ModelProto, dict[str, Any]]:
    model = onnx.ModelProto()
    model.CopyFrom(source)
    graph = model.graph
    before: list[onnx.NodeProto] = []
    after: list[onnx.NodeProto] = []
    values: list[onnx.ValueInfoProto] = []
    feeds: dict[str, Any] = {}
    for value, data in zip(source.graph.input, inputs, strict=False):
        for tensor, array in _pack(value, data, before):
            values.append(tensor)
            feeds[tensor.name] = array
    results = [
        tensor
        for value, data in zip(source.graph.output, outputs, strict=True)
        for tensor in _unpack(value.name, value.type, data, after)
    ]
    nodes = [*before, *graph.node, *after]
    for field, content in ((graph.node, nodes), (graph.input, values), (graph.output, results)):
        del field[:]
        field.extend(content)
    return model, feeds


def _pack(value: onnx.ValueInfoProto, data: Any, nodes: list[onnx.NodeProto]) -> Iterator[tuple[Any, Any]]:
    """The tensor inputs that make up one input, with their data; the nodes that put them together go to `nodes`."""
    kind = value.type.WhichOneof("value")
    if kind == "sequence_type":
        inner = value.type.sequence_type.elem_type
        parts = [onnx.ValueInfoProto(name=f"{value.name}_{i}", type=inner) for i in range(len(data))]
        for part, array in zip(parts, data, strict=True):
            del part.type.tensor_type.shape.dim[:]
            part.type.tensor_type.shape.dim.extend(onnx.TensorShapeProto.Dimension(dim_value=n) for n in array.shape)
            yield part, array
        if parts:
            nodes.append(helper.make_node("SequenceConstruct", [part.name for part in parts], [value.name]))
        else:
            nodes.append(helper.make_node("SequenceEmpty", [], [value.name], dtype=inner.tensor_type.elem_type))
    elif kind == "optional_type":
        inner = value.type.optional_type.elem_type
        if data is None:
            nodes.append(helper.make_node("Optional", [], [value.name], type=inner))
        else:
            content = onnx.ValueInfoProto(name=f"{value.name}_content", type=inner)
            yield from _pack(content, data, nodes)
            nodes.append(helper.make_node("Optional", [content.name], [value.name]))
    else:
        yield value, numpy_helper.to_array(data) if isinstance(data, TensorProto) else np.asarray(data)


def _unpack(name: str, kind: onnx.TypeProto, data: Any, nodes: list[onnx.NodeProto]) -> Iterator[onnx.ValueInfoProto]:
    """The tensor outputs that one output is made up of; the nodes that take it apart go to `nodes`."""
    case = kind.WhichOneof("value")
    if case == "sequence_type":
        for i, array in enumerate(data):
            index, part = f"{name}_index_{i}", f"{name}_{i}"
            nodes.append(helper.make_node("Constant", [], [index], value_int=i))
            nodes.append(helper.make_node("SequenceAt", [name, index], [part]))
            yield from _unpack(part, kind.sequence_type.elem_type, array, nodes)
    elif case == "optional_type":
        if data is not None:
            nodes.append(helper.make_node("OptionalGetElement", [name], [f"{name}_content"]))
            yield from _unpack(f"{name}_content", kind.optional_type.elem_type, data, nodes)
    else:
        yield onnx.ValueInfoProto(name=name, type=kind)

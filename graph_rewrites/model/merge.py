"""Several explained models of one model as one, in which what they have in common is computed once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import onnx

from ..errors import OnnxplainError
from ..graph.operator_traits import traits_of
from .metadata import add_metadata, read_metadata

# A node's operator, attributes and inputs: two nodes that agree in these compute the same.
Key = tuple[Any, ...]


def merge(models: Mapping[str, onnx.ModelProto]) -> onnx.ModelProto:
    """Joins explained models, so that one run gives the outputs of them all.

    Weights that are equal are stored once, and nodes that compute the same run once: the network up to where the
    explanations part, and what they share of the way back.

    Args:
        models: explained models by a name for each, all made of one model; not changed.

    Returns:
        The model. Its record holds as `records` each one's own, by name, with the names of the outputs in here; its
        `names` are those of all, as `heatmap@grad-cam`, `score@grad-cam`, and `target`.

    Raises:
        OnnxplainError: the models differ in their inputs, opsets or functions.
    """
    first = next(iter(models.values()))
    if any(_frame(model) != _frame(first) for model in models.values()):
        raise OnnxplainError("explained models of different inputs or operator sets cannot be joined; run each alone")
    joined = _Joined(first)
    records = {name: joined.add(name, model) for name, model in models.items()}
    common = next(iter(records.values()))
    names = {
        f"{logical}@{name}": actual for name, record in records.items() for logical, actual in record["names"].items()
    }
    add_metadata(
        joined.result,
        version=common["version"],
        input=common["input"],
        score=common["score"],
        rows=common.get("rows"),
        names={**names, "target": common["names"]["target"]},
        records=records,
    )
    return joined.result


def _frame(model: onnx.ModelProto) -> tuple[Any, ...]:
    """What joined models must agree in."""
    weights = {one.name for one in model.graph.initializer}
    inputs = [value.SerializeToString(deterministic=True) for value in model.graph.input if value.name not in weights]
    opsets = sorted((one.domain, one.version) for one in model.opset_import)
    return inputs, opsets, [one.name for one in model.functions], len(model.graph.sparse_initializer)


class _Joined:
    """The model that grows; `_known` tells which tensor holds what a key stands for."""

    def __init__(self, first: onnx.ModelProto) -> None:
        self.result = onnx.ModelProto()
        self.result.CopyFrom(first)
        graph = self.result.graph
        for part in (graph.node, graph.initializer, graph.output, graph.value_info, graph.quantization_annotation):
            del part[:]
        del self.result.metadata_props[:]
        weights = {one.name for one in first.graph.initializer}
        inputs = [value for value in graph.input if value.name not in weights]
        del graph.input[:]
        graph.input.extend(inputs)
        self._taken = {value.name for value in inputs}
        self._nodes: set[str] = set()
        self._known: dict[Key, list[str]] = {}

    def add(self, source: str, model: onnx.ModelProto) -> dict[str, Any]:
        """Adds what is new in a model, and returns its record with the names in here."""
        graph, names = model.graph, {value.name: value.name for value in self.result.graph.input}
        for tensor in graph.initializer:
            names[tensor.name] = self._add_weight(source, tensor)
        for node in graph.node:
            self._add_node(source, node, names)
        record = read_metadata(model) or {}
        types = {value.name: value for value in graph.output}
        for name in record["names"].values():
            if name in types and all(value.name != names[name] for value in self.result.graph.output):
                output = self.result.graph.output.add()
                output.CopyFrom(types[name])
                output.name = names[name]
        return {**record, "names": {logical: names[name] for logical, name in record["names"].items()}}

    def _add_weight(self, source: str, tensor: onnx.TensorProto) -> str:
        copy = onnx.TensorProto()
        copy.CopyFrom(tensor)
        copy.ClearField("name")
        copy.ClearField("doc_string")
        key = ("weight", hashlib.sha256(copy.SerializeToString(deterministic=True)).digest())
        if key not in self._known:
            copy.name = self._unique(tensor.name, source, self._taken)
            self.result.graph.initializer.append(copy)
            self._known[key] = [copy.name]
        return self._known[key][0]

    def _add_node(self, source: str, node: onnx.NodeProto, names: dict[str, str]) -> None:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        _rename(copy, names)
        key = _key(copy)
        if key not in self._known:
            outputs = [self._unique(name, source, self._taken) if name else "" for name in node.output]
            copy.name = self._unique(node.name, source, self._nodes) if node.name else ""
            del copy.output[:]
            copy.output.extend(outputs)
            self.result.graph.node.append(copy)
            self._known[key] = outputs
        names.update((name, actual) for name, actual in zip(node.output, self._known[key], strict=True) if name)

    def _unique(self, name: str, source: str, taken: set[str]) -> str:
        unique, number = name, 1
        while unique in taken:
            unique = f"{name}/{source}" if number == 1 else f"{name}/{source}_{number}"
            number += 1
        taken.add(unique)
        return unique


def _key(node: onnx.NodeProto) -> Key:
    attributes = sorted(one.SerializeToString(deterministic=True) for one in node.attribute)
    # Two draws are two, and so may be what runs a body; of the same name in two models they are the same.
    is_own = traits_of(node.op_type).random or node.op_type == "Dropout" or any(_graphs(node))
    own = tuple(node.output) if is_own else ()
    # Which optional outputs a node has is a part of what it computes.
    return (node.domain, node.op_type, tuple(attributes), tuple(node.input), tuple(map(bool, node.output)), own)


def _rename(node: onnx.NodeProto, names: Mapping[str, str]) -> None:
    """Renames what a node reads, also within its bodies, which may read tensors from outside."""
    for index, name in enumerate(node.input):
        node.input[index] = names.get(name, name)
    for body in _graphs(node):
        own = {one.name for one in (*body.input, *body.initializer)} | {
            name for one in body.node for name in one.output
        }
        outer = {name: actual for name, actual in names.items() if name not in own}
        for inner in body.node:
            _rename(inner, outer)
        for output in body.output:
            output.name = outer.get(output.name, output.name)


def _graphs(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    single = [one.g for one in node.attribute if one.type == onnx.AttributeProto.GRAPH]
    return single + [body for one in node.attribute if one.type == onnx.AttributeProto.GRAPHS for body in one.graphs]

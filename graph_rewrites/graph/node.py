"""A node as rules see it, and what it reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import onnx
import onnx_graphsurgeon as gs

from .operator_traits import traits_of
from .tensors import Tensor, schema


@dataclass(frozen=True)
class Node:
    """A node as rules see it: inputs (None where omitted), outputs, attributes with the specification's defaults.

    Attributes:
        captured: the outer tensors that its subgraphs read; a rule returns their gradients after those of the inputs.
        path: names of the tensors whose gradients are wanted, or lead to such.
        rules: the rules in force, to differentiate a subgraph with.
        unbounded: whether the gradients of its outputs may be infinite.
    """

    op_type: str
    name: str
    inputs: list[Any]
    outputs: list[Tensor]
    attrs: dict[str, Any]
    source: gs.Node
    captured: list[Tensor] = field(default_factory=list)
    path: frozenset[str] = frozenset()
    rules: Any = None
    unbounded: bool = False


def view(node: gs.Node, opset: int, path: frozenset[str] = frozenset(), rules: Any = None) -> Node:
    """The node as rules see it."""
    return Node(
        op_type=node.op,
        name=node.name or node.outputs[0].name,
        inputs=[tensor if tensor.name else None for tensor in node.inputs],
        outputs=list(node.outputs),
        attrs={**_defaults(node.op, opset, node.domain or ""), **node.attrs},
        source=node,
        captured=list({tensor.name: tensor for tensor in captured_tensors(node)}.values()),
        path=path,
        rules=rules,
    )


def subgraphs(node: gs.Node) -> Iterator[gs.Graph]:
    """The graphs among the node's attributes: the branches of an If, the body of a Loop or Scan."""
    return (value for value in node.attrs.values() if isinstance(value, gs.Graph))


def captured_tensors(node: gs.Node) -> Iterator[Tensor]:
    """The outer tensors that the node's subgraphs read, as often as they do, and those in a sequence that it reads."""
    yield from held_tensors(node)
    for graph in subgraphs(node):
        inner = {t.name for n in graph.nodes for t in n.outputs} | {t.name for t in graph.inputs} | {""}
        used = [t for n in graph.nodes for t in used_tensors(n)] + list(graph.outputs)
        yield from (tensor for tensor in used if tensor.name not in inner)


def held_tensors(node: gs.Node) -> Iterator[Tensor]:
    """What the nodes read that put tensors into the sequence or optional from which this node takes one."""
    makers = [maker for tensor in node.inputs[:1] for maker in tensor.inputs] if traits_of(node).takes_tensors else []
    while makers:
        maker = makers.pop()
        if traits_of(maker).holds_tensors:
            yield from used_tensors(maker)
            makers.extend(further for tensor in maker.inputs for further in tensor.inputs)


def used_tensors(node: gs.Node) -> Iterator[Tensor]:
    """The node's inputs, and the outer tensors that its subgraphs (If, Loop, Scan) capture."""
    yield from node.inputs
    yield from captured_tensors(node)


def replace_input(node: gs.Node, tensor: Tensor, new: Tensor) -> None:
    """Makes the node, and the nodes of its subgraphs, read `new` in the place of `tensor`."""
    node.inputs = [new if used is tensor else used for used in node.inputs]
    for graph in subgraphs(node):
        for inner in graph.nodes:
            replace_input(inner, tensor, new)


@cache
def _defaults(op_type: str, opset: int, domain: str) -> dict[str, Any]:
    specification = schema(op_type, opset, domain)
    if specification is None:
        return {}
    values = {
        name: onnx.helper.get_attribute_value(attribute.default_value)
        for name, attribute in specification.attributes.items()
        if attribute.default_value.type
    }
    return {name: _decoded(value) for name, value in values.items()}


def _decoded(value: Any) -> Any:
    if isinstance(value, list):
        return [_decoded(each) for each in value]
    return value.decode() if isinstance(value, bytes) else value

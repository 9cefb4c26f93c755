"""Composite operators as primitives: decompositions registered here, or the specification's function body.

A decomposition receives the emitter and the node, emits an equivalent computation on the node's inputs, and returns
its outputs in the order of the node's own (None for one that nobody can differentiate).

    @decomposition_of("com.microsoft::QuickGelu")
    def quick_gelu(op, node):
        (x,) = node.inputs
        return [op.Mul(x, op.Sigmoid(op.Mul(x, node.attrs["alpha"])))]
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import onnx
import onnx_graphsurgeon as gs
from onnx import inliner

from ..build.emitter import Emitter
from ..errors import OnnxplainError
from ..graph.node import Node, used_tensors
from ..graph.operator_traits import key_of, traits_of
from ..graph.tensors import Tensor, schema, type_proto, value_of
from ..inference.contrib_shapes import STANDARD
from ..inference.shape_inference import infer_shapes
from ..model.subgraph_protos import Type, node_proto, parameter_types

Decomposition: TypeAlias = Callable[[Emitter, Node], Sequence[Tensor | None]]

DECOMPOSITIONS: dict[str, Decomposition] = {}


@dataclass(frozen=True)
class Body:
    """An operator's computation, appended beside it, from `inputs`: `outputs` repeat the operator's own outputs."""

    nodes: list[gs.Node]
    inputs: list[Tensor | None]
    outputs: list[Tensor | None]


def decomposition_of(*op_types: str) -> Callable[[Decomposition], Decomposition]:
    """Registers the decorated function as the decomposition of operators (`Name`, or `domain::Name`)."""

    def register(decomposition: Decomposition) -> Decomposition:
        for op_type in op_types:
            if op_type in DECOMPOSITIONS:
                raise ValueError(f"{op_type} has a decomposition already: {DECOMPOSITIONS[op_type].__qualname__}")
            DECOMPOSITIONS[op_type] = decomposition
        return decomposition

    return register


def expansion_of(*op_types: str) -> Callable[[Decomposition], Decomposition]:
    """The former name of `decomposition_of`."""
    warnings.warn("expansion_of is now decomposition_of", DeprecationWarning, stacklevel=2)
    return decomposition_of(*op_types)


def can_decompose(node: gs.Node, opset: int) -> bool:
    """Whether the operator has a decomposition, registered or by its specification."""
    return key_of(node) in DECOMPOSITIONS or has_function_body(node, opset)


def decompose(op: Emitter, node: Node) -> Body | None:
    """Appends the node's decomposition on the node's inputs; None where it has none.

    The node itself stays and keeps computing the forward values; the decomposition recomputes what its gradient needs.
    """
    decomposition = DECOMPOSITIONS.get(key_of(node.source))
    if decomposition is None:
        return function_body(op, node.source)
    start = len(op.nodes)
    outputs = list(decomposition(op, node))
    return Body(op.nodes[start:], node.inputs, outputs)


def has_function_body(node: gs.Node, opset: int) -> bool:
    """Whether the operator's specification defines it by other operators."""
    specification = schema(node.op, opset, node.domain or "")
    names = ("has_function", "has_context_dependent_function")  # onnx's type stubs do not know them
    return any(getattr(specification, name, False) for name in names)


def function_body(op: Emitter, node: gs.Node) -> Body | None:
    """Appends the node's function body (operator specification, "Function Body") on the node's inputs.

    Returns None where the specification defines no body for this node.
    """
    function = _function(node, op.model.opset)
    if function is None:
        return None
    inputs = {t.name: t for t in used_tensors(node) if t.name}
    call = node_proto(node)
    call.domain = function.domain
    specification: Any = schema(node.op, op.model.opset, node.domain or "")
    given = {attribute.name for attribute in call.attribute}
    defaults = [specification.attributes[name].default_value for name in function.attribute if name not in given]
    call.attribute.extend(value for value in defaults if value.type)
    model = onnx.helper.make_model(
        onnx.helper.make_graph(
            [call],
            "body",
            [onnx.ValueInfoProto(name=name, type=type_proto(tensor)) for name, tensor in inputs.items()],
            [onnx.ValueInfoProto(name=t.name) for t in node.outputs if t.name],
        ),
        functions=[function],
        opset_imports=[*function.opset_import, onnx.helper.make_opsetid(function.domain, 1)],
    )
    inlined = inliner.inline_local_functions(model)
    # Bodies compute shapes from sizes: inference over the whole body sees through that, node by node it does not.
    body = gs.import_onnx(infer_shapes(inlined))
    start = len(op.nodes)
    known = replay(op, body.nodes, inputs)
    used = [tensor if tensor.name else None for tensor in node.inputs]
    return Body(op.nodes[start:], used, [known[t.name] if t.name else None for t in node.outputs])


def _function(node: gs.Node, opset: int) -> onnx.FunctionProto | None:
    """The node's function body as a model-local function; it may depend on which inputs there are, and their types."""
    specification: Any = schema(node.op, opset, node.domain or "")
    if not has_function_body(node, opset):
        return None
    if specification.has_function:
        version = max(v for v in specification.function_opset_versions if v <= opset)
        written = specification.get_function_with_opset_version(version)
    else:
        version = max(v for v in specification.context_dependent_function_opset_versions if v <= opset)
        types = [type_proto(tensor) if tensor.name else onnx.TypeProto() for tensor in node.inputs]
        written = specification.get_context_dependent_function_with_opset_version(
            version, node_proto(node).SerializeToString(), [value.SerializeToString() for value in types]
        )
    function: onnx.FunctionProto = onnx.FunctionProto.FromString(written)
    if not function.node or any(inner.op_type == node.op for inner in function.node):
        return None
    function.domain = "body"
    others = [imported for imported in function.opset_import if imported.domain not in STANDARD]
    del function.opset_import[:]
    function.opset_import.extend([onnx.helper.make_opsetid("", opset), *others])
    return function


def replay(op: Emitter, nodes: Sequence[gs.Node], tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Appends copies of `nodes`, reading other tensors where `tensors` names them.

    Returns `tensors` and, by the names of the originals, what the copies compute.

    Raises:
        OnnxplainError: a node draws random numbers, which a copy would draw anew.
    """
    known = dict(tensors)
    for node in nodes:
        if traits_of(node).random or (node.op == "Dropout" and _trains(node)):
            raise OnnxplainError(
                f"operator {node.op} (node {node.name!r}) draws random numbers inside a body that the gradient "
                "evaluates again; export the model for inference"
            )
        inputs = [known.get(tensor.name, tensor) for tensor in node.inputs]
        types = parameter_types(node, inputs)
        attributes = {
            key: _replay_graph(op, value, known, types) if isinstance(value, gs.Graph) else value
            for key, value in node.attrs.items()
        }
        results = op.copy(node, inputs, attributes)
        known.update({tensor.name: result for tensor, result in zip(node.outputs, results, strict=True) if tensor.name})
    return known


def _replay_graph(op: Emitter, graph: gs.Graph, known: dict[str, Tensor], types: Sequence[Type]) -> gs.Graph:
    """A copy of a subgraph; `types` are those of its inputs, which a function body leaves out."""
    likes = [gs.Variable("", *kind) for kind in types] or graph.inputs
    pairs = zip(graph.inputs, likes, strict=True)
    inputs = [op.parameter(own.name, like if own.dtype is None else own) for own, like in pairs]
    with op.subgraph(graph.name, inputs) as copy:
        own = {tensor.name: parameter for tensor, parameter in zip(graph.inputs, inputs, strict=True)}
        inner = replay(op, graph.nodes, known | own)
        copy.outputs = [inner.get(tensor.name, tensor) for tensor in graph.outputs]
    return copy


def _trains(node: gs.Node) -> bool:
    """Whether a Dropout may be in training mode."""
    mode = value_of(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2].name else np.array(False)
    return mode is None or bool(mode)

"""Reverse-mode differentiation as graph nodes: the registry of gradient rules and the sweep that applies them.

A rule receives the emitter, the node and the gradient of each of its outputs, and returns one gradient (or None) per
node input, and per outer tensor that a subgraph of the node captures. A gradient may be given as a function without
arguments: it is called only if somebody wants it. A rule need not undo broadcasting: the sweep sums stretched axes.

    @gradient_of("Mul")
    def mul(op, node, grad):
        x, y = node.inputs
        return [op.Mul(grad, y), op.Mul(grad, x)]
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import onnx_graphsurgeon as gs

from ..build.emitter import Emitter
from ..errors import OnnxplainError
from ..graph.node import Node as Node
from ..graph.node import used_tensors, view
from ..graph.operator_traits import key_of
from ..graph.reachability import tensors_between
from ..graph.tensors import Tensor
from .cotangents import add, sum_to
from .decompose import decompose
from .lib.poles import has_pole
from .lib.singularities import in_two_parts
from .precision import promoted, promoted_node

Gradient: TypeAlias = Any  # a Tensor, None, or a function that returns a Tensor
Rule: TypeAlias = Callable[..., Any]  # a sequence of gradients, or None to leave the node to its decomposition
Override: TypeAlias = Callable[..., Sequence[Gradient] | None]  # None: the node keeps its gradient

GRADIENTS: dict[str, Rule] = {}


@dataclass(frozen=True)
class Rules:
    """The gradient table with a rule set laid over it.

    Attributes:
        name: of the rule set.
        listed: its rules by operator; a rule may return None to leave a node its gradient.
        default: the rule of operators that are in the gradient table but not listed; None: their gradients. It is asked
            when a node is met, so that it holds for operators that a plug-in adds.
        taken: names of the nodes that a rule of the set took, noted as the sweep goes.
    """

    name: str
    listed: Mapping[str, Override]
    default: Override | None = None
    taken: list[str] = field(default_factory=list)

    def gradients(self, op: Emitter, node: Node, flowing: Sequence[Tensor | None]) -> Sequence[Gradient]:
        """The gradients of the node's inputs and captured tensors, by the first rule that takes the node."""
        key = key_of(node.source)
        own = self.listed.get(key, self.default if key in GRADIENTS else None)
        result = None if own is None else own(op, node, *flowing)
        if result is not None:
            self.taken.append(node.name)
            return result
        if key in GRADIENTS:
            result = in_two_parts(op, node, flowing, lambda grads: GRADIENTS[key](op, node, *grads))
        return _through_decomposition(op, node, flowing) if result is None else result


def gradient_of(*op_types: str) -> Callable[[Rule], Rule]:
    """Registers the decorated function as the gradient rule of operators (`Name`, or `domain::Name`)."""

    def register(rule: Rule) -> Rule:
        for op_type in op_types:
            if op_type in GRADIENTS:
                raise ValueError(f"{op_type} has a gradient rule already: {GRADIENTS[op_type].__qualname__}")
            GRADIENTS[op_type] = rule
        return rule

    return register


def sweep(
    op: Emitter,
    nodes: Sequence[gs.Node],
    cotangents: Mapping[str, Tensor],
    wanted: Iterable[str],
    rules: Rules,
    unbounded: bool = False,
) -> dict[str, Tensor | None]:
    """Appends the vector-Jacobian product of `nodes` (in topological order).

    Args:
        op: appends the gradient nodes.
        nodes: the part of the graph to differentiate.
        cotangents: the gradient that flows into each named output.
        wanted: names of the tensors whose gradients are asked for.
        rules: the gradient rules.
        unbounded: whether the cotangents may be infinite.

    Returns:
        The gradient of each wanted tensor, of its shape; None where it is identically zero. It is of the tensor's
        dtype, or float32 where that is narrower: gradients are computed so, and do not underflow (see `reals`).

    Raises:
        OnnxplainError: an operator that passes a gradient on has no rule.
    """
    wanted = list(wanted)
    path = frozenset(tensors_between(nodes, wanted, cotangents))
    grads: dict[str, Tensor] = {name: promoted(op, grad) for name, grad in cotangents.items()}
    infinite = set(cotangents if unbounded else ())  # names of the tensors whose gradients may be infinite
    for source in reversed(nodes):
        flowing = [grads.get(tensor.name) for tensor in source.outputs]
        if all(grad is None for grad in flowing) or not any(t.name in path for t in used_tensors(source)):
            continue
        while flowing[-1] is None:
            flowing.pop()
        node = view(source, op.model.opset, path, rules)
        node = replace(node, unbounded=any(tensor.name in infinite for tensor in source.outputs))
        if node.unbounded or has_pole(source):
            infinite.update(tensor.name for tensor in used_tensors(source))
        with op.scope(f"gradient/{op.local(source.name or source.outputs[0].name)}"):
            gradients = rules.gradients(op, *promoted_node(op, node, flowing))
            for tensor, grad in zip([*node.inputs, *node.captured], gradients, strict=True):
                if tensor is None or grad is None or tensor.name not in path:
                    continue
                grad = promoted(op, sum_to(op, grad() if callable(grad) else grad, tensor))
                before = grads.get(tensor.name)
                grads[tensor.name] = grad if before is None else op.declare(add(op, before, grad), tensor)
    return {name: grads.get(name) for name in wanted}


def _through_decomposition(op: Emitter, node: Node, flowing: Sequence[Tensor | None]) -> list[Tensor | None]:
    """The gradients of an operator that is defined by others: those of its decomposition."""
    body = decompose(op, node)
    if body is None:
        raise OnnxplainError(
            f"operator {key_of(node.source)} (node {node.name!r}) has no gradient rule; choose a layer after it, or "
            "register a rule with onnxplain.gradient_of"
        )
    cotangents = {
        t.name: grad for t, grad in zip(body.outputs, flowing, strict=False) if t is not None and grad is not None
    }
    tensors = [*body.inputs, *node.captured]  # a function body has the node's own, where `node` has their float32 forms
    wanted = [tensor.name for tensor in tensors if tensor is not None and tensor.name in node.path]
    grads = sweep(op, body.nodes, cotangents, wanted, node.rules, node.unbounded)
    return [grads.pop(tensor.name, None) if tensor is not None else None for tensor in tensors]

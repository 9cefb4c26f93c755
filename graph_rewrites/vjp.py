"""Gradients of any tensor with respect to any others, appended to a model."""

from __future__ import annotations

from collections.abc import Sequence

import onnx

from .autodiff.cotangents import zeros_like
from .autodiff.reverse import sweep
from .backward_rules.registry import require_applied, rule_set
from .build.emitter import Emitter
from .build.graph_io import Publisher, prune
from .errors import OnnxplainError, UsageError, closest
from .graph.reachability import tensors_between
from .graph.tensors import is_float
from .model.model import ModelSource, read
from .model.writing import write


def append_vjp(model: ModelSource, output: str, wrt: str | Sequence[str], rules: str = "standard") -> onnx.ModelProto:
    """Appends a vector-Jacobian product: the gradient of `<output> . cotangent` with respect to any tensors.

    Args:
        model: path or `ModelProto` (not changed).
        output: a float tensor of the graph, an output or an intermediate one.
        wrt: one or more float tensors: graph inputs, intermediates or initializers.
        rules: name of a backward rule set, see `RULES`.

    Returns:
        The model with the input `<output>_cotangent` (dtype and shape of `output`) and an output `<tensor>_grad` (dtype
        and shape of the tensor) for each name in `wrt`.

    Raises:
        UsageError: an unknown tensor or rule set, or a tensor that holds no floats.
        OnnxplainError: `output` does not depend on a tensor of `wrt`, or an operator between has no gradient.
    """
    wrt = [wrt] if isinstance(wrt, str) else list(dict.fromkeys(wrt))
    work = read(model)
    tensors = work.tensors
    graph = work.proto.graph
    kinds = {value.name: value.type.WhichOneof("value") for value in (*graph.input, *graph.value_info, *graph.output)}
    for name in (output, *wrt):
        if name not in tensors:
            raise UsageError(f"{work.name}: no tensor {name!r}; {closest(name, tensors)}")
        if kinds.get(name, "tensor_type") != "tensor_type":
            raise UsageError(
                f"{work.name}: {name!r} holds tensors and is none, so it has no gradient; choose one of them"
            )
        if not is_float(tensors[name]):
            raise UsageError(f"{work.name}: tensor {name!r} holds no floats, so it has no gradient; choose another")
    forward = list(work.graph.nodes)
    for name in wrt:
        if name not in tensors_between(forward, [name], [output]):
            raise OnnxplainError(f"{work.name}: {output!r} does not depend on {name!r}; choose a tensor on its path")

    op = Emitter(work)
    publish = Publisher(op)
    target = tensors[output]
    cotangent = publish.input(f"{output}_cotangent", target.dtype, target.shape)
    table = rule_set(rules)
    grads = sweep(op, forward, {output: cotangent}, wrt, table)
    require_applied(table, work.name, output, wrt)
    for name in wrt:
        like, grad = tensors[name], grads[name]
        publish.output(f"{name}_grad", zeros_like(op, like) if grad is None else op.cast_like(grad, like), like.shape)
    prune(work, forward)
    return write(work)

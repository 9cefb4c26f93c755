"""Excitation backprop: maps of marginal winning probabilities, and of their contrast between classes."""

from __future__ import annotations

from collections.abc import Sequence

from ...backward_rules.excitation.channel_signs import is_constant
from ...backward_rules.registry import rule_set
from ...build.emitter import Emitter
from ...errors import OnnxplainError
from ...graph.node import used_tensors
from ...graph.operator_traits import traits_of
from ...graph.reachability import reach, sources, tensors_between
from ...graph.tensors import Tensor, is_float, rank
from ..backward_pass import BackwardPass
from ..explained_tensor import ExplainedTensor
from ..registry import method


@method("mwp", rules="mwp")
def mwp(layer: ExplainedTensor) -> Tensor:
    """The marginal winning probability at the layer, summed over channels (Zhang et al. 2016)."""
    return layer.op.reduce("ReduceSum", layer.gradient, [1])


def contrast(backward: BackwardPass, names: Sequence[str]) -> dict[str, Tensor | None]:
    """MWP of the class minus MWP of its dual, whose weights in the last layer are the class's with the opposite sign.

    Both are taken one layer below the last; as all that follows is linear, their difference flows on alone. That needs
    two maps of one sum. Where words before take a share of what the layer gets, they take another of the dual's: there
    both flow to the layer, and are divided by their sums first.
    """
    ones = {backward.scores.name: backward.ones()}
    top = _last_weighted(backward, names)
    classes = backward.sweep(ones, [top], backward.rules)[top]
    duals = backward.sweep(ones, [top], rule_set("mwp-dual"))[top]
    shared = [name for name in names if _is_shared(backward, name, top)]
    alone = [name for name in names if name not in shared]
    found = backward.sweep({top: backward.op.Sub(classes, duals)}, alone, backward.rules)
    own, against = (backward.sweep({top: each}, shared, backward.rules) for each in (classes, duals))
    for name in shared:
        found[name] = backward.op.Sub(_of_one(backward.op, own[name]), _of_one(backward.op, against[name]))
    return found


@method("c-mwp", rules="mwp", backward=contrast)
def contrastive_mwp(layer: ExplainedTensor, *, relu: bool = False) -> Tensor:
    """The contrastive marginal winning probability, summed over channels (Zhang et al. 2016).

    Negative where the other classes win more than this one; `relu` cuts that off, as the paper's figures do.
    """
    total = layer.op.reduce("ReduceSum", layer.gradient, [1])
    return layer.op.Relu(total) if relu else total


def _is_shared(backward: BackwardPass, name: str, top: str) -> bool:
    """Whether anything joins on the way from a tensor to `top`, and takes a share, that the image has no part in.

    So do words; a factor takes none.
    """
    nodes, op = backward.nodes, backward.op
    before = sources(nodes, [name])
    known = [*op.model.inputs, *(tensor for node in nodes for tensor in node.outputs)]
    own = reach(
        nodes, [tensor.name for tensor in known if tensor.name in before and is_float(tensor)], floats_only=True
    )
    path = tensors_between(nodes, [name], [top])
    return any(
        tensor.name not in {*own, ""} and is_float(tensor) and not is_constant(op, tensor)
        for node in nodes
        if not traits_of(node).scales and any(made.name in path for made in node.outputs)
        for tensor in used_tensors(node)
    )


def _of_one(op: Emitter, relevance: Tensor) -> Tensor:
    """Relevance [rows, ...] divided by its sum over each row; where there is none, none."""
    total = op.reduce("ReduceSum", relevance, list(range(1, rank(relevance))))
    return op.Div(relevance, op.Add(total, op.cast_like(op.LessOrEqual(total, 0.0), total)))


def _last_weighted(backward: BackwardPass, names: Sequence[str]) -> str:
    """The input of the last layer with weights, which all of the score must pass."""
    end = [backward.scores.name]
    path = tensors_between(backward.nodes, names, end)
    for node in reversed(backward.nodes):
        inputs: list[str] = [tensor.name for tensor in node.inputs[:2] if tensor.name in path]
        if traits_of(node).weighted and node.outputs[0].name in path and len(inputs) == 1:
            others = [one for one in backward.nodes if one is not node]
            if not tensors_between(others, names, end):
                return inputs[0]
            break
    raise OnnxplainError(
        f"{backward.op.model.name}: no layer with weights that all of the score passes lies between it and the "
        "explained layer, so there is no dual class to contrast with; choose an earlier layer, or method mwp"
    )

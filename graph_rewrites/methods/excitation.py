"""Excitation backprop: maps of marginal winning probabilities, and of their contrast between classes."""

from __future__ import annotations

from collections.abc import Sequence

from ..axes import WEIGHTED
from ..backward import tensors_between
from ..backward_rules import rule_set
from ..errors import OnnxplainError
from ..tensors import Tensor
from ..trace import Place, Trace
from .registry import method


@method("mwp", rules="mwp")
def mwp(layer: Place) -> Tensor:
    """The marginal winning probability at the layer, summed over channels (Zhang et al. 2016)."""
    return layer.op.reduce("ReduceSum", layer.gradient, [1])


def contrast(trace: Trace, names: Sequence[str]) -> dict[str, Tensor | None]:
    """MWP of the class minus MWP of its dual, whose weights in the last layer are the class's with the opposite sign.

    Both are taken one layer below the last; as all that follows is linear, their difference flows on alone.
    """
    ones = {trace.scores.name: trace.ones()}
    top = _last_weighted(trace, names)
    classes = trace.sweep(ones, [top], trace.rules)[top]
    duals = trace.sweep(ones, [top], rule_set("mwp-dual"))[top]
    return trace.sweep({top: trace.op.Sub(classes, duals)}, names, trace.rules)


@method("c-mwp", rules="mwp", backward=contrast)
def contrastive_mwp(layer: Place, *, relu: bool = False) -> Tensor:
    """The contrastive marginal winning probability, summed over channels (Zhang et al. 2016).

    Negative where the other classes win more than this one; `relu` cuts that off, as the paper's figures do.
    """
    total = layer.op.reduce("ReduceSum", layer.gradient, [1])
    return layer.op.Relu(total) if relu else total


def _last_weighted(trace: Trace, names: Sequence[str]) -> str:
    """The input of the last layer with weights, which all of the score must pass."""
    end = [trace.scores.name]
    path = tensors_between(trace.nodes, names, end)
    for node in reversed(trace.nodes):
        inputs: list[str] = [tensor.name for tensor in node.inputs[:2] if tensor.name in path]
        if node.op in WEIGHTED and node.outputs[0].name in path and len(inputs) == 1:
            others = [one for one in trace.nodes if one is not node]
            if not tensors_between(others, names, end):
                return inputs[0]
            break
    raise OnnxplainError(
        f"{trace.op.model.name}: no layer with weights that all of the score passes lies between it and the explained "
        "layer, so there is no dual class to contrast with; choose an earlier layer, or method mwp"
    )

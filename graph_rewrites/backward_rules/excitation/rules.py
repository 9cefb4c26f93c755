"""Excitation backprop: the rule set "mwp", by which relevance flows back in place of gradients.

The marginal winning probability of a neuron (Zhang et al. 2016, "Top-down Neural Attention by Excitation Backprop")
is shared out among those that excite it, in proportion to what they contribute:

    P(a_j | a_i) = Z_i x_j w_ji+,   Z_i = 1 / sum_j x_j w_ji+   (0 where nothing excites)

So relevance is conserved from layer to layer: over convolution, linear layers, average pooling and addition by this
rule, with max(x, 0) for the activations x, which the paper takes to be non-negative, and without biases, which are no
neurons; over maximum pooling it goes to the winner, and what only moves values, or maps them one by one, passes it on.

Recurrent cells are so many layers in time (Bargal et al. 2018, "Excitation Backprop for RNNs"), whose gates pass on
what they let through. Their units have either sign, as have those of tanh and what is multiplied with a question: there
a product x_j w_ji excites unit i where it has the sign of the unit. How a score is made of the outputs is no layer:
relevance starts at the outputs, by the plain derivative of sums and means.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial, reduce
from typing import TypeAlias

from ...autodiff.cotangents import add
from ...autodiff.reverse import GRADIENTS, Gradient, Node
from ...build.emitter import Emitter
from ...errors import OnnxplainError
from ...graph.operator_traits import key_of, traits_of
from ...graph.tensors import Tensor, value_of
from ..registry import default_rule
from .channel_signs import is_constant, sign_corrected, units_as_read
from .signs import counts_either_sign, is_score, is_two_sided

Signed: TypeAlias = Callable[[Tensor], Tensor]  # a tensor as it is, or with its sign turned
Share: TypeAlias = Callable[[Tensor, Signed], list[Gradient]]


@default_rule("mwp", subject="layer or activation")
def excitation(op: Emitter, node: Node, *relevance: Tensor) -> list[Gradient] | None:
    """The rule of an operator by what it does; where values only moved, relevance goes back where they came from."""
    traits = traits_of(node.source)
    if traits.weighted:
        return weighted(op, node, *relevance)
    if traits.adds or traits.averages:
        return sums(op, node, *relevance)
    if traits.one_to_one:
        return one_to_one(op, node, *relevance)
    if traits.scales:
        return scales(op, node, *relevance)
    if traits.values is not None or traits.body:
        return None
    return refuse(op, node, *relevance)


@default_rule("mwp-dual", subject="layer or activation")
def contrasting(op: Emitter, node: Node, *relevance: Tensor) -> Sequence[Gradient] | None:
    """The same, but for layers with weights, where it is the dual's."""
    if traits_of(node.source).weighted:
        return dual(op, node, *relevance)
    return excitation(op, node, *relevance)


def weighted(op: Emitter, node: Node, relevance: Tensor) -> list[Gradient]:
    """R_j = x_j sum_i w_ji+ R_i / sum_j x_j w_ji+; of a negative unit, what the unit of opposite weights has."""

    def share(part: Tensor, signed: Signed) -> list[Gradient]:
        return excite(op, node, part, signed)

    if not counts_either_sign(op, node.source.outputs[0]):
        return share(relevance, _as_it_is)
    return _by_sign(op, units_as_read(op, node, node.inputs[1]), relevance, share)


def dual(op: Emitter, node: Node, relevance: Tensor) -> list[Gradient]:
    """The same for the unit of opposite weights, which c-MWP contrasts with (Zhang et al. 2016)."""
    return excite(op, node, relevance, op.Neg)


def sums(op: Emitter, node: Node, relevance: Tensor) -> list[Gradient] | None:
    """R_j = R x_j / sum x; what is added to every sample alike is a bias and takes nothing.

    Of a sum that is negative, as recurrent cells have, the negative terms are those that win.
    """
    if is_score(node.source):
        return None
    terms = range(len(node.inputs) if traits_of(node.source).adds else 1)
    computed = [i for i in terms if not is_constant(op, node.inputs[i])]
    if len(terms) > 1 and len(computed) == 1:
        return [relevance if i in computed else None for i in terms]

    def share(part: Tensor, signed: Signed) -> list[Gradient]:
        operands = [op.Relu(signed(tensor)) if i in terms else tensor for i, tensor in enumerate(node.inputs)]
        return _shared(op, node, part, [operands], computed)

    total = node.source.outputs[0]
    if is_two_sided(op, total) or counts_either_sign(op, total):
        return _by_sign(op, total, relevance, share)
    return share(relevance, _as_it_is)


def one_to_one(op: Emitter, node: Node, relevance: Tensor) -> list[Gradient]:
    """R unchanged."""
    return [relevance, *[None] * (len(node.inputs) - 1)]


def scales(op: Emitter, node: Node, relevance: Tensor) -> list[Gradient]:
    """R to the operand that is scaled, bounded or shifted.

    By a constant, by a gate in [0, 1], or by what the explained layer has no part in, as a question.
    """
    signals = [i for i, t in enumerate(node.inputs) if t.name in node.path and not _is_gate(t)]
    if len(signals) != 1:
        return refuse(op, node, relevance)
    return [relevance if i == signals[0] else None for i in range(len(node.inputs))]


def refuse(op: Emitter, node: Node, *relevance: Tensor) -> list[Gradient]:
    """The error for an operator that has no winner."""
    raise OnnxplainError(
        f"excitation backprop is not defined for operator {key_of(node.source)} (node {node.name!r}); choose a layer "
        "after it, or another method"
    )


def excite(op: Emitter, node: Node, relevance: Tensor, signed: Signed) -> list[Gradient]:
    """Relevance over a layer of constant weights, of which those excite that are positive as `signed` gives them.

    Activations of either sign, as tanh makes, excite by the other weights where they are negative.
    """
    computed = [i for i in (0, 1) if not is_constant(op, node.inputs[i])]
    if len(computed) != 1:
        return refuse(op, node, relevance)
    (at,) = computed
    x, weight = node.inputs[at], signed(sign_corrected(op, node, node.inputs[1 - at]))
    pairs = [(op.Relu(x), op.Relu(weight))]
    if is_two_sided(op, x):
        pairs.append((op.Min(x, 0.0), op.Min(weight, 0.0)))
    return _shared(op, node, relevance, [[*pair][:: -1 if at else 1] for pair in pairs], computed)


def _as_it_is(tensor: Tensor) -> Tensor:
    return tensor


def _by_sign(op: Emitter, units: Tensor, relevance: Tensor, share: Share) -> list[Gradient]:
    """The relevance of positive units goes to what raises them, that of negative ones to what lowers them."""

    def where(compare: Callable[..., Tensor]) -> Tensor:
        return op.Mul(relevance, op.cast_like(compare(units, 0.0), relevance))

    def both(up: Gradient, down: Gradient) -> Gradient:
        return None if up is None else lambda: add(op, up(), down())

    raising, lowering = share(where(op.Greater), _as_it_is), share(where(op.Less), op.Neg)
    return [both(up, down) for up, down in zip(raising, lowering, strict=True)]


def _shared(
    op: Emitter, node: Node, relevance: Tensor, parts: Sequence[Sequence[Tensor]], computed: Sequence[int]
) -> list[Gradient]:
    """For the computed inputs j: x_j times the gradient of the node for R / node(x), summed over parts of the x."""
    totals = [op.declare(op.emit(node.op_type, *part, **node.source.attrs), node.outputs[0]) for part in parts]
    total = reduce(partial(add, op), totals)
    nothing = op.cast_like(op.LessOrEqual(total, 0.0), total)
    share = op.Div(op.Mul(relevance, op.Sub(1.0, nothing)), op.Add(total, nothing))
    grads = [
        GRADIENTS[node.op_type](op, replace(node, inputs=list(part), outputs=[own]), share)
        for part, own in zip(parts, totals, strict=True)
    ]

    def times(index: int) -> Gradient:
        def product(part: Sequence[Tensor], grad: Gradient) -> Tensor:
            return op.Mul(part[index], grad() if callable(grad) else grad)

        return lambda: reduce(
            partial(add, op), [product(part, own[index]) for part, own in zip(parts, grads, strict=True)]
        )

    return [times(i) if i in computed else None for i in range(len(node.inputs))]


def _is_gate(tensor: Tensor) -> bool:
    """Whether the tensor is a gate in [0, 1], or what one leaves of 1."""
    maker = tensor.inputs[0] if tensor.inputs else None
    if maker is not None and maker.op == "Sub" and value_of(maker.inputs[0]) == 1:
        return _is_gate(maker.inputs[1])
    return maker is not None and traits_of(maker).gates

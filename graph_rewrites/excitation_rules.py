"""Excitation backprop: the rule set "mwp", by which relevance flows back in place of gradients.

The marginal winning probability of a neuron (Zhang et al. 2016, "Top-down Neural Attention by Excitation Backprop")
is shared out among those that excite it, in proportion to what they contribute:

    P(a_j | a_i) = Z_i x_j w_ji+,   Z_i = 1 / sum_j x_j w_ji+   (0 where nothing excites)

So relevance is conserved from layer to layer: over convolution, linear layers, average pooling and addition by this
rule, with max(x, 0) for the activations x, which the paper takes to be non-negative, and without biases, which are no
neurons; over maximum pooling it goes to the winner, and what only moves values, or maps them one by one, passes it on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from .axes import WEIGHTED
from .backward import GRADIENTS, Gradient, Node
from .backward_rules import backward_rule
from .emit import Emitter
from .errors import OnnxplainError
from .tensors import Tensor, rank, value_of

SUMS = ("Add", "Sum", "Mean", "AveragePool", "GlobalAveragePool", "ReduceMean", "ReduceSum")
# One neuron in, one out: it wins alone.
ONE_TO_ONE = (
    *("Relu", "LeakyRelu", "PRelu", "Clip", "Elu", "Selu", "Celu", "Sigmoid", "HardSigmoid", "HardSwish", "Swish"),
    *("Mish", "Gelu", "Tanh", "Softplus", "Softsign", "ThresholdedRelu", "Sqrt", "Exp", "BatchNormalization", "LRN"),
)
SCALES = ("Mul", "Div", "Sub", "Max", "Min")
GATES = {"Sigmoid", "HardSigmoid"}
# Their gradients only move values, or select them.
MOVES = {
    *("Cast", "CastLike", "Concat", "DepthToSpace", "Dropout", "Expand", "Flatten", "Gather", "GatherElements"),
    *("GatherND", "GlobalMaxPool", "Identity", "MaxPool", "Pad", "ReduceMax", "Reshape", "Slice", "SpaceToDepth"),
    *("Split", "Squeeze", "Tile", "Transpose", "Unsqueeze", "Where"),
}


@backward_rule("mwp", *WEIGHTED)
def weighted(op: Emitter, node: Node, relevance: Tensor) -> list[Gradient]:
    """R_j = x_j sum_i w_ji+ R_i / sum_j x_j w_ji+."""
    return excite(op, node, relevance, op.Relu)


@backward_rule("mwp-dual", *WEIGHTED)
def dual(op: Emitter, node: Node, relevance: Tensor) -> list[Gradient]:
    """The same for the unit of opposite weights, which c-MWP contrasts with (Zhang et al. 2016)."""
    return excite(op, node, relevance, lambda weight: op.Relu(op.Neg(weight)))


@backward_rule("mwp", *SUMS)
def sums(op: Emitter, node: Node, relevance: Tensor) -> list[Gradient]:
    """R_j = R x_j / sum x; what is added to every sample alike is a bias and takes nothing."""
    terms = range(len(node.inputs) if node.op_type in ("Add", "Sum", "Mean") else 1)
    computed = [i for i in terms if not is_constant(op, node.inputs[i])]
    if len(terms) > 1 and len(computed) == 1:
        return [relevance if i in computed else None for i in terms]
    operands = [op.Relu(tensor) if i in terms else tensor for i, tensor in enumerate(node.inputs)]
    return _shared(op, node, relevance, operands, computed)


@backward_rule("mwp", *ONE_TO_ONE)
def one_to_one(op: Emitter, node: Node, relevance: Tensor) -> list[Gradient]:
    """R unchanged."""
    return [relevance, *[None] * (len(node.inputs) - 1)]


@backward_rule("mwp", *SCALES)
def scales(op: Emitter, node: Node, relevance: Tensor) -> list[Gradient]:
    """R to the operand that is scaled, bounded or shifted, be it by a constant or by a gate in [0, 1]."""
    signals = [i for i, t in enumerate(node.inputs) if not is_constant(op, t) and not _is_gate(t)]
    if len(signals) != 1:
        return refuse(op, node, relevance)
    return [relevance if i == signals[0] else None for i in range(len(node.inputs))]


def refuse(op: Emitter, node: Node, *relevance: Tensor) -> list[Gradient]:
    """What is neither a sum of excitations nor moves values has no winner."""
    raise OnnxplainError(
        f"excitation backprop is not defined for operator {node.op_type} (node {node.name!r}); choose a layer after "
        "it, or another method"
    )


RULED = {*WEIGHTED, *SUMS, *ONE_TO_ONE, *SCALES}
backward_rule("mwp", *sorted(GRADIENTS.keys() - RULED - MOVES))(refuse)


def excite(op: Emitter, node: Node, relevance: Tensor, sign: Callable[[Tensor], Tensor]) -> list[Gradient]:
    """Relevance over a layer of constant weights, of which those are taken that `sign` leaves positive."""
    computed = [i for i in (0, 1) if not is_constant(op, node.inputs[i])]
    if len(computed) != 1:
        return refuse(op, node, relevance)
    operands = [op.Relu(x) if i in computed else sign(_turned(op, node, x)) for i, x in enumerate(node.inputs[:2])]
    return _shared(op, node, relevance, operands, computed)


def is_constant(op: Emitter, tensor: Tensor) -> bool:
    """Whether the tensor is a weight, or computed from weights alone."""
    waiting, seen = [tensor], set[str]()
    while waiting:
        current = waiting.pop()
        if current.name in seen or value_of(current) is not None or current.name in op.model.weights:
            continue
        seen.add(current.name)
        if not current.inputs:
            return False  # an input of the model
        waiting.extend(one for one in current.inputs[0].inputs if one.name)
    return True


def _shared(
    op: Emitter, node: Node, relevance: Tensor, operands: Sequence[Tensor], computed: Sequence[int]
) -> list[Gradient]:
    """For the computed inputs j: x_j times the gradient of the node, at `operands`, for R / node(operands)."""
    total = op.declare(op.emit(node.op_type, *operands, **node.source.attrs), node.outputs[0])
    nothing = op.cast_like(op.LessOrEqual(total, 0.0), total)
    share = op.Div(op.Mul(relevance, op.Sub(1.0, nothing)), op.Add(total, nothing))
    grads = GRADIENTS[node.op_type](op, replace(node, inputs=list(operands), outputs=[total]), share)

    def times(index: int) -> Gradient:
        grad = grads[index]
        return lambda: op.Mul(operands[index], grad() if callable(grad) else grad)

    return [times(i) if i in computed else None for i in range(len(node.inputs))]


def _turned(op: Emitter, node: Node, weight: Tensor) -> Tensor:
    """A convolution's weight, its sign turned where the batch normalisation behind it has a negative scale."""
    consumers = node.outputs[0].outputs
    if node.op_type != "Conv" or [consumer.op for consumer in consumers] != ["BatchNormalization"]:
        return weight
    return op.Mul(weight, op.Reshape(op.Sign(consumers[0].inputs[1]), [-1, *[1] * (rank(weight) - 1)]))


def _is_gate(tensor: Tensor) -> bool:
    return bool(tensor.inputs) and tensor.inputs[0].op in GATES
